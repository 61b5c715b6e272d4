/** Every message type of proto/*.proto, beside what protobufjs makes of the same files. */
import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import protobuf from 'protobufjs';
import type { Field, MessageType, ScalarType } from '../../../host/proto/codec.ts';

const ROOT = new URL('../../../', import.meta.url);
/** Of google.protobuf, which proto/generate.mjs brings itself. */
const GOOGLE = `syntax = "proto3"; package google.protobuf;
message Any { string type_url = 1; bytes value = 2; }
message Timestamp { int64 seconds = 1; int32 nanos = 2; }
message Empty {}`;
/** Deepest nesting of random messages. */
const DEPTH = 3;

export type Message = Record<string, unknown>;

export interface Pair {
  readonly ours: MessageType<Message>;
  readonly oracle: protobuf.Type;
}

/** All message types, ours and the oracle's. Types of the same full name in two files appear once a file. */
export async function pairs(): Promise<Pair[]> {
  const out: Pair[] = [];
  for (const name of readdirSync(new URL('host/proto/messages/', ROOT)).sort()) {
    const module = (await import(new URL(`host/proto/messages/${name}`, ROOT).href)) as Record<string, unknown>;
    const root = rootOf(name.replace('.ts', '.proto'));
    for (const value of Object.values(module)) {
      if (isType(value)) out.push({ ours: value, oracle: root.lookupType(value.name) });
    }
  }
  return out;
}

function isType(value: unknown): value is MessageType<Message> {
  return typeof value === 'object' && value !== null && typeof (value as MessageType<Message>).fields === 'function';
}

/** Parses a file and what it imports. */
function rootOf(file: string): protobuf.Root {
  const root = new protobuf.Root();
  const seen = new Set<string>();
  const add = (name: string): void => {
    if (seen.has(name)) return;
    seen.add(name);
    const isGoogle = name === 'google.proto' || name.startsWith('google/');
    if (isGoogle && seen.has('google')) return;
    if (isGoogle) seen.add('google');
    const source = isGoogle ? GOOGLE : readFileSync(new URL(`proto/${name}`, ROOT), 'utf8');
    const { imports = [], weakImports = [] } = protobuf.parse(source, root, { keepCase: true });
    for (const next of [...imports, ...weakImports]) add(next);
  };
  add(file);
  root.resolveAll();
  return root;
}

const INT64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const UINT64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });

/** Random values as `decode` would return them. */
export function messageOf(type: MessageType<unknown>, depth = 0): fc.Arbitrary<Message> {
  const entries = type.fields().map((field) => [field[1], itemOf(field, depth)] as const);
  return fc.record(Object.fromEntries(entries), { noNullPrototype: true }) as fc.Arbitrary<Message>;
}

function itemOf([, , kind, occurs, keyKind = 'string']: Field, depth: number): fc.Arbitrary<unknown> {
  const nested = typeof kind === 'object';
  const many = { maxLength: 3 };
  if (nested && depth >= DEPTH) {
    if (occurs === 'repeated') return fc.constant([]);
    return occurs === 'map' ? fc.constant(Object.create(null)) : fc.constant(undefined);
  }
  const one = nested ? messageOf(kind, depth + 1) : scalarOf(kind);
  if (occurs === 'repeated') return fc.array(one, many);
  if (occurs === 'map') {
    const key = scalarOf(keyKind).map(String);
    return fc.array(fc.tuple(key, one), many).map((list) => {
      const map: Message = Object.create(null);
      for (const [name, value] of list) map[name] = value;
      return map;
    });
  }
  return nested || occurs === 'optional' ? fc.option(one, { nil: undefined }) : one;
}

function scalarOf(kind: ScalarType): fc.Arbitrary<unknown> {
  switch (kind) {
    case 'string':
      return fc.string({ unit: 'binary', maxLength: 200 });
    case 'bytes':
      return fc.uint8Array({ maxLength: 200 });
    case 'bool':
      return fc.boolean();
    case 'int32':
      return fc.integer();
    case 'uint32':
      return fc.nat(0xffff_ffff);
    case 'double':
      return fc.double({ noNaN: true });
    case 'int64':
      return fc.oneof(fc.maxSafeInteger(), INT64).map(safe);
    case 'uint64':
      return fc.oneof(fc.maxSafeNat(), UINT64).map(safe);
  }
}

function safe(value: number | bigint): number | bigint {
  const number = Number(value);
  // -0 is no integer of protobuf's.
  return Number.isSafeInteger(number) ? number + 0 : value;
}

/** The same value for the oracle: it writes defaults that are present, and takes 64 bits as two words. */
export function forOracle(type: MessageType<unknown>, value: Message): Message {
  const out: Message = {};
  for (const field of type.fields()) {
    const [, name, kind, occurs] = field;
    const item = value[name];
    if (item === undefined) continue;
    const convert = (one: unknown): unknown =>
      typeof kind === 'object' ? forOracle(kind, one as Message) : words(kind, one);
    if (occurs === 'repeated') out[name] = (item as unknown[]).map(convert);
    else if (occurs === 'map') {
      out[name] = Object.fromEntries(Object.entries(item as Message).map(([key, one]) => [key, convert(one)]));
    } else if (occurs === 'optional' || typeof kind === 'object' || !isDefault(item)) out[name] = convert(item);
  }
  return out;
}

function isDefault(item: unknown): boolean {
  if (typeof item === 'object') return (item as Uint8Array).length === 0;
  return item === '' || item === false || (item === 0 && !Object.is(item, -0));
}

function words(kind: ScalarType, item: unknown): unknown {
  if (kind !== 'int64' && kind !== 'uint64') return item;
  const bits = BigInt.asUintN(64, BigInt(item as number | bigint));
  return { low: Number(bits & 0xffff_ffffn) | 0, high: Number(bits >> 32n) | 0, unsigned: kind === 'uint64' };
}
