/** The legacy LZ4 frame, in which Debian compresses its cloud kernel. https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md */
import { KataError } from '../../host/error.ts';

/** First four bytes of a frame. */
export const LZ4_LEGACY_MAGIC = 0x184c2102;
/** Largest block, uncompressed, bytes: fixed by the format. */
const MAX_BLOCK_BYTES = 8 * 1024 * 1024;
const MIN_MATCH = 4;

/**
 * Decodes a frame: magic, then blocks of u32 compressed size and data.
 * @param size length of the result, bytes; what follows its last block is not looked at
 * @throws KataError `invalid_argument` on damaged data
 */
export function decodeLz4Legacy(frame: Uint8Array, size: number): Uint8Array {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  if (frame.length < 4 || view.getUint32(0, true) !== LZ4_LEGACY_MAGIC)
    throw damaged('it does not begin with the magic');
  const out = new Uint8Array(size);
  let written = 0;
  for (let at = 4; written < size; ) {
    if (frame.length - at < 4) throw damaged('a block is missing');
    const length = view.getUint32(at, true);
    at += 4;
    if (length > frame.length - at) throw damaged('a block is cut off');
    written = decodeBlock(frame.subarray(at, at + length), out, written);
    at += length;
  }
  return out;
}

/** Sequences of literals and matches; returns where the output goes on. */
function decodeBlock(data: Uint8Array, out: Uint8Array, start: number): number {
  const limit = Math.min(out.length, start + MAX_BLOCK_BYTES);
  let from = 0;
  let to = start;
  // A length of 15 in the token goes on in bytes of 255 each until one is less.
  const long = (first: number): number => {
    let length = first;
    if (first !== 15) return length;
    for (let byte = 255; byte === 255; length += byte) {
      if (from >= data.length) throw damaged('a length is cut off');
      byte = data[from++] as number;
    }
    return length;
  };
  while (from < data.length) {
    const token = data[from++] as number;
    const literals = long(token >> 4);
    if (literals > data.length - from || literals > limit - to) throw damaged('literals run past the end');
    out.set(data.subarray(from, from + literals), to);
    from += literals;
    to += literals;
    // The last sequence has literals only.
    if (from === data.length) break;
    if (data.length - from < 2) throw damaged('an offset is cut off');
    const offset = (data[from] as number) | ((data[from + 1] as number) << 8);
    from += 2;
    const length = long(token & 15) + MIN_MATCH;
    if (offset === 0 || offset > to - start || length > limit - to) throw damaged('a match lies outside the block');
    if (offset >= length) out.copyWithin(to, to - offset, to - offset + length);
    else for (let i = 0; i < length; i++) out[to + i] = out[to + i - offset] as number;
    to += length;
  }
  return to;
}

function damaged(what: string): KataError {
  return new KataError('invalid_argument', `the LZ4 data is damaged: ${what}`);
}
