/**
 * Frames in memory: finding them and writing them. Two implementations of each, the WASM core's and the JavaScript
 * twin's (frame-scanner.ts, frame-writer.ts), behind one interface and one list of tests.
 */
import type { Core } from '../core/core.ts';

/** Finds frames in `bytes`. Records and state are laid out by assembly/layout.ts; addresses are indexes of `bytes`. */
export interface FrameScanner {
  readonly bytes: Uint8Array;
  readonly records: Uint32Array;
  readonly state: Uint32Array;
  /**
   * Scans [start, end) until a frame is incomplete, the records are full, or a frame is oversized.
   * @returns the number of records
   */
  scan(start: number, end: number): number;
}

/**
 * Writes frames into `bytes` around payloads that the caller then puts there. Each function returns the payload's
 * address, 0 where the frame does not fit before `limit` or exceeds MAX_DATA_BYTES.
 */
export interface FrameWriter {
  readonly bytes: Uint8Array;
  readonly state: Uint32Array;
  /** The frame ends with its payload. */
  response(at: number, limit: number, stream: number, payloadLength: number): number;
  /** A failed response; its payload is the status message. */
  status(at: number, limit: number, stream: number, code: number, textLength: number): number;
  /** Leaves room for names before and metadata behind; STATE_FRAME_END is the address behind the frame. */
  request(
    at: number,
    limit: number,
    stream: number,
    namesLength: number,
    payloadLength: number,
    timeoutLow: number,
    timeoutHigh: number,
    metadataLength: number,
  ): number;
}

/** The WASM core as a scanner of its own memory. */
export function wasmScanner({ memory, records, state, exports }: Core): FrameScanner {
  // The module returns i32; lengths and addresses stay far below 2^31.
  return { bytes: memory, records, state, scan: exports.scanFrames };
}

/** The WASM core as a writer into its own memory. */
export function wasmWriter({ memory, state, exports }: Core): FrameWriter {
  return {
    bytes: memory,
    state,
    response: exports.writeResponse,
    status: exports.writeStatus,
    request: exports.writeRequest,
  };
}
