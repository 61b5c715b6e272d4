/**
 * Frames in memory: finding them and writing them. Two implementations of each, the WASM core's and the JavaScript
 * twin's (frame-scanner.ts, frame-writer.ts), behind one interface and one list of tests.
 */
import { RECORD_WORDS } from '../../assembly/layout.ts';
import type { Core } from '../core/core.ts';
import { JsScanner } from './frame-scanner.ts';
import { JsWriter } from './frame-writer.ts';

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
  /** A failed response; its payload is the status message. Leaves room for details behind, up to STATE_FRAME_END. */
  status(at: number, limit: number, stream: number, code: number, textLength: number, detailsLength: number): number;
  /** A message of a stream, or its end. The frame ends with its payload. */
  data(at: number, limit: number, stream: number, flags: number, payloadLength: number): number;
  /** Leaves room for names before and metadata behind; STATE_FRAME_END is the address behind the frame. */
  request(
    at: number,
    limit: number,
    stream: number,
    flags: number,
    namesLength: number,
    payloadLength: number,
    timeoutLow: number,
    timeoutHigh: number,
    metadataLength: number,
  ): number;
}

/**
 * The WASM core as a scanner of its own memory. Its `scan` throws a KataError `internal` where the core traps;
 * after that the JavaScript twin scans the same memory.
 */
export function wasmScanner({ memory, records, state, exports, traps }: Core): FrameScanner {
  let twin: JsScanner | undefined;
  return {
    bytes: memory,
    records,
    state,
    scan(start, end) {
      if (traps.first) {
        twin ??= new JsScanner(memory);
        const count = twin.scan(start, end);
        records.set(twin.records.subarray(0, count * RECORD_WORDS));
        state.set(twin.state);
        return count;
      }
      try {
        // The module returns i32; lengths and addresses stay far below 2^31.
        return exports.scanFrames(start, end);
      } catch (thrown) {
        throw traps.note('scanFrames', thrown);
      }
    },
  };
}

/** The WASM core as a writer into its own memory. What the core traps on, and everything after it, its twin writes. */
export function wasmWriter({ memory, state, exports, traps }: Core): FrameWriter {
  let made: JsWriter | undefined;
  const twin = (): JsWriter => {
    made ??= new JsWriter(memory, state);
    return made;
  };
  // Written out, because a call through rest parameters costs more than the frame.
  return {
    bytes: memory,
    state,
    response(at, limit, stream, payloadLength) {
      if (traps.first) return twin().response(at, limit, stream, payloadLength);
      try {
        return exports.writeResponse(at, limit, stream, payloadLength);
      } catch (thrown) {
        traps.note('writeResponse', thrown);
        return twin().response(at, limit, stream, payloadLength);
      }
    },
    status(at, limit, stream, code, textLength, detailsLength) {
      if (traps.first) return twin().status(at, limit, stream, code, textLength, detailsLength);
      try {
        return exports.writeStatus(at, limit, stream, code, textLength, detailsLength);
      } catch (thrown) {
        traps.note('writeStatus', thrown);
        return twin().status(at, limit, stream, code, textLength, detailsLength);
      }
    },
    data(at, limit, stream, flags, payloadLength) {
      if (traps.first) return twin().data(at, limit, stream, flags, payloadLength);
      try {
        return exports.writeData(at, limit, stream, flags, payloadLength);
      } catch (thrown) {
        traps.note('writeData', thrown);
        return twin().data(at, limit, stream, flags, payloadLength);
      }
    },
    request(at, limit, stream, flags, names, payload, low, high, metadata) {
      if (traps.first) return twin().request(at, limit, stream, flags, names, payload, low, high, metadata);
      try {
        return exports.writeRequest(at, limit, stream, flags, names, payload, low, high, metadata);
      } catch (thrown) {
        traps.note('writeRequest', thrown);
        return twin().request(at, limit, stream, flags, names, payload, low, high, metadata);
      }
    },
  };
}
