/** What an OCI document says by JSON.parse: nothing of ours but the names of fields. */

import { OCI_NAMES } from '../../host/oci/names.ts';
import { decode, encode, type Field, type MessageType } from '../../host/proto/codec.ts';

type Values = Record<string, unknown>;

/** Marks an integer that JSON.parse would round. */
const BIG = '\u{10fffd}big:';
/** Strings, and numbers of any form. */
const TOKEN = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/** The message that a document which is translated stands for. */
export function saidByJson(type: MessageType<unknown>, json: Uint8Array): unknown {
  const exact = Buffer.from(json)
    .toString()
    .replace(TOKEN, (token) => (/^-?\d{16,}$/.test(token) ? JSON.stringify(BIG + token) : token));
  return decode(type, encode(type, message(type, JSON.parse(exact) as Values) as never));
}

function message(type: MessageType<unknown>, value: Values): Values {
  const fields = new Map(type.fields().map((field) => [field[1], field]));
  const out: Values = {};
  for (const [key, item] of Object.entries(value)) {
    const names = OCI_NAMES[type.name] ?? {};
    const field = Object.hasOwn(names, key) ? fields.get(names[key] ?? '') : undefined;
    if (field && item !== null) out[field[1]] = fieldValue(field, item);
  }
  return out;
}

function fieldValue([, , kind, occurs]: Field, item: unknown): unknown {
  if (occurs === 'map') {
    const map: Values = Object.create(null);
    for (const [key, value] of Object.entries(item as Values)) map[key] = value ?? '';
    return map;
  }
  if (occurs === 'repeated') return (item as unknown[]).map((one) => scalar(kind, one));
  return scalar(kind, item);
}

function scalar(kind: Field[2], item: unknown): unknown {
  if (typeof kind === 'object') return message(kind, (item ?? {}) as Values);
  if (item === null) return kind === 'string' ? '' : 0;
  if (kind === 'string' || typeof item === 'boolean') return item;
  // -0 is 0.
  return typeof item === 'number' ? item + 0 : BigInt((item as string).slice(BIG.length));
}
