/** The .deb as a user has it: installed into a Debian, upgraded while a container runs, purged. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { describe, type Finished } from '../../setup/command.ts';
import { containerdPrograms } from '../../setup/containerd-packages.ts';
import { machineArch } from '../../setup/debian.ts';
import { buildImage, IMAGE_NAME } from '../../setup/image.ts';
import { packArchive, packDeb } from '../../setup/package-deb.ts';
import { buildTree } from '../../setup/package-tree.ts';
import { CONTAINERD, DEBIAN_CACHE, IMAGES } from '../../setup/paths.ts';
import { type DebianRoot, debianRoot } from './debian-root.ts';

const OLD = '0.0.1';
const NEW = '0.0.2~test1';
const READY_MS = 30_000;
const INTERVAL_MS = 50;
const CONFIG = '/etc/containerd/config.toml';
const INSTALL = '/opt/kata-edge/current/install.sh';
/** containerd's namespace, hence the cgroup: nobody else's. */
const NAMESPACE = `ked-${process.pid}`;

const test = suite('package');
let root: DebianRoot;
let scratch: string;
let untouched: string;

test.before(async () => {
  scratch = mkdtempSync('/tmp/ked-packages-');
  for (const version of [OLD, NEW]) {
    const tree = await buildTree(join(scratch, 'tree'), version, machineArch());
    await packDeb(tree, { output: scratch, epoch: 0, fast: true });
    if (version === NEW) await packArchive(tree, { output: scratch, epoch: 0, fast: true });
  }
  root = await debianRoot();
  await root.put(await buildImage(IMAGES), '/tmp/image.tar');
  for (const version of [OLD, NEW]) await root.put(deb(version), `/tmp/${version}.deb`);
  untouched = await root.read(CONFIG);
});

test.after(async () => {
  await root?.close();
  rmSync(scratch, { recursive: true, force: true });
  // Where a test has failed its containers were killed with the root.
  for (const cgroup of leftCgroups()) removeCgroup(cgroup);
});

test('refuses where another Kata is, before anything is unpacked', async () => {
  const theirs = '/usr/local/bin/containerd-shim-kata-v2';
  await root.must(['sh', '-c', `echo theirs >${theirs}`]);
  const refused = await root.run(['dpkg', '-i', `/tmp/${OLD}.deb`]);
  assert.is.not(refused.code, 0);
  assert.match(refused.stderr, /another Kata installation.*\/usr\/local\/bin.*HANDLER=/s);
  assert.is.not((await root.run(['test', '-e', '/opt/kata-edge'])).code, 0);
  assert.is(await root.read(theirs), 'theirs\n');
  await root.must(['rm', theirs]);
  await root.must(['dpkg', '--purge', 'kata-edge']);
});

test('installs, and containerd 1.6 knows the handler beside runc', async () => {
  await root.must(['dpkg', '-i', `/tmp/${OLD}.deb`]);
  assert.match(await root.must(['containerd-shim-kata-v2', '-v']), OLD);
  const handlers = await handlersOf('/usr/bin/containerd');
  assert.ok(handlers.includes('kata') && handlers.includes('runc'), handlers.join(' '));
  const verified = await root.run([INSTALL, 'verify']);
  assert.is(verified.code, 0, describe(verified));
  assert.match(verified.stdout, 'all is well');
  // dpkg's own view.
  assert.match(await root.must(['dpkg', '--audit']), /^$/);
  assert.match(await root.must(['dpkg', '--verify', 'kata-edge']), /^$/);
});

test('a second install of the same version changes nothing', async () => {
  const before = await root.read('/var/lib/kata-edge/record');
  await root.must(['dpkg', '-i', `/tmp/${OLD}.deb`]);
  assert.is(await root.read('/var/lib/kata-edge/record'), before);
  assert.equal(await versions(), [OLD]);
});

test("the scripts' other calls by dpkg", async () => {
  const before = await root.read('/var/lib/kata-edge/record');
  const calls = [
    ['postinst', 'abort-upgrade', NEW],
    ['postinst', 'abort-remove'],
    ['postinst', 'abort-deconfigure', 'in-favour', 'x', '1'],
    ['preinst', 'abort-upgrade', NEW],
    ['prerm', 'upgrade', NEW],
    ['prerm', 'failed-upgrade', OLD],
    ['prerm', 'deconfigure', 'in-favour', 'x', '1'],
    ['postrm', 'upgrade', NEW],
    ['postrm', 'failed-upgrade', OLD],
    ['postrm', 'abort-upgrade', OLD],
    ['postrm', 'abort-install'],
  ];
  for (const [script, ...args] of calls) await root.must([`/var/lib/dpkg/info/kata-edge.${script}`, ...args]);
  assert.is(await root.read('/var/lib/kata-edge/record'), before);
  for (const script of ['preinst', 'postinst', 'prerm', 'postrm']) {
    assert.is((await root.run([`/var/lib/dpkg/info/kata-edge.${script}`, 'frobnicate'])).code, 1);
  }
});

