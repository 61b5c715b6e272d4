/** Volumes as containers see them: the storage classes, a real VM, the agent and crun. One boot serves all tests. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { MS, native } from '../../host/native.ts';
import { GUEST_SHM } from '../../host/oci/rules.ts';
import { AgentServiceService as methods } from '../../host/proto/messages/agent.ts';
import { addDirectVolume, sandboxesOf } from '../../host/storage/direct-volume.ts';
import { privateMounts, unmount } from '../../host/storage/mounts.ts';
import { inOwnNamespace, mountsBelow } from '../harness/own-namespace.ts';
import { SharingVm } from './sharing-vm.ts';

inOwnNamespace(import.meta.url);
privateMounts();

const MIB = 1024 * 1024;

const volumes = suite('volumes in containers');
const host = new SharingVm('virtio-fs');
const { directory } = host;

volumes.before(() => host.boot());
volumes.after(() => host.end());

function makeDirectory(name: string): string {
  const path = join(directory, name);
  mkdirSync(path, { recursive: true });
  writeFileSync(join(path, 'file'), `${name}\n`);
  return path;
}

volumes('a file over a file, a directory over nothing, read-only and not', async () => {
  const source = makeDirectory('plain');
  const out = await host
    .output(
      [
        { destination: '/etc/hosts', source: join(source, 'file'), options: ['rbind', 'rprivate', 'ro'] },
        { destination: '/made/for/it', source },
      ],
      'cat /etc/hosts /made/for/it/file; echo x 2>&1 > /etc/hosts; echo y > /made/for/it/new; cat /made/for/it/new',
    )
    .catch((error: Error) => error.message);
  assert.match(out, /plain\nplain\n.*y$/s);
  assert.match(out, /Read-only file system|can't create/);
});

for (const destination of ['/absolute', '/dangling', '/upwards', '/absolute/below/it']) {
  volumes(`mounted at ${destination}, a link of the image, it stays in the container`, async () => {
    const source = makeDirectory('at-link');
    const out = await host.output([{ destination, source }], `cat ${destination}/file; grep -c ' /real' /proc/mounts`);
    assert.is(out, 'at-link\n1');
    assert.equal(mountsBelow('/real'), []);
  });
}

volumes('a hundred of one container', async () => {
  const source = makeDirectory('many');
  const mounts = Array.from({ length: 100 }, (_, i) => ({
    destination: `/many/${i}`,
    source: i % 2 ? source : join(source, 'file'),
  }));
  assert.is(await host.output(mounts, `grep -c ' /many/' /proc/mounts; cat /many/0 /many/99/file`), '100\nmany\nmany');
});

volumes('an emptyDir of medium Memory has its size, and outlives its containers', async () => {
  const source = join(directory, 'kubernetes.io~empty-dir', 'cache');
  mkdirSync(source, { recursive: true });
  native().mount('tmpfs', source, 'tmpfs', 0, 'size=4m,mode=0777', '');
  try {
    const first = await host.output(
      [{ destination: '/cache', source }],
      "dd if=/dev/zero of=/cache/big bs=1M count=8 2>/dev/null; stat -c '%s %a' /cache/big /cache; rm /cache/big; echo kept > /cache/kept",
    );
    assert.equal(first.split('\n').map((line) => line.split(' ')[0])[0], `${4 * MIB}`);
    assert.match(first, / 777$/);
    assert.is(await host.output([{ destination: '/other', source }], 'cat /other/kept'), 'kept');
    assert.equal(readdirSync(source), []);
  } finally {
    unmount(source);
  }
});

volumes('a subPath of it is seen by those who have the whole', async () => {
  const kubelet = join(directory, 'kubelet');
  const source = join(kubelet, 'volumes/kubernetes.io~empty-dir/parts');
  const part = join(kubelet, 'volume-subpaths/parts/main/0');
  for (const path of [source, part]) mkdirSync(path, { recursive: true });
  native().mount('tmpfs', source, 'tmpfs', 0, 'size=4m,mode=0777', '');
  mkdirSync(join(source, 'a/b'), { recursive: true });
  native().mount(join(source, 'a/b'), part, '', MS.BIND, '', '');
  try {
    assert.is(await host.output([{ destination: '/part', source: part }], 'echo x > /part/file; ls /part'), 'file');
    assert.is(await host.output([{ destination: '/whole', source }], 'cat /whole/a/b/file'), 'x');
    const linking = 'rm -r /whole/a/b; ln -s / /whole/a/b';
    await host.output([{ destination: '/whole', source }], linking);
    const refused = await host.output([{ destination: '/part', source: part }], 'ls /part').catch(String);
    assert.match(refused, /"b" is no directory; links are not followed/);
  } finally {
    unmount(part);
    unmount(source);
  }
});

volumes('/dev/shm is one for the pod', async () => {
  const shm = [{ destination: '/dev/shm', type: 'bind', source: GUEST_SHM, options: ['rbind'] }];
  const first = await host.start([], 'sleep 1000', shm);
  const second = await host.start([], 'sleep 1000', shm);
  await host.pod.sh(first.id, 'echo shared > /dev/shm/x');
  assert.is(await host.pod.sh(second.id, 'cat /dev/shm/x'), 'shared');
  assert.is(await host.pod.sh(second.id, "df -k /dev/shm | awk 'END { print $2 }'"), '65536');
  await first.remove();
  await second.remove();
});

volumes('a ConfigMap is exchanged, and inotify tells of it', async () => {
  const source = join(directory, 'kubernetes.io~configmap', 'config');
  mkdirSync(join(source, '..1'), { recursive: true });
  writeFileSync(join(source, '..1/key'), 'old');
  symlinkSync('..1', join(source, '..data'));
  symlinkSync('..data/key', join(source, 'key'));
  const { id, remove } = await host.start([{ destination: '/config', source, options: ['rbind', 'ro'] }]);
  try {
    assert.is(await host.pod.sh(id, 'cat /config/key'), 'old');
    const watcher = host.pod.exec(id, ['watcher', '/config']);
    await sleep(1000);
    mkdirSync(join(source, '..2'));
    writeFileSync(join(source, '..2/key'), 'new');
    symlinkSync('..2', join(source, '..data_tmp'));
    renameSync(join(source, '..data_tmp'), join(source, '..data'));
    rmSync(join(source, '..1'), { recursive: true });
    await host.prints(id, 'cat /config/key', 'new');
    assert.is((await watcher).out, '..data\n');
    assert.is(await host.pod.sh(id, 'ls -A /config | wc -l'), '3');
  } finally {
    await remove();
  }
});

volumes('a projected volume is exchanged', async () => {
  const source = join(directory, 'kubernetes.io~projected', 'token');
  mkdirSync(join(source, '..1'), { recursive: true });
  writeFileSync(join(source, '..1/token'), 'old');
  symlinkSync('..1', join(source, '..data'));
  symlinkSync('..data/token', join(source, 'token'));
  const { id, remove } = await host.start([{ destination: '/token', source, options: ['rbind', 'ro'] }]);
  try {
    assert.is(await host.pod.sh(id, 'cat /token/token'), 'old');
    mkdirSync(join(source, '..2'));
    writeFileSync(join(source, '..2/token'), 'new');
    symlinkSync('..2', join(source, '..data_tmp'));
    renameSync(join(source, '..data_tmp'), join(source, '..data'));
    await host.prints(id, 'cat /token/token', 'new');
  } finally {
    await remove();
  }
});

volumes('what the host mounts later appears with rslave', async () => {
  const source = makeDirectory('slave');
  mkdirSync(join(source, 'later'));
  const { id, remove } = await host.start([{ source, options: ['rbind', 'rslave'] }]);
  try {
    native().mount('tmpfs', join(source, 'later'), 'tmpfs', 0, '', '');
    writeFileSync(join(source, 'later/file'), 'late');
    await host.prints(id, 'cat /v0/later/file', 'late');
  } finally {
    unmount(join(source, 'later'));
    await remove();
  }
});

volumes('a block device of the host is one of the container', async () => {
  const image = join(directory, 'disk.img');
  execFileSync('truncate', ['-s', '1M', image]);
  writeFileSync(image, 'on the disk', { flag: 'r+' });
  const loop = execFileSync('losetup', ['--find', '--show', image], { encoding: 'utf8' }).trim();
  try {
    for (const destination of ['/dev/xvda', '/srv/disk']) {
      const mounts = [{ destination, source: loop, options: ['rbind', 'ro'] }];
      const script = `head -c 11 ${destination}; echo; dd if=/dev/zero of=${destination} count=1 2>/dev/null || echo refused`;
      assert.is(await host.output(mounts, script), 'on the disk\nrefused');
    }
    const writable = [{ destination: '/srv/disk', source: loop }];
    await host.output(writable, 'echo -n written | dd of=/srv/disk conv=notrunc,fsync 2>/dev/null');
    assert.match(readFileSync(image, 'latin1'), /^written/);
  } finally {
    execFileSync('losetup', ['--detach', loop]);
  }
});

volumes(
  'a direct-assigned block device is shared by two containers, grows under them, and goes with the last',
  async () => {
    const image = join(directory, 'direct.img');
    execFileSync('truncate', ['-s', '32M', image]);
    execFileSync('mke2fs', ['-q', '-t', 'ext4', '-F', image]);
    const loop = execFileSync('losetup', ['--find', '--show', image], { encoding: 'utf8' }).trim();
    const source = join(directory, 'published');
    const { directVolumes } = host.direct;
    try {
      addDirectVolume(
        source,
        JSON.stringify({ 'volume-type': 'block', device: loop, fstype: 'ext4', options: ['noatime'] }),
        directVolumes,
      );
      const first = await host.start([{ source }]);
      const second = await host.start([{ source, options: ['rbind', 'ro'] }]);
      await host.pod.sh(first.id, 'echo shared > /v0/file');
      assert.is(
        await host.pod.sh(second.id, 'cat /v0/file; echo x 2>/dev/null > /v0/new || echo refused'),
        'shared\nrefused',
      );
      assert.equal(sandboxesOf(source, directVolumes), ['pod']);
      execFileSync('truncate', ['-s', '64M', image]);
      execFileSync('losetup', ['--set-capacity', loop]);
      const volume = host.share.directVolume(loop);
      await volume?.grow(64 * MIB);
      await host.pod.call('ResizeVolume', methods.ResizeVolume, {
        volume_guest_path: volume?.guestPath ?? '',
        size: 64 * MIB,
      });
      const grown = await host.pod.sh(second.id, "df -k /v0 | tail -1 | awk '{print ($2 > 40000)}'");
      assert.is(grown, '1');
      await first.remove();
      assert.is(await host.pod.sh(second.id, 'cat /v0/file'), 'shared');
      await second.remove();
      assert.equal([sandboxesOf(source, directVolumes), host.share.directVolume(loop)], [[], undefined]);
      assert.match(execFileSync('debugfs', ['-R', 'cat file', loop], { stdio: 'pipe' }).toString(), /^shared/);
    } finally {
      execFileSync('losetup', ['--detach', loop]);
    }
  },
);

volumes('a volume that vanishes harms no other container', async () => {
  const [gone, stays] = [makeDirectory('gone'), makeDirectory('stays')];
  const first = await host.start([{ source: gone }]);
  const second = await host.start([{ source: stays }]);
  rmSync(gone, { recursive: true });
  assert.is(await host.pod.sh(second.id, 'cat /v0/file'), 'stays');
  await first.remove();
  await refusesMissing(gone);
  assert.is(await host.pod.sh(second.id, 'cat /v0/file'), 'stays');
  await second.remove();
});

async function refusesMissing(source: string): Promise<void> {
  const failed = await host.start([{ source }]).then(
    () => 'started',
    (error: Error) => error.message,
  );
  assert.match(failed, /gone.*does not exist on the host/);
}

volumes.run();
