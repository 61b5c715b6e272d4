import { execFileSync } from 'node:child_process';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { core } from '../../../host/core/core.ts';
import { JsScanner } from '../../../host/ttrpc/frame-scanner.ts';
import { frameMemory } from '../../../host/ttrpc/memory.ts';

test('frames are in the memory of the WASM core', () => {
  assert.is(frameMemory().window, core().window);
  assert.is(frameMemory().output, core().output);
  assert.is(frameMemory(), frameMemory());
});

test('without WebAssembly they are on the heap', () => {
  const source = `
    const { frameMemory } = await import(${JSON.stringify(new URL('../../../host/ttrpc/memory.ts', import.meta.url).href)});
    delete globalThis.WebAssembly;
    const { scanner, writer, window, output } = frameMemory();
    const payload = writer.response(output.base, output.end, 7, 3);
    window.set(writer.bytes.subarray(output.base, payload + 3));
    const count = scanner.scan(window.byteOffset, window.byteOffset + payload + 3 - output.base);
    console.log([scanner.constructor.name, count, scanner.records[0], scanner.records[5]].join(' '));`;
  const arguments_ = ['--import', 'tsx', '--input-type=module', '--eval', source];
  const out = execFileSync(process.execPath, arguments_, { encoding: 'utf8' });
  assert.is(out.trim(), `${JsScanner.name} 1 7 3`);
});

test.run();
