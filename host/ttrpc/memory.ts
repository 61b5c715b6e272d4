/** The memory that frames are read into and written from: the WASM core's, or the heap where WebAssembly cannot be had. */
import { OUTPUT_BASE, OUTPUT_BYTES, WINDOW_BASE, WINDOW_BYTES } from '../../assembly/layout.ts';
import { core, Region } from '../core/core.ts';
import { JsScanner } from './frame-scanner.ts';
import { JsWriter } from './frame-writer.ts';
import { type FrameScanner, type FrameWriter, wasmScanner, wasmWriter } from './frames.ts';
import { PayloadWriter } from './payload.ts';

export interface FrameMemory {
  readonly scanner: FrameScanner;
  readonly writer: FrameWriter;
  /** WINDOW_BYTES at WINDOW_BASE of the scanner's bytes. */
  readonly window: Uint8Array;
  /** OUTPUT_BYTES at OUTPUT_BASE of the writer's bytes. */
  readonly output: Region;
  /** Encodes messages into the output region. */
  readonly encoder: PayloadWriter;
}

let shared: FrameMemory | undefined;

/** The process's, made at the first call. */
export function frameMemory(): FrameMemory {
  shared ??= inWasm() ?? onHeap();
  return shared;
}

/** The same map without WebAssembly; what is not used of it is never touched. */
export function onHeap(): FrameMemory {
  const bytes = new Uint8Array(OUTPUT_BASE + OUTPUT_BYTES);
  return {
    scanner: new JsScanner(bytes),
    writer: new JsWriter(bytes),
    window: bytes.subarray(WINDOW_BASE, WINDOW_BASE + WINDOW_BYTES),
    output: new Region(OUTPUT_BASE, OUTPUT_BASE + OUTPUT_BYTES),
    encoder: encoderIn(bytes),
  };
}

/** Undefined under `--jitless` and where address space is too short for the instance. */
function inWasm(): FrameMemory | undefined {
  try {
    const wasm = core();
    return {
      scanner: wasmScanner(wasm),
      writer: wasmWriter(wasm),
      window: wasm.window,
      output: wasm.output,
      encoder: encoderIn(wasm.memory),
    };
  } catch {
    return undefined;
  }
}

function encoderIn(bytes: Uint8Array): PayloadWriter {
  return new PayloadWriter(bytes.subarray(OUTPUT_BASE, OUTPUT_BASE + OUTPUT_BYTES));
}
