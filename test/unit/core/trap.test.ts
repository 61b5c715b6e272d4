import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { OUTPUT_BASE, OUTPUT_BYTES, STATE_CONSUMED, STATE_FRAME_END, WINDOW_BASE } from '../../../assembly/layout.ts';
import { type Core, instantiate } from '../../../host/core/core.ts';
import { onTrap, Traps } from '../../../host/core/trap.ts';
import { wasmBytes } from '../../../host/core/wasm-bytes.ts';
import { KataError } from '../../../host/error.ts';
import { translate } from '../../../host/oci/translate.ts';
import { wasmScanner, wasmWriter } from '../../../host/ttrpc/frames.ts';
import { scan } from '../ttrpc/implementations.ts';
import { DATA, frame } from '../ttrpc/wire.ts';
import { TRAPS, trapBy } from './trapping.ts';

const test = suite<{ core: Core; told: KataError[] }>('traps of the WASM core');

test.before.each((context) => {
  context.core = instantiate(wasmBytes());
  context.told = [];
  onTrap((error) => context.told.push(error));
});

test.after.each(() => {
  trapBy(undefined);
  onTrap(() => {});
});

for (const [reason, trap] of Object.entries(TRAPS)) {
  test(`${reason}: a scan fails, the next ones are the twin's`, ({ core, told }) => {
    const scanner = wasmScanner(core);
    const bytes = Buffer.concat([frame(1, DATA, Buffer.from('one')), frame(3, DATA, Buffer.from('two'))]);
    const before = scan(scanner, bytes);
    trapBy(trap);
    assert.throws(
      () => scan(scanner, bytes),
      (error: unknown) =>
        error instanceof KataError &&
        error.code === 'internal' &&
        error.message.startsWith('the WASM core trapped in scanFrames: ') &&
        error.message.includes(reason),
    );
    core.records.fill(0);
    core.state.fill(0);
    assert.equal(scan(scanner, bytes), before);
    assert.is(core.state[STATE_CONSUMED], WINDOW_BASE + bytes.length);
    assert.is(told.length, 1);
    assert.is(core.traps.first, told[0]);
  });
}

test('a frame is written by the twin instead', ({ core, told }) => {
  const written = (): string[] => {
    const writer = wasmWriter(core);
    const limit = OUTPUT_BASE + OUTPUT_BYTES;
    const frames = [
      () => writer.response(OUTPUT_BASE, limit, 7, 300),
      () => writer.status(OUTPUT_BASE, limit, 7, 5, 200, 30),
      () => writer.data(OUTPUT_BASE, limit, 7, 1, 300),
      () => writer.request(OUTPUT_BASE, limit, 7, 2, 10, 0, 5, 6, 9),
    ];
    return frames.map((put) => {
      core.memory.fill(0, OUTPUT_BASE, OUTPUT_BASE + 64);
      core.state[STATE_FRAME_END] = 0;
      const at = put();
      const bytes = core.memory.subarray(OUTPUT_BASE, OUTPUT_BASE + 64);
      return [at, core.state[STATE_FRAME_END], Buffer.from(bytes).toString('hex')].join(' ');
    });
  };
  const before = written();
  trapBy(TRAPS.unreachable);
  assert.equal(written(), before);
  assert.is(told.length, 1);
});

test('a document is translated by the twin instead', ({ core, told }) => {
  const json = Buffer.from('{"hostname":"h","mounts":[{"destination":"/x"}]}');
  const before = translate(core.exports, 'Spec', json, core.traps);
  trapBy(TRAPS.unreachable);
  assert.equal(translate(core.exports, 'Spec', json, core.traps), before);
  trapBy(undefined);
  assert.equal(translate(core.exports, 'Spec', json, core.traps), before);
  assert.is(told.length, 1);
  assert.throws(
    () => translate(core.exports, 'Spec', Buffer.from('{"hostname":1}'), core.traps),
    (error: unknown) => error instanceof KataError && error.code === 'invalid_argument',
  );
});

test('the first trap is told, and told once; what is no trap passes', () => {
  const told: KataError[] = [];
  onTrap((error) => told.push(error));
  const traps = new Traps();
  const other = new TypeError('x');
  assert.throws(
    () => traps.note('scanFrames', other),
    (error: unknown) => error === other,
  );
  assert.is(traps.first, undefined);
  const first = traps.note('scanFrames', new WebAssembly.RuntimeError('a'));
  traps.note('scanFrames', new WebAssembly.RuntimeError('b'));
  assert.is(traps.first, first);
  assert.equal(told, [first]);
});

test.run();
