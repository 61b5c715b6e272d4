import { readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import * as layout from '../../../assembly/layout.ts';
import { core, instantiate, Region } from '../../../host/core/core.ts';
import { wasmBytes } from '../../../host/core/wasm-bytes.ts';
import { HEADER_BYTES, MAX_DATA_BYTES } from '../../../host/ttrpc/types.ts';
import { built, embed } from './builds.ts';

const EMBEDDED = new URL('../../../host/core/wasm-bytes.ts', import.meta.url);
const PAGE = 65536;
/** Largest module that is embedded. */
const MAX_MODULE_BYTES = 32 * 1024;

const wasm = suite('WASM core');

wasm('the committed bytes are what assembly/ compiles to', () => {
  assert.ok(
    readFileSync(EMBEDDED, 'utf8') === embed(built.release),
    'host/core/wasm-bytes.ts is stale: run npm run wasm',
  );
});

wasm('a changed byte is told from what assembly/ compiles to', () => {
  const changed = Uint8Array.from(built.release);
  changed[changed.length - 1] = (changed[changed.length - 1] as number) ^ 1;
  assert.not(readFileSync(EMBEDDED, 'utf8') === embed(changed));
});

wasm(`the embedded module has at most ${MAX_MODULE_BYTES} bytes`, () => {
  assert.ok(wasmBytes().length <= MAX_MODULE_BYTES, `${wasmBytes().length} bytes`);
  assert.is(Buffer.compare(wasmBytes(), built.release), 0);
});

for (const [name, bytes] of [
  ['debug', built.debug],
  ['release', built.release],
] as const) {
  wasm(`${name}: needs nothing of its host`, () => {
    assert.equal(WebAssembly.Module.imports(new WebAssembly.Module(Uint8Array.from(bytes))), []);
  });

  wasm(`${name}: memory is fixed`, () => {
    const { exports, memory } = instantiate(bytes);
    assert.is(memory.length, layout.MEMORY_BYTES);
    const { grow } = exports.memory as unknown as { grow: (pages: number) => number };
    assert.throws(() => grow.call(exports.memory, 1));
    assert.is(exports.memory.buffer.byteLength, layout.MEMORY_BYTES);
  });

  wasm(`${name}: static data lies below the first region`, () => {
    const { memory } = instantiate(bytes);
    assert.ok(memory.subarray(0, layout.STATIC_BASE).every((byte) => byte === 0));
    assert.ok(memory.subarray(layout.STATIC_END).every((byte) => byte === 0));
  });
}

wasm('the regions follow each other and fill memory', () => {
  const regions = [
    [layout.STATIC_BASE, layout.STATIC_END - layout.STATIC_BASE],
    [layout.RECORDS_BASE, layout.MAX_RECORDS * layout.RECORD_BYTES],
    [layout.STATE_BASE, layout.STATE_WORDS * 4],
    [layout.OCI_SCRATCH_BASE, layout.OCI_SCRATCH_BYTES],
    [layout.WINDOW_BASE, layout.WINDOW_BYTES],
    [layout.OUTPUT_BASE, layout.OUTPUT_BYTES],
    [layout.OCI_INPUT_BASE, layout.OCI_INPUT_BYTES],
    [layout.OCI_OUTPUT_BASE, layout.OCI_OUTPUT_BYTES],
  ] as const;
  let end = 0;
  for (const [base, bytes] of regions) {
    assert.ok(base >= end, `region at 0x${base.toString(16)}`);
    end = base + bytes;
  }
  assert.is(end, layout.MEMORY_BYTES);
  assert.is(layout.MEMORY_PAGES * PAGE, layout.MEMORY_BYTES);
});

wasm('module, host and configuration name the same numbers', () => {
  const config = JSON.parse(readFileSync(new URL('../../../asconfig.json', import.meta.url), 'utf8')) as {
    options: Record<string, unknown>;
  };
  assert.is(config.options.initialMemory, layout.MEMORY_PAGES);
  assert.is(config.options.maximumMemory, layout.MEMORY_PAGES);
  assert.is(config.options.memoryBase, layout.STATIC_BASE);
  assert.is(layout.FRAME_HEADER_BYTES, HEADER_BYTES);
  assert.is(layout.FRAME_MAX_DATA_BYTES, MAX_DATA_BYTES);
  assert.is(layout.RECORD_WORDS * 4, layout.RECORD_BYTES);
});

wasm('one instance a process, with views where the map says', () => {
  const shared = core();
  assert.is(core(), shared);
  shared.window[0] = 7;
  assert.is(shared.memory[layout.WINDOW_BASE], 7);
  shared.state[1] = 0x01020304;
  assert.is(shared.memory[layout.STATE_BASE + 4], 4);
});

wasm('a region has one holder', () => {
  const region = new Region(1, 2);
  assert.ok(region.acquire());
  assert.not(region.acquire());
  region.release();
  assert.ok(region.acquire());
});

wasm.run();
