/** `shared_fs = "none"`: root file systems as disks and volumes as copies, in a real VM. One boot serves all tests. */
import { mkdirSync, readdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { privateMounts } from '../../host/storage/mounts.ts';
import { inOwnNamespace } from '../harness/own-namespace.ts';
import { SharingVm } from './sharing-vm.ts';

inOwnNamespace(import.meta.url);
privateMounts();

const copied = suite('nothing shared');
const host = new SharingVm('none');
const { directory } = host;

copied.before(() => host.boot());
copied.after(() => host.end());

copied('a root file system is a disk of its own, writable, and the image is untouched', async () => {
  const before = readdirSync(join(directory, 'image'));
  const script = 'echo x > /new; cat /new; awk \'$2 == "/" { print $3 }\' /proc/mounts | tail -n 1';
  assert.is(await host.output([], script), 'x\next4');
  assert.equal(readdirSync(join(directory, 'image')), before);
  assert.equal(readdirSync(join(directory, 'images')), []);
  assert.is(host.share.daemon, undefined);
});

copied('files and directories are copies, the same for all containers', async () => {
  const source = join(directory, 'data');
  mkdirSync(join(source, 'sub'), { recursive: true });
  writeFileSync(join(source, 'sub/file'), 'of the host');
  writeFileSync(join(source, 'large'), Buffer.alloc(3 * 1024 * 1024 + 1, 'x'));
  const mounts = [
    { source },
    { destination: '/etc/hosts', source: join(source, 'sub/file'), options: ['rbind', 'ro'] },
  ];
  assert.is(
    await host.output(mounts, 'cat /v0/sub/file /etc/hosts; wc -c < /v0/large; echo new > /v0/new'),
    `of the hostof the host${3 * 1024 * 1024 + 1}`,
  );
  assert.is(await host.output([{ source }], 'cat /v0/new'), 'new');
  assert.equal(readdirSync(source).sort(), ['large', 'sub']);
});

copied('a ConfigMap is brought up to date', async () => {
  const source = join(directory, 'kubernetes.io~configmap', 'config');
  mkdirSync(join(source, '..1'), { recursive: true });
  writeFileSync(join(source, '..1/key'), 'old');
  symlinkSync('..1', join(source, '..data'));
  symlinkSync('..data/key', join(source, 'key'));
  const { id, remove } = await host.start([{ source, options: ['rbind', 'ro'] }]);
  try {
    assert.is(await host.pod.sh(id, 'cat /v0/key'), 'old');
    mkdirSync(join(source, '..2'));
    writeFileSync(join(source, '..2/key'), 'new');
    symlinkSync('..2', join(source, '..data_tmp'));
    renameSync(join(source, '..data_tmp'), join(source, '..data'));
    await host.prints(id, 'cat /v0/key', 'new');
  } finally {
    await remove();
  }
});

copied('an emptyDir is the pod’s, in the guest', async () => {
  const source = join(directory, 'kubernetes.io~empty-dir', 'scratch');
  mkdirSync(source, { recursive: true });
  await host.output([{ source }], 'echo kept > /v0/file');
  assert.is(await host.output([{ destination: '/other', source }], 'cat /other/file'), 'kept');
  assert.equal(readdirSync(source), []);
});

copied('what cannot be copied is left out', async () => {
  const out = await host.output([{ source: '/dev/null', destination: '/v' }], 'ls -d /v 2>&1 || true');
  assert.match(out, /No such file/);
  assert.match(host.warnings.join('\n'), /a char cannot be copied/);
});

copied.run();
