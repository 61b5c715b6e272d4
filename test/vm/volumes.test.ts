/** Volumes of a container as a real guest sees them over a real virtiofsd. One boot serves all tests. */
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { native } from '../../host/native.ts';
import { privateMounts, unmount } from '../../host/storage/mounts.ts';
import { Rootfs } from '../../host/storage/rootfs.ts';
import { addVolumes } from '../../host/storage/volumes.ts';
import { inOwnNamespace, mountsBelow } from '../harness/own-namespace.ts';
import { ShellGuest } from '../harness/shell-guest.ts';

inOwnNamespace(import.meta.url);
privateMounts();

const CONFIG = { daemon: '', cache: '', extraArgs: [], disableBlockDeviceUse: false };
/** How long a change may take to be seen in the guest, ms: virtiofsd lets it believe what it knows for a second. */
const SEEN_MS = 10_000;
const MANY = 100;

const volumes = suite('volumes in a virtual machine');
let directory: string;
let guest: ShellGuest;
let rootfs: Rootfs;

volumes.before(async () => {
  directory = mkdtempSync(join(tmpdir(), 'kata-volumes-'));
  guest = new ShellGuest(directory);
  rootfs = new Rootfs(guest.directory, CONFIG, guest.vm);
  await Promise.all([guest.boot(), rootfs.prepare()]);
  const [storage] = await rootfs.attach();
  await guest.run(`mkdir -p ${storage?.mount_point}; mount -t virtiofs kataShared ${storage?.mount_point}`);
});

volumes.after(async () => {
  await guest?.stop();
  await rootfs?.close();
  assert.equal(mountsBelow(directory), []);
  assert.equal(readdirSync(guest.directory), ['initramfs']);
  rmSync(directory, { recursive: true });
});

/** Paths in the guest of host files that a container binds. */
async function add(id: string, sources: readonly string[], options: readonly string[] = ['rbind']): Promise<string[]> {
  const mounts = sources.map((source, i) => ({
    destination: `/volume/${i}`,
    type: 'bind',
    source,
    options: [...options],
  }));
  const made = await addVolumes(rootfs, id, mounts);
  return mounts.map((mount) => (made.mounts.get(mount) as { source: string }).source);
}

function makeDirectory(name: string): string {
  const path = join(directory, name);
  mkdirSync(path);
  writeFileSync(join(path, 'file'), `${name}\n`);
  return path;
}

/** Waits until a command in the guest prints a text. */
async function prints(command: string, expected: string): Promise<void> {
  const deadline = performance.now() + SEEN_MS;
  for (;;) {
    const output = await guest.run(`${command} 2>&1 || true`);
    if (output.trim() === expected) return;
    if (performance.now() > deadline) assert.is(output.trim(), expected);
    await sleep(100);
  }
}

volumes('files and directories, written on either side', async () => {
  const source = makeDirectory('both');
  const [at, file] = await add('both', [source, join(source, 'file')]);
  assert.is(await guest.run(`cat ${at}/file ${file}`), 'both\nboth\n');
  await guest.run(`echo guest > ${file}; mkdir ${at}/sub; echo new > ${at}/sub/new`);
  assert.is(readFileSync(join(source, 'file'), 'utf8'), 'guest\n');
  assert.is(readFileSync(join(source, 'sub/new'), 'utf8'), 'new\n');
  writeFileSync(join(source, 'file'), 'host\n');
  await prints(`cat ${file}`, 'host');
  await rootfs.removeRootfs('both');
});

volumes('read-only holds against a guest that mounts it writable', async () => {
  const source = makeDirectory('ro');
  const [at, file] = await add('ro', [source, join(source, 'file')], ['rbind', 'ro']);
  await guest.run(`mount -o remount,rw /run/kata-containers/shared/containers`);
  for (const command of [`echo x > ${file}`, `echo x > ${at}/new`, `rm ${at}/file`, `chmod 777 ${at}`]) {
    assert.match(await guest.run(`${command} 2>&1 || true`), /Read-only file system/);
  }
  await rootfs.removeRootfs('ro');
});

volumes(`${MANY} of one container`, async () => {
  const source = makeDirectory('many');
  const sources = Array.from({ length: MANY }, (_, i) => (i % 2 ? source : join(source, 'file')));
  const paths = await add('many', sources);
  const list = paths.map((path, i) => (i % 2 ? `${path}/file` : path)).join(' ');
  assert.is(await guest.run(`cat ${list} | sort | uniq -c | tr -s ' '`), ` ${MANY} many\n`);
  await rootfs.removeRootfs('many');
});

volumes('a ConfigMap is exchanged by renaming a link', async () => {
  const source = join(directory, 'configmap');
  mkdirSync(join(source, '..2026_1'), { recursive: true });
  writeFileSync(join(source, '..2026_1/key'), 'old');
  symlinkSync('..2026_1', join(source, '..data'));
  symlinkSync('..data/key', join(source, 'key'));
  const [at] = await add('configmap', [source], ['rbind', 'ro']);
  assert.is(await guest.run(`cat ${at}/key`), 'old');
  for (const text of ['new', 'newer']) {
    mkdirSync(join(source, `..${text}`));
    writeFileSync(join(source, `..${text}/key`), text);
    symlinkSync(`..${text}`, join(source, '..data_tmp'));
    renameSync(join(source, '..data_tmp'), join(source, '..data'));
    await prints(`cat ${at}/key`, text);
  }
  rmSync(join(source, '..2026_1'), { recursive: true });
  await prints(`ls -A ${at} | tr '\\n' ' '`, '..data ..new ..newer key');
  await rootfs.removeRootfs('configmap');
});

volumes('what the host mounts later is there with rslave, and gone again', async () => {
  const source = makeDirectory('slave');
  mkdirSync(join(source, 'later'));
  const [at] = await add('slave', [source], ['rbind', 'rslave']);
  assert.is(await guest.run(`ls ${at}/later`), '');
  native().mount('tmpfs', join(source, 'later'), 'tmpfs', 0, '', '');
  writeFileSync(join(source, 'later/file'), '');
  await prints(`ls ${at}/later`, 'file');
  unmount(join(source, 'later'));
  await prints(`ls ${at}/later`, '');
  await rootfs.removeRootfs('slave');
});

volumes('a source that vanishes leaves the others alone', async () => {
  const [gone, stays] = [makeDirectory('gone'), makeDirectory('stays')];
  const [first, second] = await add('vanishing', [gone, stays]);
  rmSync(gone, { recursive: true });
  await prints(`ls ${first}`, '');
  assert.is(await guest.run(`cat ${second}/file`), 'stays\n');
  await rootfs.removeRootfs('vanishing');
  await prints(`ls ${second}`, `ls: ${second}: No such file or directory`);
});

volumes('a link in a volume leads nowhere on the host', async () => {
  const source = makeDirectory('links');
  const [at] = await add('links', [source]);
  await guest.run(`ln -s ${directory}/both/file ${at}/absolute; ln -s ../../../../../both/file ${at}/relative`);
  assert.is(await guest.run(`cat ${at}/absolute ${at}/relative 2>/dev/null || true`), '');
  await rootfs.removeRootfs('links');
});

volumes.run();