test('a container keeps its version through an upgrade', async () => {
  await containerd('/usr/bin/containerd');
  await root.must(['ctr', '--namespace', NAMESPACE, 'images', 'import', '--snapshotter', 'native', '/tmp/image.tar']);
  await run('old', { 'container-type': 'sandbox', 'sandbox-id': 'old' });
  assert.match(await program('old'), `/opt/kata-edge/${OLD}/lib/node`);
  // A reinstallation moves dpkg's files, not the running ones.
  await root.must(['dpkg', '-i', `/tmp/${OLD}.deb`]);
  assert.is(await say('old', 'reinstalled'), 'reinstalled\n');

  await root.must(['dpkg', '-i', `/tmp/${NEW}.deb`]);
  assert.equal(await versions(), [OLD, NEW]);
  assert.match(await root.must(['containerd-shim-kata-v2', '-v']), NEW);
  assert.is(await say('old', 'upgraded'), 'upgraded\n');
  assert.match((await root.must([INSTALL, 'gc'])).trim(), `version ${OLD} is still used`);

  // A container that comes to the pod later: the new version's `start` finds the old version's process.
  await run('late', { 'container-type': 'container', 'sandbox-id': 'old' });
  assert.is(await say('late', 'joined'), 'joined\n');
  assert.is((await root.must([INSTALL, 'status'])).match(/^shim: /gm)?.length, 1);
  await remove('late');

  await run('new');
  assert.match(await program('new'), `/opt/kata-edge/${NEW}/lib/node`);
  assert.match(await program('old'), `/opt/kata-edge/${OLD}/lib/node`);
});

test('a restart of containerd finds both', async () => {
  await root.must(['sh', '-c', 'kill $(cat /run/containerd.pid)']);
  await gone('/run/containerd.pid');
  await containerd('/usr/bin/containerd');
  assert.is(await say('old', 'found'), 'found\n');
  assert.is(await say('new', 'found'), 'found\n');
});

test('is not removed while containers run, and goes on working', async () => {
  const removal = await root.run(['dpkg', '--remove', 'kata-edge']);
  assert.not.equal(removal.code, 0);
  assert.match(removal.stderr, 'pods still run');
  // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own
  assert.match(await root.must(['dpkg-query', '-W', '-f', '${db:Status-Abbrev}', 'kata-edge']), /^.i /);
  assert.is(await say('new', 'here'), 'here\n');
});

test('the old version goes when its last container has', async () => {
  await remove('old');
  assert.match(await root.must([INSTALL, 'gc']), `version ${OLD} removed`);
  assert.equal(await versions(), [NEW]);
  assert.is(await say('new', 'still here'), 'still here\n');
  await remove('new');
});

test('containerd 2.1 in its place: told by a drop-in, used', async () => {
  await root.must(['sh', '-c', 'kill $(cat /run/containerd.pid)']);
  await gone('/run/containerd.pid');
  const { bin } = await containerdPrograms('2.1', CONTAINERD, DEBIAN_CACHE, () => {});
  for (const name of ['containerd', 'ctr', 'containerd-shim-runc-v2']) {
    await root.put(join(bin, name), `/usr/local/bin/${name}`);
  }
  await root.must([INSTALL, 'install']);
  assert.match(await root.read('/etc/containerd/conf.d/kata-edge.toml'), 'io.containerd.kata.v2');
  const handlers = await handlersOf('/usr/local/bin/containerd');
  assert.ok(handlers.includes('kata') && handlers.includes('runc'), handlers.join(' '));
  await containerd('/usr/local/bin/containerd');
  await run('later');
  assert.is(await say('later', 'by 2.1'), 'by 2.1\n');
  const verified = await root.run([INSTALL, 'verify']);
  assert.is(verified.code, 0, describe(verified));
  await remove('later');
});

test('a purge leaves nothing', async () => {
  await root.must(['dpkg', '--purge', 'kata-edge']);
  assert.is(await root.read(CONFIG), untouched);
  const found = await root
    .must(['find', '/opt', '/etc', '/usr', '/var/lib', '-xdev', '-iname', '*kata[-.]*'])
    .catch((error: unknown) => String(error));
  const left = found.split('\n').filter((path) => path.startsWith('/') && !path.startsWith('/var/lib/containerd'));
  assert.equal(left, []);
  assert.is((await root.run(['pgrep', '-f', 'shim.cjs|qemu-system|virtiofsd'])).stdout, '');
  assert.equal(leftCgroups(), []);
});

