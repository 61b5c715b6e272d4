/** Batches of ttrpc frames, recorded and changed: some only within a frame's data, so that what is inside is reached. */
import { FRAME_HEADER_BYTES, TYPE_DATA, TYPE_REQUEST, TYPE_RESPONSE } from '../../assembly/layout.ts';
import { type CaseBuffer, mutate } from './buffer.ts';
import type { Random } from './random.ts';
import { recordedTraffic } from './recorded.ts';

/** Most frames of a batch. */
const MAX_FRAMES = 6;

const { requests, responses } = recordedTraffic();
const envelopes = [...requests, ...responses];
/** Tags of the envelopes' fields, of groups and fixed fields, and lengths that lie. */
const TOKENS = [
  ...[0x0a, 0x12, 0x1a, 0x20, 0x2a, 0x08, 0x7b, 0x7c, 0x79, 0x7d, 0x02, 0x78].map((tag) => Uint8Array.of(tag)),
  Uint8Array.of(0x0a, 0),
  Uint8Array.of(0x2a, 0),
  Uint8Array.of(0x2a, 4, 0x0a, 0, 0x12, 0),
  Uint8Array.of(0x0a, 2, 0x08, 5),
  Uint8Array.of(0x0a, 4, 0x1a, 2, 0x0a, 0),
  Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0x0f),
  Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1),
  Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2),
  Uint8Array.of(0x80, 0x80, 0x80, 0x80, 0x10),
];

/** A frame before it is changed. */
export interface Template {
  readonly type: number;
  readonly flags: number;
  readonly data: Uint8Array;
}

export const REQUESTS: readonly Template[] = requests.map((data) => ({ type: TYPE_REQUEST, flags: 0, data }));
export const RESPONSES: readonly Template[] = responses.map((data) => ({ type: TYPE_RESPONSE, flags: 0, data }));
const BOTH: readonly Template[] = [...REQUESTS, ...RESPONSES];

/** Appends a batch. */
export function makeBatch(buffer: CaseBuffer, random: Random, templates: readonly Template[] = BOTH): void {
  const from = buffer.length;
  const frames = random.size(MAX_FRAMES);
  let stream = random.once(4) ? random.u32() : 1;
  for (let i = 0; i < frames; i++) {
    const start = buffer.length;
    const { type, flags, data } = random.pick(templates);
    const changes = random.once(3) ? 0 : random.size(4);
    if (buffer.open(start, FRAME_HEADER_BYTES) < FRAME_HEADER_BYTES) return;
    if (!random.once(6)) buffer.append(data);
    for (let n = 0; n < changes; n++) mutate(buffer, start + FRAME_HEADER_BYTES, random, envelopes, TOKENS);
    const length = buffer.length - start - FRAME_HEADER_BYTES;
    const declared = random.once(24) ? Math.max(0, length + random.below(5) - 2) : length;
    buffer.word(start, random.once(48) ? random.u32() : declared);
    buffer.word(start + 4, random.once(12) ? random.u32() : stream);
    buffer.bytes[start + 8] = random.once(12) ? (random.once(2) ? TYPE_DATA : random.u32()) : type;
    buffer.bytes[start + 9] = random.once(8) ? random.u32() : flags;
    if (!random.once(5)) stream += 2;
  }
  for (let n = random.once(4) ? random.size(3) : 0; n > 0; n--) mutate(buffer, from, random, envelopes, TOKENS);
}
