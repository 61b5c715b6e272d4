/** The three scanners and writers that must agree: debug WASM, release WASM, JavaScript. */
import { OUTPUT_BASE, OUTPUT_BYTES, RECORD_WORDS, WINDOW_BASE, WINDOW_BYTES } from '../../../assembly/layout.ts';
import { instantiate } from '../../../host/core/core.ts';
import { JsScanner } from '../../../host/ttrpc/frame-scanner.ts';
import { JsWriter } from '../../../host/ttrpc/frame-writer.ts';
import { type FrameScanner, type FrameWriter, wasmScanner, wasmWriter } from '../../../host/ttrpc/frames.ts';
import { built } from '../core/builds.ts';

export interface Implementation {
  readonly name: string;
  readonly scanner: FrameScanner;
  readonly writer: FrameWriter;
}

const debug = instantiate(built.debug);
const release = instantiate(built.release);

/** Addresses are the same in all. */
export const implementations: readonly Implementation[] = [
  { name: 'debug WASM', scanner: wasmScanner(debug), writer: wasmWriter(debug) },
  { name: 'release WASM', scanner: wasmScanner(release), writer: wasmWriter(release) },
  {
    name: 'JavaScript',
    scanner: new JsScanner(new Uint8Array(WINDOW_BASE + WINDOW_BYTES)),
    writer: new JsWriter(new Uint8Array(OUTPUT_BASE + OUTPUT_BYTES)),
  },
];

/** Puts bytes into the window and scans them. @returns a copy of the records, words a record */
export function scan(scanner: FrameScanner, bytes: Uint8Array): number[][] {
  scanner.bytes.set(bytes, WINDOW_BASE);
  return scanAt(scanner, WINDOW_BASE, WINDOW_BASE + bytes.length);
}

export function scanAt(scanner: FrameScanner, start: number, end: number): number[][] {
  const count = scanner.scan(start, end);
  const out: number[][] = [];
  for (let i = 0; i < count; i++) {
    out.push([...scanner.records.subarray(i * RECORD_WORDS, (i + 1) * RECORD_WORDS)]);
  }
  return out;
}
