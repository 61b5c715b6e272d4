/** Bytes that a case is made in: fixed room, so that millions of cases leave no garbage. */
import type { Random } from './random.ts';

/** Bytes and words on which parsers break: ends of ranges, signs, lengths just past a limit. */
const BYTES = [
  0, 1, 2, 7, 8, 0x0a, 0x12, 0x1a, 0x20, 0x2a, 0x3f, 0x40, 0x7b, 0x7c, 0x7f, 0x80, 0x81, 0xc2, 0xed, 0xf4, 0xfe, 0xff,
];
const WORDS = [
  0, 1, 9, 10, 11, 0x7f, 0x80, 0xff, 0x3fff, 0x4000, 0xffff, 0x10000, 0x3ffff, 0x40000, 0x3fffff, 0x400000,
];
const LARGE_WORDS = [0x400001, 0x7fffffff, 0x80000000, 0xfffffff5, 0xfffffff6, 0xfffffffe, 0xffffffff];
const INTERESTING_WORDS = [...WORDS, ...LARGE_WORDS];

export class CaseBuffer {
  length = 0;

  constructor(readonly bytes: Uint8Array) {}

  get case(): Uint8Array {
    return this.bytes.subarray(0, this.length);
  }

  /** Appends what fits. */
  append(part: Uint8Array): void {
    this.insert(this.length, part);
  }

  /** Makes room for `count` bytes at `at`, as far as there is any; returns how many. What was there moves up. */
  open(at: number, count: number): number {
    const room = Math.min(count, this.bytes.length - this.length);
    this.bytes.copyWithin(at + room, at, this.length);
    this.length += room;
    return room;
  }

  insert(at: number, part: Uint8Array): void {
    const room = this.open(at, part.length);
    this.bytes.set(room === part.length ? part : part.subarray(0, room), at);
  }

  remove(at: number, count: number): void {
    this.bytes.copyWithin(at, at + count, this.length);
    this.length -= count;
  }

  word(at: number, value: number): void {
    for (let i = 0; i < 4 && at + i < this.length; i++) this.bytes[at + i] = value >>> (24 - 8 * i);
  }
}

/**
 * Changes [from, end of the case) in one way.
 * @param others cases to take parts from
 * @param tokens what the format is made of
 */
export function mutate(
  buffer: CaseBuffer,
  from: number,
  random: Random,
  others: readonly Uint8Array[],
  tokens: readonly Uint8Array[],
): void {
  const { bytes } = buffer;
  const span = buffer.length - from;
  const at = from + random.below(span + 1);
  if (span === 0) {
    buffer.append(random.pick(tokens));
    return;
  }
  const inside = from + random.below(span);
  const rest = buffer.length - inside;
  switch (random.below(13)) {
    case 0:
      bytes[inside] = (bytes[inside] as number) ^ (1 << random.below(8));
      break;
    case 1:
      bytes[inside] = random.u32();
      break;
    case 2:
      bytes[inside] = random.pick(BYTES);
      break;
    case 3:
      bytes[inside] = (bytes[inside] as number) + random.below(9) - 4;
      break;
    case 4:
      buffer.word(inside, random.pick(INTERESTING_WORDS));
      break;
    case 5:
      stretchVarint(buffer, inside, random);
      break;
    case 6:
      buffer.remove(inside, Math.min(rest, random.size(64)));
      break;
    case 7:
      repeat(buffer, inside, Math.min(rest, random.size(64)), random.once(8) ? random.size(64) : 1);
      break;
    case 8:
      buffer.insert(at, partOf(random.pick(others), random));
      break;
    case 9: {
      const part = partOf(random.pick(others), random);
      bytes.set(part.subarray(0, rest), inside);
      break;
    }
    case 10:
      buffer.length = inside;
      break;
    case 11: {
      const count = buffer.open(at, random.size(16));
      for (let i = 0; i < count; i++) bytes[at + i] = random.u32();
      break;
    }
    default:
      buffer.insert(at, random.pick(tokens));
  }
}

/** Adds bytes that say nothing to what may be a varint: its last byte goes on with zeros. */
function stretchVarint(buffer: CaseBuffer, at: number, random: Random): void {
  const count = buffer.open(at + 1, random.size(12));
  if (count === 0) return;
  buffer.bytes[at] = (buffer.bytes[at] as number) | 0x80;
  buffer.bytes.fill(0x80, at + 1, at + count);
  buffer.bytes[at + count] = random.once(4) ? random.u32() : 0;
}

function repeat(buffer: CaseBuffer, at: number, length: number, times: number): void {
  const room = buffer.open(at, length * times);
  for (let i = room - 1; i >= 0; i--) buffer.bytes[at + i] = buffer.bytes[at + i + length] as number;
}

function partOf(whole: Uint8Array, random: Random): Uint8Array {
  const start = random.below(whole.length + 1);
  return whole.subarray(start, start + random.size(128));
}