test('the archive, unpacked in a directory with a space', async () => {
  await root.put(archive(NEW), '/root/archive.tar.gz');
  await root.must(['sh', '-c', 'mkdir "/root/a b" && tar -C "/root/a b" -xzf /root/archive.tar.gz']);
  const installer = `/root/a b/kata-edge_${NEW}_${machineArch()}/install.sh`;
  await root.must([installer, 'install']);
  await root.must(['rm', '-r', '/root/a b']);
  const verified = await root.run([INSTALL, 'verify']);
  assert.is(verified.code, 0, describe(verified));
  assert.match(await root.must(['kata-runtime', '--version']), NEW);
  await root.must([INSTALL, 'uninstall']);
  assert.is(await root.read(CONFIG), untouched);
  assert.is.not((await root.run(['test', '-e', '/opt/kata-edge'])).code, 0);
});

test('the same tree and date give the same package', async () => {
  const tree = { directory: join(scratch, 'tree'), version: NEW, arch: machineArch() };
  const again = join(scratch, 'again');
  mkdirSync(again);
  const pairs = [
    [deb(NEW), await packDeb(tree, { output: again, epoch: 0, fast: true })],
    [archive(NEW), await packArchive(tree, { output: again, epoch: 0, fast: true })],
  ] as const;
  for (const [first, second] of pairs) assert.ok(readFileSync(first).equals(readFileSync(second)), first);
});

function deb(version: string): string {
  return join(scratch, `kata-edge_${version}_${machineArch()}.deb`);
}

function archive(version: string): string {
  return join(scratch, `kata-edge_${version}_${machineArch()}.tar.gz`);
}

async function handlersOf(program: string): Promise<string[]> {
  const dump = await root.must([program, '--config', CONFIG, 'config', 'dump']);
  return [...dump.matchAll(/containerd\.runtimes\.['"]?([a-z-]+)['"]?\]/g)].map(([, name]) => name ?? '');
}

async function versions(): Promise<string[]> {
  const listing = await root.must(['ls', '/opt/kata-edge']);
  return listing.split('\n').filter((name) => /^\d/.test(name));
}

async function containerd(program: string): Promise<void> {
  root.start(['sh', '-c', `echo $$ >/run/containerd.pid; exec ${program}`], '/run/containerd.log');
  for (const deadline = Date.now() + READY_MS; ; await sleep(INTERVAL_MS)) {
    if ((await ctr('version')).code === 0) break;
    if (Date.now() > deadline) throw new Error(await root.read('/run/containerd.log'));
  }
}

/** Once the process that the file names has ended. */
async function gone(file: string): Promise<void> {
  const pid = (await root.read(file)).trim();
  for (const deadline = Date.now() + READY_MS; Date.now() < deadline; await sleep(INTERVAL_MS)) {
    if ((await root.run(['test', '-d', `/proc/${pid}`])).code !== 0) return;
  }
  throw new Error(`process ${pid} does not end`);
}

function ctr(...args: string[]): Promise<Finished> {
  return root.run(['ctr', '--namespace', NAMESPACE, ...args]);
}

/** `pod`: annotations by which CRI tells pods and their containers apart. */
async function run(id: string, pod: Readonly<Record<string, string>> = {}): Promise<void> {
  const flags = ['--detach', '--snapshotter', 'native', '--runtime', 'io.containerd.kata.v2'];
  const annotations = Object.entries(pod).flatMap(([name, value]) => [
    '--annotation',
    `io.kubernetes.cri.${name}=${value}`,
  ]);
  const done = await ctr('run', ...flags, ...annotations, IMAGE_NAME, id, 'sleep', '10000');
  if (done.code !== 0) throw new Error(`${describe(done)}\n${await root.read('/run/containerd.log')}`);
}

async function say(id: string, word: string): Promise<string> {
  const done = await ctr('task', 'exec', '--exec-id', word.replaceAll(/\W/g, '-'), id, 'echo', word);
  assert.is(done.code, 0, describe(done));
  return done.stdout;
}

async function remove(id: string): Promise<void> {
  for (const args of [
    ['task', 'rm', '--force', id],
    ['container', 'rm', id],
  ]) {
    const done = await ctr(...args);
    assert.is(done.code, 0, describe(done));
  }
}

/** The program of a container's shim. */
async function program(id: string): Promise<string> {
  const pid = (await root.read(`/run/containerd/io.containerd.runtime.v2.task/${NAMESPACE}/${id}/shim.pid`)).trim();
  return root.must(['readlink', `/proc/${pid}/exe`]);
}

function removeCgroup(path: string): void {
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory()) removeCgroup(join(path, entry.name));
  }
  try {
    rmdirSync(path);
  } catch {
    // A process is just ending in it.
  }
}

function leftCgroups(): string[] {
  const roots = ['', 'cpu', 'cpuset', 'memory', 'devices', 'freezer', 'blkio', 'pids', 'cpuacct', 'systemd'];
  return roots.map((name) => join('/sys/fs/cgroup', name, NAMESPACE)).filter((path) => existsSync(path));
}

test.run();
