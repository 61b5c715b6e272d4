/** What pods mount: of the host, of the kubelet's making, and in memory. The host's files are what the test looks at. */
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import * as assert from 'uvu/assert';
import { succeed } from '../../setup/command.ts';
import { until } from '../harness/containers.ts';
import type { Container, Pod } from '../harness/cri/pods.ts';
import { type CriBench, eachCri } from '../harness/cri/suite.ts';

const MANY = 100;
const TMPFS_KIB = 512;

eachCri('volumes', (test) => {
  let pod: Pod;

  test('a pod', async ({ pods }) => {
    pod = await pods.run();
  });

  test('a directory is shared both ways, with owners and modes', async (bench) => {
    const host_path = directory(bench);
    writeFileSync(`${host_path}/of-host`, 'from the host\n');
    chownSync(`${host_path}/of-host`, 1234, 5678);
    chmodSync(`${host_path}/of-host`, 0o640);
    const container = await pod.container({ mounts: [{ container_path: '/data', host_path }] });
    assert.is(
      await container.sh('cat /data/of-host; stat -c "%u %g %a" /data/of-host'),
      'from the host\n1234 5678 640\n',
    );
    await container.sh('echo inside >/data/of-pod; mkdir /data/sub; chown 77:88 /data/of-pod');
    assert.is(readFileSync(`${host_path}/of-pod`, 'utf8'), 'inside\n');
    assert.equal([statSync(`${host_path}/of-pod`).uid, statSync(`${host_path}/of-pod`).gid], [77, 88]);
    writeFileSync(`${host_path}/sub/later`, 'later\n');
    await until('it is seen', async () => (await container.run(['cat', '/data/sub/later'])).stdout === 'later\n');
    await end(container);
  });

  test('a file is mounted, over one of the image’s and where none was', async (bench) => {
    const place = directory(bench);
    const host_path = `${place}/file`;
    writeFileSync(host_path, 'mounted\n');
    const mounts = ['/etc/group', '/new/place/file'].map((container_path) => ({ container_path, host_path }));
    const container = await pod.container({ mounts });
    assert.is(await container.sh('cat /etc/group /new/place/file'), 'mounted\nmounted\n');
    await container.sh('echo more >>/etc/group');
    assert.is(readFileSync(host_path, 'utf8'), 'mounted\nmore\n');
    await end(container);
  });

  test('read-only is read-only for a privileged container too', async (bench) => {
    const host_path = directory(bench);
    writeFileSync(`${host_path}/file`, 'kept\n');
    const container = await pod.container({ mounts: [{ container_path: '/data', host_path, readonly: true }] });
    const done = await container.run(['sh', '-c', 'echo changed >/data/file']);
    assert.is(done.code, 1);
    assert.match(done.stderr, 'Read-only file system');
    assert.is.not((await container.run(['touch', '/data/new'])).code, 0);
    assert.is(readFileSync(`${host_path}/file`, 'utf8'), 'kept\n');
    await end(container);
  });

  test('one volume is writable here and read-only there', async (bench) => {
    const host_path = directory(bench);
    const mounts = [
      { container_path: '/rw', host_path },
      { container_path: '/ro', host_path, readonly: true },
    ];
    const container = await pod.container({ mounts });
    await container.sh('echo one >/rw/file');
    assert.is(await container.sh('cat /ro/file'), 'one\n');
    assert.is.not((await container.run(['touch', '/ro/file'])).code, 0);
    await end(container);
  });

  test('containers of a pod share a volume', async (bench) => {
    const host_path = directory(bench);
    const mounts = [{ container_path: '/shared', host_path }];
    const [one, two] = [await pod.container({ mounts }), await pod.container({ mounts })];
    await one.sh('echo hello >/shared/file');
    assert.is(await two.sh('cat /shared/file'), 'hello\n');
    await end(one);
    await end(two);
  });

  test('an update of a ConfigMap is seen', async (bench) => {
    const host_path = directory(bench);
    configMap(host_path, '1', 'old\n');
    const container = await pod.container({ mounts: [{ container_path: '/config', host_path, readonly: true }] });
    assert.is(await container.sh('cat /config/key'), 'old\n');
    configMap(host_path, '2', 'new\n');
    await until('it is seen', async () => (await container.sh('cat /config/key')) === 'new\n');
    await end(container);
  });

  test('a volume in memory has its size', async (bench) => {
    const host_path = directory(bench);
    await succeed(['mount', '-t', 'tmpfs', '-o', `size=${TMPFS_KIB}k`, 'tmpfs', host_path]);
    try {
      const container = await pod.container({ mounts: [{ container_path: '/memory', host_path }] });
      const write = (kib: number) =>
        container.run(['dd', 'if=/dev/zero', `of=/memory/${kib}`, 'bs=1k', `count=${kib}`]);
      assert.is((await write(TMPFS_KIB / 2)).code, 0);
      const done = await write(TMPFS_KIB);
      assert.is(done.code, 1);
      assert.match(done.stderr, 'No space left on device');
      await end(container);
    } finally {
      await succeed(['umount', host_path]);
    }
  });

  test('/dev/shm is the pod’s', async () => {
    const [one, two] = [await pod.container(), await pod.container()];
    await one.sh('echo shared >/dev/shm/file');
    assert.is(await two.sh('cat /dev/shm/file'), 'shared\n');
    await end(one);
    await end(two);
  });

  test('a mount below an absolute link of the image stays in the image', async (bench) => {
    const host_path = directory(bench);
    writeFileSync(`${host_path}/file`, 'content\n');
    const name = `kata-test-${process.pid}`;
    const container = await pod.container({ mounts: [{ container_path: `/var/run/${name}`, host_path }] });
    assert.is(await container.sh(`cat /run/${name}/file`), 'content\n');
    assert.not.ok(existsSync(`/run/${name}`), 'it was made on the host');
    await end(container);
  });

  test('a device of the host’s kind is there', async () => {
    const container = await pod.container({
      devices: [{ host_path: '/dev/zero', container_path: '/dev/nothing-but-zeros', permissions: 'rwm' }],
    });
    assert.is(await container.sh('head -c 4 /dev/nothing-but-zeros | od -An -tx1'), ' 00 00 00 00\n');
    await end(container);
  });

  test('a mount made on the host later is seen where the volume says so', async (bench) => {
    const host_path = directory(bench);
    await succeed(['mount', '--bind', host_path, host_path]);
    await succeed(['mount', '--make-shared', host_path]);
    try {
      mkdirSync(`${host_path}/below`);
      const container = await pod.container({
        mounts: [{ container_path: '/data', host_path, propagation: 'PROPAGATION_HOST_TO_CONTAINER' }],
      });
      await succeed(['mount', '-t', 'tmpfs', 'tmpfs', `${host_path}/below`]);
      writeFileSync(`${host_path}/below/file`, 'late\n');
      await until('it is seen', async () => (await container.run(['cat', '/data/below/file'])).stdout === 'late\n');
      await end(container);
    } finally {
      await succeed(['umount', '--recursive', host_path]);
    }
  });

  test(`${MANY} mounts in one container`, async (bench) => {
    const place = directory(bench);
    const mounts = Array.from({ length: MANY }, (_, i) => {
      const host_path = `${place}/${i}`;
      if (i % 2 === 0) mkdirSync(host_path);
      writeFileSync(i % 2 === 0 ? `${host_path}/file` : host_path, `${i}\n`);
      return { container_path: `/many/${i}`, host_path, readonly: i % 3 === 0 };
    });
    const container = await pod.container({ mounts });
    const all = await container.sh(
      `for i in $(seq 0 ${MANY - 1}); do cat /many/$i/file 2>/dev/null || cat /many/$i; done`,
    );
    assert.is(all, mounts.map((_, i) => `${i}\n`).join(''));
    await end(container);
  });

  test('files that were open when their container ended are whole', async (bench) => {
    const host_path = directory(bench);
    const container = await pod.container({
      command: ['sh', '-c', 'yes line | head -n 100000 >/data/file; exit 3'],
      mounts: [{ container_path: '/data', host_path }],
    });
    assert.is((await container.exited()).exit_code, 3);
    assert.is(statSync(`${host_path}/file`).size, 500_000);
    await container.remove();
  });

  test('the pod goes, the host’s files stay', async ({ daemon }) => {
    const kept = directoriesOf(daemon.directory);
    await pod.remove();
    assert.equal(await daemon.leftovers(), []);
    for (const path of kept) assert.ok(existsSync(path));
    rmSync(`${daemon.directory}/volumes`, { recursive: true });
  });
});

function directory({ daemon }: CriBench): string {
  mkdirSync(`${daemon.directory}/volumes`, { recursive: true });
  const made = mkdtempSync(`${daemon.directory}/volumes/`);
  chmodSync(made, 0o755);
  return made;
}

function directoriesOf(daemon: string): string[] {
  return [`${daemon}/volumes`];
}

async function end(container: Container): Promise<void> {
  await container.stop();
  await container.remove();
}

/** Writes a volume as kubelets do: files in a directory of their own, named by a link that is exchanged at once. */
function configMap(volume: string, version: string, value: string): void {
  mkdirSync(`${volume}/..${version}`);
  writeFileSync(`${volume}/..${version}/key`, value);
  symlinkSync(`..${version}`, `${volume}/..data_tmp`);
  renameSync(`${volume}/..data_tmp`, `${volume}/..data`);
  if (!existsSync(`${volume}/key`)) symlinkSync('..data/key', `${volume}/key`);
}
