/**
 * The one owner of the WASM core's instance and memory. Nothing happens at import: the first use instantiates.
 * Memory is fixed, so that views of it stay valid for good.
 */
import {
  MAX_RECORDS,
  OCI_INPUT_BASE,
  OCI_INPUT_BYTES,
  OCI_OUTPUT_BASE,
  OCI_OUTPUT_BYTES,
  OUTPUT_BASE,
  OUTPUT_BYTES,
  RECORD_WORDS,
  RECORDS_BASE,
  STATE_BASE,
  STATE_WORDS,
  WINDOW_BASE,
  WINDOW_BYTES,
} from '../../assembly/layout.ts';
import { Traps } from './trap.ts';
import { wasmBytes } from './wasm-bytes.ts';

/** What the module exports; assembly/ documents each. Addresses are offsets into `memory`. */
export interface CoreExports {
  readonly memory: WebAssembly.Memory;
  scanFrames(start: number, end: number): number;
  writeResponse(at: number, limit: number, stream: number, payloadLength: number): number;
  writeStatus(
    at: number,
    limit: number,
    stream: number,
    code: number,
    textLength: number,
    detailsLength: number,
  ): number;
  writeData(at: number, limit: number, stream: number, flags: number, payloadLength: number): number;
  writeRequest(
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
  findOutput(start: number, end: number): number;
  findOutputStart(start: number, end: number): number;
  ociTranslate(root: number, input: number, length: number, output: number, capacity: number): number;
  ociError(): number;
  ociErrorOffset(): number;
}

export interface Core {
  /** Whoever calls them catches what they throw and gives it to `traps`. */
  readonly exports: CoreExports;
  readonly traps: Traps;
  /** All of memory, so that the module's addresses are indexes. */
  readonly memory: Uint8Array;
  /** Scan records, RECORD_WORDS u32 each. */
  readonly records: Uint32Array;
  /** Results beyond return values: STATE_… words. */
  readonly state: Uint32Array;
  /** What sockets read into; valid until the read's callback returns. */
  readonly window: Uint8Array;
  /** Frames of one batch on their way to a socket. */
  readonly output: Region;
  /** config.json before, grpc.Spec after translation; both are used within one synchronous call. */
  readonly ociInput: Uint8Array;
  readonly ociOutput: Uint8Array;
}

/** Memory that one user holds at a time, across turns of the event loop. */
export class Region {
  #held = false;

  constructor(
    /** Address of the first byte. */
    readonly base: number,
    /** Address behind the last byte. */
    readonly end: number,
  ) {}

  /** @returns false while another holds it */
  acquire(): boolean {
    if (this.#held) return false;
    this.#held = true;
    return true;
  }

  release(): void {
    this.#held = false;
  }
}

let shared: Core | undefined;

/** The process's instance, made at the first call. */
export function core(): Core {
  shared ??= instantiate(wasmBytes());
  return shared;
}

/** A further instance of some build: for tests and benchmarks. Synchronous: the module takes a few milliseconds at most. */
export function instantiate(bytes: Uint8Array): Core {
  const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes as Uint8Array<ArrayBuffer>));
  const exports = instance.exports as unknown as CoreExports;
  const buffer = exports.memory.buffer;
  return {
    exports,
    traps: new Traps(),
    memory: new Uint8Array(buffer),
    records: new Uint32Array(buffer, RECORDS_BASE, MAX_RECORDS * RECORD_WORDS),
    state: new Uint32Array(buffer, STATE_BASE, STATE_WORDS),
    window: new Uint8Array(buffer, WINDOW_BASE, WINDOW_BYTES),
    output: new Region(OUTPUT_BASE, OUTPUT_BASE + OUTPUT_BYTES),
    ociInput: new Uint8Array(buffer, OCI_INPUT_BASE, OCI_INPUT_BYTES),
    ociOutput: new Uint8Array(buffer, OCI_OUTPUT_BASE, OCI_OUTPUT_BYTES),
  };
}
