import { deepStrictEqual } from 'node:assert';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { OCI_INPUT_BASE, OCI_OUTPUT_BASE } from '../../../assembly/layout.ts';
import * as errors from '../../../assembly/oci/errors.ts';
import { MAX_DEPTH, MAX_INPUT } from '../../../assembly/oci/limits.ts';
import { translateSpec } from '../../../host/oci/translate.ts';
import { BUILDS, refuses } from './builds.ts';
import { reading } from './oracle.ts';

const limits = suite('limits of a document');

limits(`${MAX_DEPTH} levels`, () => {
  for (const [open, inner, close] of [
    ['[', '', ']'],
    ['{"a":', '1', '}'],
  ] as const) {
    const nested = (levels: number): string => `{"x":${open.repeat(levels)}${inner}${close.repeat(levels)}}`;
    for (const { translate } of BUILDS) assert.is(translate('Spec', Buffer.from(nested(MAX_DEPTH - 1))).length, 0);
    refuses(nested(MAX_DEPTH), errors.TOO_DEEP, 5 + open.length * (MAX_DEPTH - 1));
    refuses(`{"x":${open.repeat(500_000)}`, errors.TOO_DEEP, 5 + open.length * (MAX_DEPTH - 1));
  }
});

limits(`${MAX_INPUT} bytes`, () => {
  const full = Buffer.alloc(MAX_INPUT, ' ');
  full.write('{"hostname":"h"}', MAX_INPUT - 16);
  for (const { translate } of BUILDS) deepStrictEqual(reading('Spec', translate('Spec', full)), { Hostname: 'h' });
  const text = Buffer.alloc(MAX_INPUT, 'x');
  text.write('{"hostname":"');
  text.write('"}', MAX_INPUT - 2);
  for (const { translate } of BUILDS) assert.is(translate('Spec', text).length, MAX_INPUT - 15 + 5);
  refuses(Buffer.alloc(MAX_INPUT + 1, ' '), errors.TOO_LARGE, MAX_INPUT);
  assert.throws(
    () => translateSpec(Buffer.alloc(MAX_INPUT + 1, ' ')),
    (thrown: Error) =>
      thrown.message ===
      'config.json: expected at most 8388608 bytes, found 8388609; correct the OCI spec in the bundle, or the tool that wrote it',
  );
});

limits('a translation larger than the largest document', () => {
  // Each entry takes 6 bytes of JSON and 7 of protobuf.
  const entries = '"":"",'.repeat((MAX_INPUT - 100) / 6);
  const head = '{"unified":{';
  const json = Buffer.from(`${head}${entries}"":""}}`);
  // The next one has room for two tags and a length, not for its key's.
  const offset = head.length + Math.floor(MAX_INPUT / 7) * 6 + 2;
  refuses(json, errors.OUTPUT_FULL, offset, 'LinuxResources');
  for (const { translate } of BUILDS) {
    const fits = Buffer.from(`${head}${entries.slice(0, Math.floor(MAX_INPUT / 7) * 6 - 6)}"":""}}`);
    assert.is(translate('LinuxResources', fits).length, Math.floor(MAX_INPUT / 7) * 7);
  }
});

limits('replacing large values over and over ends', () => {
  const large = `"env":["${'e'.repeat(60_000)}"]`;
  const round = `"cwd":"/",${large},"apparmorProfile":"a","selinuxLabel":"l",`;
  const json = Buffer.from(`{${round.repeat(Math.floor((MAX_INPUT - 100) / round.length))}"cwd":"/","terminal":true}`);
  for (const { translate } of BUILDS) {
    const { Env, ...rest } = reading('Process', translate('Process', json)) as { Env: string[] };
    assert.is(Env.length, 1);
    deepStrictEqual(rest, { Terminal: true, Cwd: '/', ApparmorProfile: 'a', SelinuxLabel: 'l' });
  }
});

limits('an output that is too small is never overrun', () => {
  // The last message is long enough for a length of two bytes, which is put in when the message is complete.
  const process = `{"user":{"uid":300,"additionalGids":[1,300]},"oomScoreAdj":-1,"args":["${'a'.repeat(150)}"]}`;
  const json = Buffer.from(`{"hostname":"\\u00e9abc","annotations":{"a":"b"},"process":${process}}`);
  for (const { wasm, translate } of BUILDS) {
    if (!wasm) continue;
    const whole = translate('Spec', json);
    const memory = new Uint8Array(wasm.memory.buffer);
    for (let capacity = 0; capacity <= whole.length; capacity++) {
      memory.fill(0xa5, OCI_OUTPUT_BASE, OCI_OUTPUT_BASE + whole.length + 64);
      memory.set(json, OCI_INPUT_BASE);
      const length = wasm.ociTranslate(0, OCI_INPUT_BASE, json.length, OCI_OUTPUT_BASE, capacity);
      assert.is(length, capacity < whole.length ? -1 : whole.length);
      assert.is(wasm.ociError(), capacity < whole.length ? errors.OUTPUT_FULL : 0);
      const beyond = memory.subarray(OCI_OUTPUT_BASE + capacity, OCI_OUTPUT_BASE + whole.length + 64);
      assert.ok(
        beyond.every((byte) => byte === 0xa5),
        `capacity ${capacity}`,
      );
    }
  }
});

limits('a call with arguments that make no sense does not trap', () => {
  for (const { wasm } of BUILDS) {
    if (!wasm) continue;
    const size = wasm.memory.buffer.byteLength;
    const calls: readonly [number, number, number, number, number][] = [
      [-1, OCI_INPUT_BASE, 2, OCI_OUTPUT_BASE, 100],
      [32, OCI_INPUT_BASE, 2, OCI_OUTPUT_BASE, 100],
      [0, size - 1, 2, OCI_OUTPUT_BASE, 100],
      [0, -1, 2, OCI_OUTPUT_BASE, 100],
      [0, OCI_INPUT_BASE, -1, OCI_OUTPUT_BASE, 100],
      [0, OCI_INPUT_BASE, 2, size, 1],
      [0, OCI_INPUT_BASE, 2, OCI_OUTPUT_BASE, -1],
    ];
    for (const call of calls) {
      assert.is(wasm.ociTranslate(...call), -1);
      assert.is(wasm.ociError(), errors.BAD_CALL, String(call));
    }
  }
});

limits.run();
