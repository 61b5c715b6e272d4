import { createHash } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { checkIdentifier, identify, MAX_IDENTIFIER_LENGTH } from '../../../host/sandbox/identity.ts';

const test = suite('identity');

test('the hash is that of the address, the namespace and the id', () => {
  const hash = createHash('sha256').update('/run/containerd/containerd.sock/k8s.io/p1').digest('hex');
  const identity = identify('/run/containerd/containerd.sock', 'k8s.io', 'p1');
  assert.is(identity.hash, hash);
  assert.is(identity.key, hash.slice(0, 32));
  assert.is(identity.directory, `/run/kata-containers/${hash.slice(0, 32)}`);
});

test('what containerd accepts is accepted', () => {
  for (const id of ['a', 'A-b.c_9', 'x'.repeat(MAX_IDENTIFIER_LENGTH)]) checkIdentifier('id', id);
});

for (const id of [
  '',
  '.',
  '..',
  '../x',
  'a/b',
  '-a',
  'a-',
  'a..b',
  'a b',
  'a\0b',
  'ä',
  'x'.repeat(MAX_IDENTIFIER_LENGTH + 1),
]) {
  test(`refuses ${JSON.stringify(id.slice(0, 10))}`, () => {
    assert.throws(() => identify('/s', 'ns', id), /^id .*(empty|valid|characters)/);
    assert.throws(() => identify('/s', id, 'x'), /^namespace /);
  });
}

test.run();
