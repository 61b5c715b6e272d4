/**
 * OCI JSON to protobuf by other means than ours: JSON.parse, renaming by comparing names without their case, and
 * protobufjs for the bytes.
 */
import { readFileSync } from 'node:fs';
import protobuf from 'protobufjs';

const Long = protobuf.util.Long as unknown as { fromString(text: string, unsigned: boolean): unknown };

type Values = Record<string, unknown>;

const PROTO = new URL('../../../proto/oci.proto', import.meta.url);
const space = protobuf.parse(readFileSync(PROTO, 'utf8'), new protobuf.Root(), { keepCase: true }).root;

/** Marks a number that JSON.parse would round. No generated text contains it. */
const BIG = '\u{10fffd}big:';

export function oracleType(name: string): protobuf.Type {
  return space.lookupType(`grpc.${name}`);
}

/** The message, encoded canonically. */
export function oracle(name: string, json: string): Uint8Array {
  const exact = json.replace(/"(?:[^"\\]|\\.)*"|-?\d{16,}/g, (token) =>
    token.startsWith('"') ? token : JSON.stringify(BIG + token),
  );
  const type = oracleType(name);
  return type.encode(rename(type, JSON.parse(exact) as Values)).finish();
}

/** What some bytes say, in a form that compares: 64-bit numbers as decimal text, absent apart from default. */
export function reading(name: string, encoded: Uint8Array): unknown {
  return oracleType(name).toObject(oracleType(name).decode(encoded), { longs: String, oneofs: true });
}

function rename(type: protobuf.Type, value: Values): Values {
  const out: Values = {};
  for (const field of type.fieldsArray) {
    const wanted = field.name === 'Version' ? 'ociversion' : field.name.toLowerCase();
    const key = Object.keys(value).find((candidate) => candidate.toLowerCase() === wanted);
    const item = key === undefined ? undefined : value[key];
    if (item === undefined || item === null) continue;
    if (field.map) out[field.name] = renameMap(item as Values);
    else if (field.repeated) out[field.name] = (item as unknown[]).map((element) => convert(field, element));
    else if (field.partOf || !isDefault(item)) out[field.name] = convert(field, item);
  }
  return out;
}

function renameMap(item: Values): Values {
  const out: Values = Object.create(null);
  for (const [key, value] of Object.entries(item)) out[wellFormed(key)] = wellFormed(String(value ?? ''));
  return out;
}

function convert(field: protobuf.Field, item: unknown): unknown {
  const type = field.resolve().resolvedType;
  if (type instanceof protobuf.Type) return rename(type, (item ?? {}) as Values);
  if (item === null) return field.type === 'string' ? '' : 0;
  if (typeof item !== 'string') return item;
  if (!item.startsWith(BIG)) return wellFormed(item);
  return Long.fromString(item.slice(BIG.length), field.type.startsWith('u'));
}

/** proto3 leaves these out. */
function isDefault(item: unknown): boolean {
  return item === '' || item === 0 || item === false;
}

/** Halves of surrogate pairs become U+FFFD. */
function wellFormed(text: string): string {
  return Buffer.from(text, 'utf8').toString('utf8');
}
