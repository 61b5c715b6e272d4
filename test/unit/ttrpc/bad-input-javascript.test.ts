import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { JsScanner } from '../../../host/ttrpc/frame-scanner.ts';
import { frameMemory } from '../../../host/ttrpc/memory.ts';
import { badInput } from './bad-input.ts';

/** As where WebAssembly cannot be had. */
(WebAssembly as { Module: unknown }).Module = class {
  constructor() {
    throw new Error('no WebAssembly');
  }
};

const test = suite('without WebAssembly');
test('the twin is used', () => {
  assert.ok(frameMemory().scanner instanceof JsScanner);
});
test.run();

badInput('JavaScript');
