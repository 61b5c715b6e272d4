/** Finding frames and reading their envelopes: the WASM core's release build beside its tuned JavaScript twin, in one process. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { RECORD_FAULT, RECORD_WORDS, WINDOW_BASE, WINDOW_BYTES } from '../assembly/layout.ts';
import { instantiate } from '../host/core/core.ts';
import { JsScanner } from '../host/ttrpc/frame-scanner.ts';
import { type FrameScanner, wasmScanner } from '../host/ttrpc/frames.ts';
import { BUILD, ROOT } from '../setup/paths.ts';
import { recorded } from '../test/interop/envelopes.ts';
import { frame, REQUEST, RESPONSE, request } from '../test/unit/ttrpc/wire.ts';
import { RUNS } from './statistics.ts';
import { against, head, line } from './table.ts';

/** Milliseconds of one measurement, and of the first, which does not count. */
const MEASURE_MS = 40;
const WARM_UP_MS = 300;
/** Frames between two looks at the clock, at least. */
const STRETCH = 2000;
const GOAL = 2;
/** Where a frame's header has its type. */
const TYPE_OFFSET = 8;
/** Frames of a batch: one call, some, as many as a busy connection brings in one read. */
const SIZES = [1, 8, 64] as const;

interface Batch {
  readonly what: string;
  readonly frames: readonly Uint8Array[];
}

export async function section(): Promise<void> {
  const core = instantiate(readFileSync(join(BUILD, 'wasm/core.release.wasm')));
  const ours = wasmScanner(core);
  const twin = new JsScanner(new Uint8Array(WINDOW_BASE + WINDOW_BYTES));
  line(
    `Node ${process.versions.node}, V8 ${process.versions.v8}, AssemblyScript ${assemblyScriptVersion()}, release build`,
  );
  head('JavaScript twin');
  for (const batch of batches()) {
    const values = { ours: [] as number[], control: [] as number[] };
    for (const scanner of [ours, twin]) nanoseconds(scanner, batch, WARM_UP_MS);
    for (let run = 0; run < RUNS; run++) {
      values.ours.push(nanoseconds(ours, batch, MEASURE_MS));
      values.control.push(nanoseconds(twin, batch, MEASURE_MS));
    }
    against({ what: batch.what, unit: 'ns/frame', ...values, better: 'less', goal: GOAL, digits: 1 });
  }
}

function batches(): Batch[] {
  const small = (count: number) => ({
    what: `small requests, ${count} a batch`,
    frames: Array.from({ length: count }, (_, i) =>
      request(2 * i + 1, {
        service: 'containerd.task.v2.Task',
        method: 'State',
        payload: Buffer.from('\n\x0452f1'),
        timeout_nano: 10_000_000_000,
      }),
    ),
  });
  const real = recorded().map(({ type, data }, i) => frame(2 * i + 1, type === 'request' ? REQUEST : RESPONSE, data));
  const recordings = SIZES.map((count) => ({
    what: `recorded traffic, ${count} a batch`,
    frames: spread(real, count),
  }));
  return [...recordings, ...SIZES.map(small)];
}

/** So many frames from all over the recordings: half of them requests, one alone is a request. */
function spread(frames: readonly Uint8Array[], count: number): Uint8Array[] {
  const first = frames.findIndex((bytes) => bytes[TYPE_OFFSET] === REQUEST);
  return Array.from(
    { length: count },
    (_, i) => frames[first + Math.floor((i * (frames.length - first)) / count)] as Uint8Array,
  );
}

/** Nanoseconds of processor time a frame, over `ms` of it: what else the machine does is not in it. */
function nanoseconds(scanner: FrameScanner, { what, frames }: Batch, ms: number): number {
  const bytes = Buffer.concat(frames);
  scanner.bytes.set(bytes, WINDOW_BASE);
  const end = WINDOW_BASE + bytes.length;
  const count = scanner.scan(WINDOW_BASE, end);
  const faults = frames.filter((_, i) => scanner.records[i * RECORD_WORDS + RECORD_FAULT] !== 0);
  if (count !== frames.length || faults.length > 0) throw new Error(`${what}: ${count} found, ${faults.length} faulty`);
  const stretch = Math.ceil(STRETCH / count);
  let scans = 0;
  const since = process.cpuUsage();
  let spent = 0;
  while (spent < ms * 1000) {
    for (let i = 0; i < stretch; i++) scanner.scan(WINDOW_BASE, end);
    scans += stretch;
    const { user, system } = process.cpuUsage(since);
    spent = user + system;
  }
  return (spent * 1000) / (scans * count);
}

function assemblyScriptVersion(): string {
  const path = join(ROOT, 'node_modules/assemblyscript/package.json');
  return (JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version;
}
