import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { MAX_DEPTH, MAX_NAME_BYTES, MAX_PATH_BYTES, placeOf } from '../../../host/resources/cgroup-path.ts';

const test = suite('cgroup path');

test('beside what the path names, in the same parent', () => {
  const sandbox = (path: string) => placeOf(path, 'sb').sandbox;
  assert.is(sandbox('/kubepods/podX/0123'), '/kubepods/podX/kata_sb');
  assert.is(sandbox('/k8s.io/sb'), '/k8s.io/kata_sb');
  assert.is(sandbox('/sb'), '/kata_sb');
  assert.is(sandbox('/'), '/kata_sb');
  assert.is(sandbox(''), '/vc/kata_sb');
  assert.is(sandbox('sb'), '/vc/kata_sb');
  assert.is(sandbox('a/b'), '/vc/a/kata_sb');
  assert.is(sandbox('//a/./b//c'), '/a/b/kata_sb');
  assert.is(placeOf('/a/b', 'sb').overhead, '/kata_overhead/sb');
});

test("systemd's paths", () => {
  const unit = (path: string) => placeOf(path, 'sb').unit;
  assert.equal(unit('a-b.slice:cri-containerd:x'), {
    slice: 'a-b.slice',
    sliceDirectory: '/a.slice/a-b.slice',
    scope: 'cri-containerd-x.scope',
  });
  assert.is(placeOf('a-b.slice:cri-containerd:x', 'sb').sandbox, '/a.slice/a-b.slice/kata_sb');
  assert.equal(unit(':docker:x'), { slice: 'system.slice', sliceDirectory: '/system.slice', scope: 'docker-x.scope' });
  assert.equal(unit('-.slice::x'), { slice: '-.slice', sliceDirectory: '', scope: 'x.scope' });
  for (const path of ['/a.slice:b:c', 'a.slice:b', 'a.slice:b:c:d', 'a:b:c']) assert.is(unit(path), undefined);
  for (const path of ['a--b.slice:p:x', '-a.slice:p:x', '.slice:p:x', 'a.slice:p:', 'a.slice:p:x y', 'ä.slice:p:x']) {
    assert.throws(() => unit(path), /linux\.cgroupsPath/, path);
  }
});

test('what leads elsewhere is refused', () => {
  for (const path of ['/a/../../b', '..', '/..', 'a/..', '/a/b\n/c', '/a\0b/c']) {
    assert.throws(() => placeOf(path, 'sb'), /linux\.cgroupsPath/, path);
  }
  for (const id of ['../x', 'a/b', '..'.concat('/'), 'a\nb'])
    assert.throws(() => placeOf('/a/b', id), /sandbox id/, id);
});

test('limits', () => {
  const name = 'n'.repeat(MAX_NAME_BYTES);
  assert.is(placeOf(`/${name}/x`, 'sb').sandbox, `/${name}/kata_sb`);
  assert.throws(() => placeOf(`/${name}n/x`, 'sb'), /at most 255 bytes/);
  assert.throws(() => placeOf(`/${'ä'.repeat(128)}/x`, 'sb'), /at most 255 bytes/);
  assert.throws(() => placeOf('/a/b', name), /sandbox id/);
  placeOf('/d'.repeat(MAX_DEPTH), 'sb');
  assert.throws(() => placeOf('/d'.repeat(MAX_DEPTH + 1), 'sb'), /33 names/);
  assert.throws(() => placeOf(`${'d-'.repeat(MAX_DEPTH)}d.slice:p:x`, 'sb'), /33 slices deep/);
  const long = `/${'p'.repeat(200)}`.repeat(11);
  assert.ok(long.length > MAX_PATH_BYTES);
  assert.throws(() => placeOf(long, 'sb'), /at most 2048/);
});

test('whatever the path, the cgroup stays in its hierarchy', () => {
  const piece = fc.oneof(fc.constantFrom('..', '.', '/', ':', 'a.slice', '-', '\0', '\n'), fc.string({ maxLength: 5 }));
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      let place: ReturnType<typeof placeOf>;
      try {
        place = placeOf(pieces.join(''), 'sb');
      } catch (thrown) {
        assert.is((thrown as { code: string }).code, 'invalid_argument');
        return;
      }
      assert.ok(place.sandbox.endsWith('/kata_sb'));
      const names = place.sandbox.slice(1).split('/');
      assert.ok(names.every((name) => name !== '' && name !== '.' && name !== '..'));
    }),
  );
});

test.run();
