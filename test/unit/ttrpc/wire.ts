/** Frames as a peer would write them, by the codec, apart from the code under test. */
import { encode, type Init } from '../../../host/proto/codec.ts';
import { Request, Response } from '../../../host/proto/messages/ttrpc.ts';

export const REQUEST = 1;
export const RESPONSE = 2;
export const DATA = 3;

export interface WireFrame {
  readonly stream: number;
  readonly type: number;
  readonly flags: number;
  readonly data: Buffer;
}

/** A frame; `length` overrides the data's real length in the header. */
export function frame(stream: number, type: number, data: Uint8Array, flags = 0, length = data.length): Buffer {
  const out = Buffer.alloc(10 + data.length);
  out.writeUInt32BE(length, 0);
  out.writeUInt32BE(stream, 4);
  out[8] = type;
  out[9] = flags;
  out.set(data, 10);
  return out;
}

export function request(stream: number, value: Init<Request>, flags = 0): Buffer {
  return frame(stream, REQUEST, encode(Request, value), flags);
}

export function response(stream: number, value: Init<Response>, flags = 0): Buffer {
  return frame(stream, RESPONSE, encode(Response, value), flags);
}

/** All complete frames at the start of `bytes`, and how many bytes they take. */
export function split(bytes: Buffer): { frames: WireFrame[]; end: number } {
  const frames: WireFrame[] = [];
  let at = 0;
  while (bytes.length - at >= 10) {
    const length = bytes.readUInt32BE(at);
    if (bytes.length - at - 10 < length) break;
    frames.push({
      stream: bytes.readUInt32BE(at + 4),
      type: bytes[at + 8] as number,
      flags: bytes[at + 9] as number,
      data: bytes.subarray(at + 10, at + 10 + length),
    });
    at += 10 + length;
  }
  return { frames, end: at };
}
