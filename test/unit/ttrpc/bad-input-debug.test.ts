import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { WINDOW_BASE } from '../../../assembly/layout.ts';
import { core } from '../../../host/core/core.ts';
import { built } from '../core/builds.ts';
import { badInput } from './bad-input.ts';

/** The debug build is what the process's core is made of, whatever bytes it is given. */
const Real = WebAssembly.Module;
let made = 0;
(WebAssembly as { Module: unknown }).Module = class {
  constructor() {
    made++;
    // biome-ignore lint/correctness/noConstructorReturn: the module of other bytes.
    return new Real(built.debug as Uint8Array<ArrayBuffer>);
  }
};

const test = suite('the debug build');
test('is used', () => {
  assert.is(core().exports.scanFrames(WINDOW_BASE, WINDOW_BASE), 0);
  assert.is(made, 1);
});
test.run();

badInput('debug WASM');
