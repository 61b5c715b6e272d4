import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { decode } from '../../../host/proto/codec.ts';
import { RuntimeInfo } from '../../../host/proto/messages/containerd_types.ts';
import { RUNTIME_NAME, runtimeInfo } from '../../../host/shim/info.ts';

const test = suite('-info');

test('name, version and features', () => {
  const info = decode(RuntimeInfo, runtimeInfo({ version: '1.2.3', revision: 'abc' }));
  assert.is(info.name, RUNTIME_NAME);
  assert.equal(info.version, { version: '1.2.3', revision: 'abc' });
  assert.is(
    info.features?.type_url,
    'types.containerd.io/opencontainers/runtime-spec/1/features/Features',
    'the name under which containerd finds the type',
  );
  const features = JSON.parse(new TextDecoder().decode(info.features?.value));
  // By the first, containerd's CRI says that mounts can be read-only recursively; by the second, that hostUsers: false cannot be had.
  assert.ok(features.mountOptions.includes('rro'));
  assert.is(features.linux.mountExtensions.idmap.enabled, false);
});

test.run();
