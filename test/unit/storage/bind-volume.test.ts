import { spawn, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { KataError } from '../../../host/error.ts';
import { MS, native } from '../../../host/native.ts';
import type { Mount } from '../../../host/proto/messages/oci.ts';
import { privateMounts, unmount } from '../../../host/storage/mounts.ts';
import { Rootfs } from '../../../host/storage/rootfs.ts';
import { MAX_VOLUMES } from '../../../host/storage/virtio-fs-share.ts';
import { MAX_WATCHABLE_FILES } from '../../../host/storage/watchable.ts';
import { inOwnNamespace, mountsBelow } from '../../harness/own-namespace.ts';

inOwnNamespace(import.meta.url);
privateMounts();

const CONFIG = { daemon: '', cache: 'auto', extraArgs: [], disableBlockDeviceUse: false };
const hypervisor = {
  plugVirtioFs: async () => '02',
  plugBlock: async () => '03',
  unplug: async () => {},
  resizeBlock: async () => {},
};

interface Context {
  directory: string;
  sandbox: string;
  share: Rootfs;
}

const volumes = suite<Context>('volumes over virtio-fs');

volumes.before.each(async (context) => {
  context.directory = mkdtempSync(join(tmpdir(), 'kata-volumes-'));
  context.sandbox = join(context.directory, 'sandbox');
  mkdirSync(context.sandbox);
  context.share = new Rootfs(context.sandbox, CONFIG, hypervisor);
  await context.share.prepare();
});

volumes.after.each(async ({ directory, sandbox, share }) => {
  await share.close();
  await share.close();
  assert.equal(mountsBelow(directory), []);
  assert.equal(readdirSync(sandbox), []);
  rmSync(directory, { recursive: true });
});

function bind(source: string, options: readonly string[] = ['rbind', 'rw']): Mount {
  return { destination: '/in/container', type: 'bind', source, options: [...options] };
}

/** What the daemon, and so the guest, sees of a container's volume. */
function seen(sandbox: string, id: string, number: number): string {
  return join(sandbox, 'shared', id, 'volumes', `${number}`);
}

function attributes(point: string): string {
  const lines = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  return (
    lines
      .map((line) => line.split(' '))
      .filter((fields) => fields[4] === point)
      .at(-1)?.[5] ?? ''
  );
}

function makeDirectory(directory: string, name: string): string {
  const path = join(directory, name);
  mkdirSync(path);
  writeFileSync(join(path, 'file'), name);
  return path;
}

function mountTmpfs(point: string): void {
  mkdirSync(point, { recursive: true });
  native().mount('tmpfs', point, 'tmpfs', 0, '', '');
}

async function failure(promise: Promise<unknown>): Promise<KataError> {
  return promise.then(
    () => assert.unreachable('should have failed'),
    (error: KataError) => error,
  ) as Promise<KataError>;
}

volumes('a directory and a file, each at a place of its own', async ({ directory, sandbox, share }) => {
  const source = makeDirectory(directory, 'source');
  const mount = bind(source, ['rbind', 'rprivate', 'rw']);
  const volume = await share.addVolume('c', mount);
  assert.equal(volume, {
    mount: { ...mount, source: '/run/kata-containers/shared/containers/c/volumes/0' },
    storages: [],
    warnings: [],
  });
  const file = await share.addVolume('c', bind(join(source, 'file'), ['rbind', 'ro']));
  assert.is(file?.mount?.source, '/run/kata-containers/shared/containers/c/volumes/1');
  assert.is(readFileSync(join(seen(sandbox, 'c', 0), 'file'), 'utf8'), 'source');
  assert.is(readFileSync(seen(sandbox, 'c', 1), 'utf8'), 'source');
  writeFileSync(join(seen(sandbox, 'c', 0), 'new'), 'written');
  assert.is(readFileSync(join(source, 'new'), 'utf8'), 'written');
  for (const number of [0, 1]) assert.match(attributes(seen(sandbox, 'c', number)), /nosuid,nodev/);
  await share.removeRootfs('c');
  await share.removeRootfs('c');
  assert.not(existsSync(join(sandbox, 'mounts', 'c')));
  assert.equal(readdirSync(source).sort(), ['file', 'new']);
});

volumes('beside a root file system, in whatever order', async ({ directory, sandbox, share }) => {
  const source = makeDirectory(directory, 'source');
  await share.addVolume('c', bind(source));
  await share.addRootfs('c', [], source);
  assert.is((await failure(share.addRootfs('c', [], source))).code, 'already_exists');
  await share.addVolume('c', bind(source));
  assert.is(readFileSync(join(sandbox, 'shared/c/rootfs/file'), 'utf8'), 'source');
  assert.ok(existsSync(join(seen(sandbox, 'c', 1), 'file')));
  await share.removeRootfs('c');
});

volumes('read-only on the host, with everything mounted below', async ({ directory, sandbox, share }) => {
  const source = makeDirectory(directory, 'source');
  mountTmpfs(join(source, 'a'));
  mountTmpfs(join(source, 'a/b'));
  await share.addVolume('c', bind(source, ['rbind', 'ro']));
  const place = seen(sandbox, 'c', 0);
  for (const below of ['', '/a', '/a/b']) {
    assert.match(attributes(place + below), /^ro,nosuid,nodev/);
    assert.throws(() => writeFileSync(`${place}${below}/new`, ''), /EROFS/);
    // The host's own mounts are as they were.
    writeFileSync(`${source}${below}/own`, '');
  }
  await share.removeRootfs('c');
  for (const below of ['a/b', 'a']) unmount(join(source, below));
});

volumes('what is read-only already stays so', async ({ directory, sandbox, share }) => {
  const source = makeDirectory(directory, 'source');
  native().mount(source, source, '', MS.BIND, '', '');
  native().mount('none', source, '', MS.BIND | MS.REMOUNT | MS.RDONLY | MS.NOEXEC, '', '');
  await share.addVolume('c', bind(source));
  assert.match(attributes(seen(sandbox, 'c', 0)), /^ro,nosuid,nodev,noexec/);
  await share.removeRootfs('c');
  unmount(source);
});

volumes('not recursive where the spec says so', async ({ directory, sandbox, share }) => {
  const source = makeDirectory(directory, 'source');
  mountTmpfs(join(source, 'below'));
  writeFileSync(join(source, 'below/file'), '');
  await share.addVolume('c', bind(source, ['bind']));
  await share.addVolume('c', bind(source, ['rbind']));
  assert.equal(readdirSync(join(seen(sandbox, 'c', 0), 'below')), []);
  assert.equal(readdirSync(join(seen(sandbox, 'c', 1), 'below')), ['file']);
  await share.removeRootfs('c');
  unmount(join(source, 'below'));
});

for (const [propagation, follows] of [
  ['private', false],
  ['rprivate', false],
  ['rslave', true],
  ['rshared', true],
] as const) {
  volumes(`${propagation}: later mounts of the host`, async ({ directory, sandbox, share }) => {
    const source = makeDirectory(directory, 'source');
    const volume = await share.addVolume('c', bind(source, ['rbind', propagation]));
    assert.is(volume?.warnings?.length, propagation === 'rshared' ? 1 : 0);
    mountTmpfs(join(source, 'later'));
    writeFileSync(join(source, 'later/file'), '');
    const place = join(seen(sandbox, 'c', 0), 'later');
    assert.equal(readdirSync(place), follows ? ['file'] : []);
    // What happens to the copy never reaches the host.
    if (follows) unmount(join(sandbox, 'mounts/c/volumes/0/later'));
    assert.equal(readdirSync(join(source, 'later')), ['file']);
    unmount(join(source, 'later'));
    assert.equal(readdirSync(place), []);
    await share.removeRootfs('c');
    assert.is(readFileSync(join(source, 'file'), 'utf8'), 'source');
  });
}

volumes("the host's root, without kernel file systems and our own mounts", async ({ directory, sandbox, share }) => {
  await share.addVolume('c', bind('/', ['rbind', 'rslave', 'ro']));
  const place = seen(sandbox, 'c', 0);
  assert.equal(readdirSync(join(place, 'proc')), []);
  assert.equal(readdirSync(join(place, 'sys')), []);
  assert.ok(existsSync(join(place, 'etc/passwd')));
  const before = mountsBelow(sandbox).length;
  // Nothing that is mounted for another container turns up in this one.
  await share.addVolume('d', bind(makeDirectory(directory, 'other')));
  assert.is(mountsBelow(sandbox).length, before + 2);
  assert.equal(
    mountsBelow(place).filter((point) => point.startsWith(place + sandbox)),
    [],
  );
  await share.removeRootfs('c');
  await share.removeRootfs('d');
});

volumes('a source behind links is the one they lead to', async ({ directory, sandbox, share }) => {
  const source = makeDirectory(directory, 'source');
  symlinkSync('source', join(directory, 'link'));
  await share.addVolume('c', bind(join(directory, 'link')));
  rmSync(join(directory, 'link'));
  assert.is(readFileSync(join(seen(sandbox, 'c', 0), 'file'), 'utf8'), 'source');
  await share.removeRootfs('c');
  assert.ok(existsSync(source));
});

volumes('a source that vanishes later is no obstacle', async ({ directory, sandbox, share }) => {
  const source = makeDirectory(directory, 'source');
  await share.addVolume('c', bind(source));
  await share.addVolume('c', bind(join(source, 'file')));
  rmSync(source, { recursive: true });
  assert.equal(readdirSync(seen(sandbox, 'c', 0)), []);
  await share.removeRootfs('c');
  assert.equal(mountsBelow(join(sandbox, 'mounts', 'c')), []);
});

volumes('a source that does not exist is named, and nothing is left', async ({ directory, sandbox, share }) => {
  const missing = join(directory, 'missing');
  for (const source of [missing, join(directory, 'sandbox', 'x', 'y')]) {
    const { code, message } = await failure(share.addVolume('c', bind(source)));
    assert.is(code, 'not_found');
    assert.ok(message.includes(source) && message.includes('container c') && message.includes('/in/container'));
  }
  assert.is((await failure(share.addVolume('c', bind('relative')))).code, 'invalid_argument');
  assert.equal(readdirSync(join(sandbox, 'mounts')), ['watchable']);
});

volumes("the sandbox's own share is refused, other files in its directory are not", async ({ sandbox, share }) => {
  for (const own of ['mounts', 'shared', 'staging']) {
    assert.is((await failure(share.addVolume('c', bind(join(sandbox, own))))).code, 'invalid_argument');
  }
  assert.equal(readdirSync(join(sandbox, 'mounts')), ['watchable']);
  const file = join(sandbox, 'hosts');
  writeFileSync(file, 'of the pod');
  await share.addVolume('c', bind(file));
  assert.is(readFileSync(seen(sandbox, 'c', 0), 'utf8'), 'of the pod');
  rmSync(file);
});

volumes('a socket is bound, and said to lead nowhere', async ({ directory, sandbox, share }) => {
  const path = join(directory, 'socket');
  const server = createServer();
  await new Promise<void>((listening) => server.listen(path, listening));
  const volume = await share.addVolume('c', bind(path));
  assert.match(volume?.warnings?.[0] ?? '', /a socket connects nobody/);
  assert.ok(statSync(seen(sandbox, 'c', 0)).isSocket());
  await share.removeRootfs('c');
  await new Promise((closed) => server.close(closed));
});

volumes('ConfigMaps and Secrets of few files are watched in the guest', async ({ directory, share }) => {
  const copy = '/run/kata-containers/shared/containers/watchable/c-';
  let serial = 0;
  const driverOf = async (kind: string, files: number): Promise<string | undefined> => {
    const source = join(directory, `${serial++}`, kind, 'v');
    mkdirSync(join(source, '..data'), { recursive: true });
    for (let i = 0; i < files; i++) writeFileSync(join(source, `key${i}`), '');
    const volume = await share.addVolume('c', bind(source, ['rbind', 'ro']));
    const [storage] = volume?.storages ?? [];
    if (!storage) return undefined;
    assert.ok(volume?.mount?.source?.startsWith(copy));
    assert.is(storage.mount_point, volume?.mount?.source);
    assert.ok(storage.source?.startsWith('/run/kata-containers/shared/containers/c/volumes/'));
    assert.equal(storage.options, ['rbind', 'ro']);
    return storage.driver;
  };
  for (const [kind, files, driver] of [
    ['kubernetes.io~configmap', 0, undefined],
    ['kubernetes.io~configmap', MAX_WATCHABLE_FILES, 'watchable-bind'],
    ['kubernetes.io~configmap', MAX_WATCHABLE_FILES + 1, undefined],
    ['kubernetes.io~secret', 1, 'watchable-bind'],
    ['kubernetes.io~projected', 1, undefined],
  ] as const) {
    assert.is(await driverOf(kind, files), driver, `${files} files of ${kind}`);
  }
});

volumes('of the sandbox itself, and the size of the queue', async ({ directory, sandbox, share }) => {
  await share.close();
  const source = makeDirectory(directory, 'source');
  const sizes: (number | undefined)[] = [];
  const hypervisorOf = {
    ...hypervisor,
    plugVirtioFs: async (_tag: string, _socket: string, queueSize?: number) => `${sizes.push(queueSize)}`,
  };
  const sandboxMounts = [
    { path: source, name: 'tools', readOnly: true },
    { path: join(source, 'file'), name: 'file', readOnly: false },
  ];
  const own = new Rootfs(sandbox, { ...CONFIG, queueSize: 128, sandboxMounts }, hypervisorOf);
  own.expect([]);
  await own.prepare();
  await own.attach();
  assert.equal(sizes, [128]);
  const place = join(sandbox, 'shared/sandbox-mounts');
  assert.is(readFileSync(join(place, 'tools/file'), 'utf8'), 'source');
  assert.throws(() => writeFileSync(join(place, 'tools/new'), ''), /EROFS/);
  writeFileSync(join(place, 'file'), 'written');
  assert.is(readFileSync(join(source, 'file'), 'utf8'), 'written');
  await own.close();
  const missing = { path: '/nonexistent', name: 'x', readOnly: true };
  const broken = new Rootfs(sandbox, { ...CONFIG, sandboxMounts: [...sandboxMounts, missing] }, hypervisorOf);
  assert.match((await failure(broken.prepare())).message, /nonexistent.*does not exist/);
  await broken.close();
});

volumes('of another mount namespace: what was mounted there since', async ({ directory, sandbox, share }) => {
  await share.close();
  const source = makeDirectory(directory, 'source');
  // As a host whose mounts do not propagate; nobody but the children is in it.
  const host = spawn('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', 'echo ready; exec sleep 1000']);
  try {
    await new Promise((ready) => host.stdout.once('data', ready));
    const there = (...argv: string[]): void => {
      const { status, stderr } = spawnSync('nsenter', ['--mount', '--target', `${host.pid}`, ...argv]);
      assert.is(status, 0, `${stderr}`);
    };
    there('mount', '-t', 'tmpfs', 'tmpfs', source);
    there('mount', '--make-shared', source);
    there('mkdir', join(source, 'below'), join(source, 'later'));
    there('mount', '-t', 'tmpfs', 'tmpfs', join(source, 'below'));
    there('touch', join(source, 'of-host'), join(source, 'below/deep'));
    const own = new Rootfs(sandbox, { ...CONFIG, hostNamespace: `/proc/${host.pid}/ns/mnt` }, hypervisor);
    const before = readdirSync('/proc/self/fd').length;
    await own.addVolume('c', bind(source, ['rbind', 'rslave', 'ro']));
    await own.addVolume('c', bind(source, ['bind', 'rw']));
    await own.addVolume('c', bind(join(source, 'of-host'), ['rbind']));
    const { code, message } = await failure(own.addVolume('c', bind(join(source, 'file'))));
    assert.is(code, 'not_found', message);
    assert.equal(readdirSync(seen(sandbox, 'c', 0)).sort(), ['below', 'later', 'of-host']);
    assert.equal(readdirSync(join(seen(sandbox, 'c', 0), 'below')), ['deep']);
    assert.equal(readdirSync(join(seen(sandbox, 'c', 1), 'below')), []);
    assert.throws(() => writeFileSync(join(seen(sandbox, 'c', 0), 'below/x'), ''), /EROFS/);
    writeFileSync(seen(sandbox, 'c', 2), 'of the guest');
    there('grep', 'of the guest', join(source, 'of-host'));
    there('mount', '-t', 'tmpfs', 'tmpfs', join(source, 'later'));
    there('touch', join(source, 'later/new'));
    assert.equal(readdirSync(join(seen(sandbox, 'c', 0), 'later')), ['new']);
    assert.equal(readdirSync(join(seen(sandbox, 'c', 1), 'later')), []);
    await own.close();
    there('test', '-e', join(source, 'below/deep'));
    // The daemon's pipe went with it.
    assert.ok(readdirSync('/proc/self/fd').length <= before + 1);
    // This process is where it was.
    assert.equal(readdirSync(source), ['file']);
  } finally {
    host.kill('SIGKILL');
    await new Promise((gone) => host.once('exit', gone));
  }
});

