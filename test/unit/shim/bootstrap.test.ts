import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { encode } from '../../../host/proto/codec.ts';
import { BootstrapParams } from '../../../host/proto/messages/bootstrap.ts';
import { Any } from '../../../host/proto/messages/google.ts';
import { Options } from '../../../host/proto/messages/runtimeoptions.ts';
import { answer, MAX_STDIN_BYTES, readBootstrap, readStdin } from '../../../host/shim/bootstrap.ts';

const test = suite('bootstrap');

test('containerd 2.3: the answer is JSON, and its socket directory is taken', () => {
  const params = { instance_id: 'x', namespace: 'ns', socket_dir: '/run/elsewhere', containerd_ttrpc_address: '/t' };
  const bootstrap = readBootstrap(encode(BootstrapParams, params), 'ns', 'x');
  assert.equal(bootstrap, {
    params: true,
    socketDirectory: '/run/elsewhere',
    ttrpcAddress: '/t',
    options: undefined,
  });
  assert.equal(JSON.parse(answer(bootstrap, 'unix:///s')), { version: 3, address: 'unix:///s', protocol: 'ttrpc' });
});

test("older containerd: the options' Any decodes as parameters too, and is none", () => {
  const options = encode(Any, {
    type_url: 'runtimeoptions.v1.Options',
    value: encode(Options, { config_path: '/etc/x' }),
  });
  for (const stdin of [options, new Uint8Array(0), Buffer.from('no protobuf \xff')]) {
    const bootstrap = readBootstrap(stdin, 'ns', 'x');
    assert.is(bootstrap.params, false);
    assert.is(answer(bootstrap, 'unix:///s'), 'unix:///s');
  }
  const other = encode(BootstrapParams, { instance_id: 'y', namespace: 'ns' });
  assert.is(readBootstrap(other, 'ns', 'x').params, false);
});

test("the handler's options are taken in either form, and nothing else is", () => {
  const options = { type_url: 'runtimeoptions.v1.Options', value: encode(Options, { config_path: '/etc/x' }) };
  const other = { type_url: 'some.Feature', value: new Uint8Array(0) };
  const params = { instance_id: 'x', namespace: 'ns', extensions: [{ value: other }, { value: options }] };
  for (const stdin of [encode(BootstrapParams, params), encode(Any, options)]) {
    const found = readBootstrap(stdin, 'ns', 'x').options;
    assert.is(found?.type_url, options.type_url);
    assert.equal([...(found?.value ?? [])], [...options.value]);
  }
  assert.is(readBootstrap(encode(Any, other), 'ns', 'x').options, undefined);
});

test('stdin is read to its end or its limit, and a device not at all', () => {
  const directory = mkdtempSync(join(tmpdir(), 'kata-stdin-'));
  const path = join(directory, 'stdin');
  for (const [size, expected] of [
    [0, 0],
    [200_000, 200_000],
    [MAX_STDIN_BYTES + 1, MAX_STDIN_BYTES],
  ] as const) {
    writeFileSync(path, Buffer.alloc(size));
    const fd = openSync(path, 'r');
    assert.is(readStdin(fd).length, expected);
    closeSync(fd);
  }
  const device = openSync('/dev/zero', 'r');
  assert.is(readStdin(device).length, 0);
  closeSync(device);
  rmSync(directory, { recursive: true });
});

test.run();
