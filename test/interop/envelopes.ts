/** Envelopes for a differential test: recorded ones, and what chance makes of them. All of it follows from a seed. */
import { readdirSync, readFileSync } from 'node:fs';
import { encode, type Init } from '../../host/proto/codec.ts';
import { Request, Response } from '../../host/proto/messages/ttrpc.ts';

const RECORDED = new URL('../fixtures/shim-calls/', import.meta.url);
/** Most mutations of one case. */
const MAX_MUTATIONS = 4;
/** Longest recorded envelope that is mutated, bytes: chance finds the short ones' structure more often. */
const MAX_RECORDED_BYTES = 400;
/** Most fields of a case that is made up. */
const MAX_FIELDS = 6;
/** Bytes that mean something in protobuf: tags of the envelopes' fields, groups, ends of varints. */
const TELLING = [0x00, 0x01, 0x07, 0x08, 0x0a, 0x0b, 0x0c, 0x0d, 0x12, 0x14, 0x1a, 0x20, 0x2a, 0x7f, 0x80, 0xc3, 0xff];

export interface Envelope {
  readonly type: 'request' | 'response';
  readonly data: Uint8Array;
}

/** A 32-bit generator: the same numbers for the same seed, everywhere. */
export class Chance {
  constructor(private state: number) {}

  /** @returns 0 to `count` - 1 */
  below(count: number): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 15), this.state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * count);
  }

  oneOf<T>(all: readonly T[]): T {
    return all[this.below(all.length)] as T;
  }
}

interface Line {
  readonly ev: 'req' | 'resp';
  readonly service?: string;
  readonly method?: string;
  readonly timeout_nano?: number;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly request?: unknown;
  readonly response?: unknown;
  readonly status?: { readonly code: number; readonly message: string };
}

/** What containerds and their shims were recorded to say to each other. Payloads are the recording's JSON: any bytes will do. */
export function recorded(): Envelope[] {
  const all: Envelope[] = [];
  for (const file of readdirSync(RECORDED)) {
    for (const line of readFileSync(new URL(file, RECORDED), 'utf8').trim().split('\n')) {
      const { ev, service, method, timeout_nano, metadata = {}, request, response, status } = JSON.parse(line) as Line;
      const pairs = Object.entries(metadata).map(([key, value]) => ({ key, value }));
      const payload = Buffer.from(JSON.stringify(request ?? response ?? {}));
      if (ev === 'req') all.push(requestOf({ service, method, timeout_nano, metadata: pairs, payload }));
      else all.push(responseOf({ status, payload }));
    }
  }
  const detail = { type_url: 'type.googleapis.com/google.protobuf.StringValue', value: Uint8Array.of(0x0a, 1, 0x31) };
  all.push(
    responseOf({ status: { code: 5, message: 'größer', details: [detail, detail] }, payload: new Uint8Array(3) }),
  );
  return all.filter(({ data }) => data.length <= MAX_RECORDED_BYTES);
}

/** One case: a recorded envelope with a few bytes changed, or fields made up. */
export function envelope(chance: Chance, base: readonly Envelope[]): Envelope {
  const { type, data } = chance.oneOf(base);
  if (chance.below(4) === 0) return { type, data: madeUp(chance, 0) };
  let bytes = [...data];
  for (let left = 1 + chance.below(MAX_MUTATIONS); left > 0; left--) bytes = mutated(chance, bytes, base);
  return { type, data: Uint8Array.from(bytes) };
}

function requestOf(value: Init<Request>): Envelope {
  return { type: 'request', data: encode(Request, value) };
}

function responseOf(value: Init<Response>): Envelope {
  return { type: 'response', data: encode(Response, value) };
}

function mutated(chance: Chance, bytes: number[], base: readonly Envelope[]): number[] {
  const at = chance.below(bytes.length + 1);
  const length = chance.below(8);
  const byte = chance.below(2) === 0 ? chance.oneOf(TELLING) : chance.below(256);
  switch (chance.below(8)) {
    case 0:
      return bytes.map((old, i) => (i === at ? byte : old));
    case 1:
      return bytes.toSpliced(at, 0, byte);
    case 2:
      return bytes.toSpliced(at, length);
    case 3:
      return bytes.slice(0, at);
    case 4:
      return bytes.toSpliced(at, 0, ...bytes.slice(chance.below(bytes.length), at));
    case 5:
      return bytes.concat(...chance.oneOf(base).data);
    case 6:
      return bytes.concat(...madeUp(chance, 0));
    default:
      return bytes.toSpliced(at, 1, ...varint(chance, bytes[at] ?? 0));
  }
}

/** Fields of low numbers, of any wire type, mostly well-formed. */
function madeUp(chance: Chance, depth: number): Uint8Array {
  const out: number[] = [];
  for (let left = chance.below(MAX_FIELDS + 1); left > 0; left--) {
    const field = chance.below(16) === 0 ? chance.below(2 ** 29 + 2) : chance.below(7);
    const wire = chance.below(16) === 0 ? chance.below(8) : chance.oneOf([0, 2, 2, 2, 1, 5, 3]);
    out.push(...varint(chance, field * 8 + wire));
    out.push(...value(chance, wire, field, depth));
  }
  return Uint8Array.from(out);
}

function value(chance: Chance, wire: number, field: number, depth: number): number[] {
  const bytes = (count: number) => Array.from({ length: count }, () => chance.below(256));
  if (wire === 0) return varint(chance, chance.oneOf([0, 1, 127, 128, 2 ** 31, 2 ** 32 - 1, 2 ** 53 - 1]));
  if (wire === 1) return bytes(8);
  if (wire === 5) return bytes(4);
  if (wire === 3) {
    const inner = depth < 3 ? madeUp(chance, depth + 1) : [];
    const end = chance.below(8) === 0 ? chance.below(7) : field;
    return [...inner, ...varint(chance, end * 8 + 4)];
  }
  if (wire !== 2) return [];
  const kinds = [
    () => madeUp(chance, depth + 1),
    () => Buffer.from(chance.oneOf(['', 'a', 'größe', '\0'])),
    () => bytes(3),
  ];
  const data = depth < 3 ? chance.oneOf(kinds)() : [];
  return [...varint(chance, data.length), ...data];
}

/** Now and then longer than it has to be, up to one byte more than are allowed. */
function varint(chance: Chance, number: number): number[] {
  const out: number[] = [];
  let rest = BigInt(number);
  for (; rest > 0x7fn; rest >>= 7n) out.push(Number(rest & 0x7fn) | 0x80);
  out.push(Number(rest));
  if (chance.below(24) !== 0) return out;
  const last = out.length - 1;
  out[last] = (out[last] as number) | 0x80;
  while (out.length < 10 && chance.below(4) !== 0) out.push(chance.oneOf([0x80, 0x80, 0xff]));
  out.push(chance.oneOf([0, 0, 1, 2, 0x7f]));
  return out;
}
