import { deepStrictEqual } from 'node:assert';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type GuestView, readSpec, rewriteSpec, sharedMounts } from '../../../host/oci/rewrite.ts';
import { GUEST_SHM, type HostFiles } from '../../../host/oci/rules.ts';
import { translateSpec } from '../../../host/oci/translate.ts';
import type { Mount } from '../../../host/proto/messages/oci.ts';
import { reading } from './oracle.ts';

type Values = Record<string, unknown>;

const GUEST: GuestView = { rootPath: '/guest/rootfs', bundle: '/run/bundle', disableGuestSeccomp: true };

/** @param replace what a mount that has to be shared becomes; undefined: nothing is shared */
function guestMounts(
  mounts: readonly object[],
  guest: Partial<GuestView>,
  replace?: (mount: Mount) => Mount | 'drop',
): { mounts: Values[]; omitted: readonly string[] } {
  const spec = translateSpec(Buffer.from(JSON.stringify({ process: { args: ['sh'] }, root: { path: '/' }, mounts })));
  const view = readSpec(spec);
  const replaced = replace && new Map(sharedMounts(view, guest.hostFiles).map((mount) => [mount, replace(mount)]));
  const rewritten = rewriteSpec(spec, view, { ...GUEST, mounts: replaced, ...guest });
  const { Mounts = [] } = reading('Spec', rewritten.spec) as { Mounts?: Values[] };
  return { mounts: Mounts, omitted: rewritten.omitted };
}

const mounting = suite('mounts');

/** What one mount becomes; `shared` tells whether it was among those to share. */
function mounted(
  mount: Values,
  guest: Partial<GuestView> = {},
  replace: (mount: Mount) => Mount | 'drop' = (each) => ({ ...each, source: '/guest/source' }),
): { out: unknown; shared: boolean; omitted: readonly string[] } {
  let shared = false;
  const { mounts, omitted } = guestMounts([mount], guest, (each) => {
    shared = true;
    return replace(each);
  });
  return { out: mounts[0], shared, omitted };
}

mounting('of the guest kernel, and of the guest /proc and /sys, are sent unchanged', () => {
  const mounts = [
    { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid'] },
    { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['ro'] },
    { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['mode=755'] },
    { destination: '/dev/pts', type: 'devpts', source: 'devpts' },
    { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue' },
    { destination: '/dev/shm', type: 'tmpfs', source: 'shm', options: ['size=1k'] },
    { destination: '/sys/fs/cgroup', type: 'cgroup', source: 'cgroup' },
    { destination: '/x', type: 'bind', source: '/proc', options: ['rbind'] },
    { destination: '/x', type: 'bind', source: '/sys/fs/bpf', options: ['rbind'] },
    { destination: '/x', type: 'bind', source: '/dev', options: ['rbind'] },
    { destination: '/x', type: 'bind', source: '/dev/null', options: ['bind'] },
    { destination: '/x', type: 'bind', source: '/dev/no-such-device', options: ['bind'] },
  ];
  for (const mount of mounts) {
    const { out, shared } = mounted(mount);
    deepStrictEqual([out, shared], [mount, false]);
  }
});

mounting('of host files ask the storage layer', () => {
  const bind = { destination: '/etc/hosts', type: 'bind', source: '/srv/hosts', options: ['rbind', 'ro'] };
  deepStrictEqual(mounted(bind), { out: { ...bind, source: '/guest/source' }, shared: true, omitted: [] });
  for (const mount of [
    { ...bind, source: '/process' },
    { ...bind, source: '/devices/x' },
    { ...bind, type: 'none', options: ['bind'] },
    { ...bind, type: '', options: ['rbind', 'rw'] },
  ]) {
    const expected: Values = { ...mount, source: '/guest/source' };
    if (mount.type === '') delete expected.type;
    deepStrictEqual(mounted(mount).out, expected);
  }
  deepStrictEqual(guestMounts([bind], {}).mounts, [bind]);
  deepStrictEqual(guestMounts([bind], { mounts: new Map() }).mounts, [bind]);
  deepStrictEqual(
    mounted(bind, {}, () => 'drop'),
    { out: undefined, shared: true, omitted: [] },
  );
});

mounting('of regular files below /dev are shared', () => {
  const directory = mkdtempSync(join(tmpdir(), 'kata-oci-'));
  try {
    writeFileSync(join(directory, 'file'), '');
    const hostFiles: HostFiles = { isRegularFile: (path) => path === '/dev/shm/file', isBlockDevice: () => false };
    const bind = { destination: '/x', type: 'bind', source: '/dev/shm/file', options: ['rbind'] };
    deepStrictEqual(mounted(bind, { hostFiles }).out, { ...bind, source: '/guest/source' });
    deepStrictEqual(mounted({ ...bind, source: '/dev/shm/other' }, { hostFiles }).shared, false);
    deepStrictEqual(mounted({ ...bind, source: join(directory, 'file') }).shared, true);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

mounting('of block devices ask the storage layer, those of other devices do not', () => {
  const hostFiles: HostFiles = { isRegularFile: () => false, isBlockDevice: (path) => path === '/dev/sdx' };
  const bind = { destination: '/x', type: 'bind', source: '/dev/sdx', options: ['rbind'] };
  deepStrictEqual(
    mounted(bind, { hostFiles }, () => 'drop'),
    { out: undefined, shared: true, omitted: [] },
  );
  deepStrictEqual(mounted({ ...bind, source: '/dev/fuse' }, { hostFiles }).shared, false);
});

mounting('/dev/shm is the sandbox’s, or one of its own', () => {
  const bind = { destination: '/dev/shm', type: 'bind', source: '/run/pod/shm', options: ['rbind', 'ro'] };
  const ofSandbox = { destination: '/dev/shm', type: 'bind', source: GUEST_SHM, options: ['rbind'] };
  for (const guest of [{}, { shmBytes: 1 }, { shmBytes: undefined }])
    deepStrictEqual(mounted(bind, guest), { out: ofSandbox, shared: false, omitted: [] });
  deepStrictEqual(mounted({ ...bind, destination: '/dev/shm/' }).out, { ...ofSandbox, destination: '/dev/shm/' });
  deepStrictEqual(mounted(bind, { shmBytes: 0 }).out, {
    destination: '/dev/shm',
    type: 'tmpfs',
    source: 'shm',
    options: ['noexec', 'nosuid', 'nodev', 'mode=1777', 'size=67108864'],
  });
});

mounting('an emptyDir at /dev/shm is a volume like others', () => {
  const source = '/var/lib/kubelet/pods/u/volumes/kubernetes.io~empty-dir/dshm';
  assert.is(mounted({ destination: '/dev/shm', type: 'bind', source, options: ['rbind'] }).shared, true);
});

mounting('of root file system layers are left out', () => {
  const layer = { destination: '/l', type: 'bind', source: '/layer', options: ['io.katacontainers.fs-opt.is-layer'] };
  const { out, omitted } = mounted(layer);
  assert.is(out, undefined);
  deepStrictEqual(omitted, ['mount /l of /layer: a layer of the root file system, mounted with it']);
});

mounting('keep their order, also of 10 000', () => {
  const mounts = Array.from({ length: 10_000 }, (_, i) => ({
    destination: `/m/${i}`,
    type: i % 2 ? 'bind' : 'tmpfs',
    source: `/s/${i}`,
  }));
  const out = guestMounts(mounts, {}, (mount) => ({ ...mount, source: `/guest${mount.source}` })).mounts;
  deepStrictEqual(
    out,
    mounts.map((mount, i) => (i % 2 ? { ...mount, source: `/guest${mount.source}` } : mount)),
  );
});

mounting.run();