volumes("names that are hard for the kernel's lists", async ({ directory, sandbox, share }) => {
  const source = makeDirectory(directory, 'a b\\c\n#');
  mountTmpfs(join(source, 'be low'));
  await share.addVolume('c', bind(source, ['rbind', 'ro']));
  assert.throws(() => writeFileSync(join(seen(sandbox, 'c', 0), 'be low', 'x'), ''), /EROFS/);
  await share.removeRootfs('c');
  unmount(join(source, 'be low'));
});

volumes('as many as the limit and no more', async ({ directory, sandbox, share }) => {
  const source = makeDirectory(directory, 'source');
  for (let made = 0; made < MAX_VOLUMES; made++) await share.addVolume('c', bind(join(source, 'file')));
  assert.is((await failure(share.addVolume('c', bind(source)))).code, 'resource_exhausted');
  assert.is(readFileSync(seen(sandbox, 'c', MAX_VOLUMES - 1), 'utf8'), 'source');
  await share.removeRootfs('c');
});

volumes('a closed share takes none, and takes its own away', async ({ directory, share }) => {
  const source = makeDirectory(directory, 'source');
  await share.addVolume('c', bind(source));
  const adding = failure(share.addVolume('c', bind(source)));
  await share.close();
  assert.is((await adding).code, 'unavailable');
  assert.is((await failure(share.addVolume('d', bind(source)))).code, 'unavailable');
});

volumes.run();
