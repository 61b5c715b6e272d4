/**
 * What a debug console's connection carries once it is upgraded: frames of a type (1 byte), a length (3 bytes, big-endian)
 * and that many bytes. Both ends read with the same bounds.
 */
import { KataError } from '../error.ts';

/** Name of the protocol in `Upgrade`. */
export const CONSOLE_PROTOCOL = 'kata-debug-console';
export const FRAME_HEADER_BYTES = 4;
/** Most bytes behind a header. */
export const MAX_FRAME_BYTES = 64 * 1024;
/** Most rows, and columns, of a terminal. */
export const MAX_TERMINAL_SIZE = 0xffff;
/** Most bytes of data that are put into one frame. */
export const DATA_BYTES = 32 * 1024;

/** 1 to 15 come from the client, 16 and above from the shim; 0 from either, and means nothing. */
export const FRAME = { nothing: 0, open: 1, stdin: 2, resize: 3, stdout: 16, stderr: 17, exit: 18, error: 19 } as const;
export type FrameType = (typeof FRAME)[keyof typeof FRAME];

const TYPES: ReadonlySet<number> = new Set(Object.values(FRAME));

export interface Frame {
  readonly type: FrameType;
  /** A view that is valid until the reader is given more. */
  readonly payload: Buffer;
}

/** What the first frame of a client says, as JSON. */
export interface ConsoleOrder {
  /** Empty: a shell. */
  readonly args: readonly string[];
  readonly terminal: boolean;
  readonly rows: number;
  readonly columns: number;
  readonly term: string;
  /** Where a guest of Kata's has its shell; ours has none. */
  readonly port?: number;
}

/** One frame. @throws RangeError over MAX_FRAME_BYTES */
export function frame(type: FrameType, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  if (payload.length > MAX_FRAME_BYTES) throw new RangeError(`a frame of ${payload.length} bytes`);
  const bytes = Buffer.allocUnsafe(FRAME_HEADER_BYTES + payload.length);
  bytes.writeUInt32BE(payload.length, 0);
  bytes[0] = type;
  bytes.set(payload, FRAME_HEADER_BYTES);
  return bytes;
}

export function resizeFrame(rows: number, columns: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt16BE(Math.min(rows, MAX_TERMINAL_SIZE), 0);
  payload.writeUInt16BE(Math.min(columns, MAX_TERMINAL_SIZE), 2);
  return frame(FRAME.resize, payload);
}

/** @throws KataError `invalid_argument` */
export function sizeOf(payload: Buffer): { rows: number; columns: number } {
  if (payload.length !== 4) throw new KataError('invalid_argument', 'a size has four bytes');
  return { rows: payload.readUInt16BE(0), columns: payload.readUInt16BE(2) };
}

export function exitFrame(status: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeInt32BE(status | 0, 0);
  return frame(FRAME.exit, payload);
}

/** @throws KataError `invalid_argument` */
export function statusOf(payload: Buffer): number {
  if (payload.length !== 4) throw new KataError('invalid_argument', 'a status has four bytes');
  return payload.readInt32BE(0);
}

/** @throws KataError `invalid_argument` for anything but a ConsoleOrder */
export function orderOf(payload: Buffer): ConsoleOrder {
  let order: Partial<Record<keyof ConsoleOrder, unknown>>;
  try {
    order = JSON.parse(payload.toString('utf8')) as typeof order;
  } catch {
    throw new KataError('invalid_argument', 'the order for a console is not JSON');
  }
  if (typeof order !== 'object' || order === null) {
    throw new KataError('invalid_argument', 'the order for a console is no object');
  }
  const { args, terminal, rows, columns, term, port } = order;
  const words = Array.isArray(args) && args.every((word) => typeof word === 'string' && !word.includes('\0'));
  const size = (value: unknown): boolean =>
    Number.isInteger(value) && (value as number) >= 0 && (value as number) <= MAX_TERMINAL_SIZE;
  const known = words && typeof terminal === 'boolean' && size(rows) && size(columns) && typeof term === 'string';
  const ports = port === undefined || (Number.isInteger(port) && (port as number) > 0 && (port as number) < 2 ** 32);
  if (!known || !ports)
    throw new KataError('invalid_argument', 'the order for a console lacks a field, or has a wrong one');
  return order as ConsoleOrder;
}

/** Finds frames in what a connection brings, in whatever pieces. */
export class FrameReader {
  #kept = Buffer.alloc(0);

  /**
   * @param onFrame is called for each frame that is complete
   * @throws KataError `invalid_argument` for a frame that is too long or of an unknown type; nothing can be read after it
   */
  push(chunk: Buffer, onFrame: (frame: Frame) => void): void {
    let bytes = this.#kept.length === 0 ? chunk : Buffer.concat([this.#kept, chunk]);
    while (bytes.length >= FRAME_HEADER_BYTES) {
      const type = bytes[0] ?? 0;
      const length = bytes.readUIntBE(1, 3);
      if (!TYPES.has(type)) throw new KataError('invalid_argument', `a frame of type ${type}, which there is not`);
      if (length > MAX_FRAME_BYTES) {
        throw new KataError('invalid_argument', `a frame of ${length} bytes; at most ${MAX_FRAME_BYTES} are taken`);
      }
      const end = FRAME_HEADER_BYTES + length;
      if (bytes.length < end) break;
      onFrame({ type: type as FrameType, payload: bytes.subarray(FRAME_HEADER_BYTES, end) });
      bytes = bytes.subarray(end);
    }
    // A copy: the rest would hold the whole chunk.
    this.#kept = Buffer.from(bytes);
  }
}
