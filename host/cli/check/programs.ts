/** Programs that a sandbox is made with. */
import { DAEMON_PATHS } from '../../storage/virtiofsd.ts';
import { oneLine } from '../../tail.ts';
import { type Check, failed, ok, skipped, warning } from './finding.ts';
import { exists, programPath } from './machine.ts';
import { debianArch, NO_CONFIGURATION, placed, type Situation } from './situation.ts';

/** Oldest QEMU this is tested with. */
export const TESTED_QEMU = [7, 2] as const;
/** Of the launcher and of children's start, and the Debian package that has it. */
const NEEDED: readonly (readonly [name: string, from: string])[] = [
  ['setsid', 'util-linux'],
  ['unshare', 'util-linux'],
  ['setpriv', 'util-linux'],
  ['readlink', 'coreutils'],
  ['sha256sum', 'coreutils'],
  ['grep', 'grep'],
];
/** Devices of every machine type, and those of some. */
const DEVICES = ['virtio-blk-pci', 'virtio-net-pci'];
const HOTPLUG: Readonly<Record<string, string>> = { q35: 'pci-bridge', virt: 'pcie-root-port' };

export const programs: Check = {
  name: 'programs',
  summary: 'programs that the shim calls at the start of a sandbox',
  decides: 'create',
  run: ({ machine }) => {
    const missing = NEEDED.filter(([name]) => programPath(machine, name) === undefined);
    if (missing.length === 0) return ok(NEEDED.map(([name]) => name).join(', '));
    const packages = [...new Set(missing.map(([, from]) => from))].join(', ');
    return failed(`not in PATH: ${missing.map(([name]) => name).join(', ')}`, `install: ${packages}`);
  },
};

export const qemu: Check = {
  name: 'qemu',
  summary: 'QEMU runs, and has the machine type and devices of a sandbox',
  decides: 'create',
  run: async (situation) => {
    const { machine, configuration } = situation;
    if (configuration?.remote) return skipped('sandboxes are machines of another host');
    const arm = machine.arch === 'arm64';
    const path = configuration?.qemuPath ?? `/usr/bin/qemu-system-${arm ? 'aarch64' : 'x86_64'}`;
    const install = `install QEMU (Debian: qemu-system-${arm ? 'arm' : 'x86'}), or set path in [hypervisor.qemu]`;
    const told = configuration ? placed(configuration, 'path', path) : path;
    if (!exists(machine, path)) return failed(`${told} does not exist`, install);
    const said = await machine.run(path, ['--version']);
    const version = /version (\d+)\.(\d+)[.\d]*/.exec(said.text);
    if (said.code !== 0 || !version) return failed(`${path} --version failed: ${oneLine(said.text, 200)}`, install);
    const missing = await missingParts(situation, path);
    if (missing.length > 0) return failed(`${path} ${version[0]} lacks ${missing.join(', ')}`, install);
    const [major, minor] = [Number(version[1]), Number(version[2])];
    if (major < TESTED_QEMU[0] || (major === TESTED_QEMU[0] && minor < TESTED_QEMU[1])) {
      return warning(
        `${path}, ${version[0]}, is older than any that was tested`,
        `use ${TESTED_QEMU.join('.')} or later`,
      );
    }
    return ok(`${path}, ${version[0]}`);
  },
};

async function missingParts({ machine, configuration }: Situation, path: string): Promise<string[]> {
  const type = configuration?.machineType ?? (machine.arch === 'arm64' ? 'virt' : 'q35');
  const [machines, devices, accelerators] = await Promise.all(
    ['-machine', '-device', '-accel'].map(async (option) => (await machine.run(path, [option, 'help'])).text),
  );
  const missing: string[] = [];
  if (!new RegExp(`^${literal(type)}\\s`, 'm').test(machines ?? '')) missing.push(`machine ${type}`);
  const wanted = [...DEVICES];
  if (HOTPLUG[type]) wanted.push(HOTPLUG[type]);
  if (configuration?.ownGuest ?? true) wanted.push('virtio-serial-pci');
  if (configuration?.sharedFs === 'virtio-fs') wanted.push('vhost-user-fs-pci');
  for (const device of wanted) {
    if (!(devices ?? '').includes(`name "${device}"`)) missing.push(`device ${device}`);
  }
  if (exists(machine, '/dev/kvm') && !/^kvm$/m.test(accelerators ?? '')) missing.push('accelerator kvm');
  return missing;
}

export const virtiofsd: Check = {
  name: 'virtiofsd',
  summary: 'the daemon through which a guest sees files of the host',
  decides: 'create',
  run: async ({ machine, configuration }) => {
    if (!configuration) return skipped(NO_CONFIGURATION);
    if (configuration.remote || configuration.sharedFs === 'none')
      return skipped('nothing is shared (shared_fs = "none")');
    const candidates = daemonCandidates(configuration.virtiofsd);
    const path = candidates.find((candidate) => exists(machine, candidate));
    const install = 'install virtiofsd (Debian 12: qemu-system-common; later: virtiofsd)';
    if (path === undefined) return failed(`there is no virtiofsd at ${candidates.join(', ')}`, install);
    const said = await machine.run(path, ['--version']);
    if (said.code !== 0) return failed(`${path} --version failed: ${oneLine(said.text, 200)}`, install);
    return ok(`${path}, ${oneLine(said.text.split('\n')[0] ?? '', 80)}`);
  },
};

/** As host/storage looks for the daemon: the configured one, or where distributions put it. */
export function daemonCandidates(configured: string): readonly string[] {
  return configured === '' ? DAEMON_PATHS : [configured];
}

export const mke2fs: Check = {
  name: 'mke2fs',
  summary: 'makes disks of root file systems where nothing is shared with the guest',
  decides: 'create',
  run: ({ machine, configuration }) => {
    if (configuration?.sharedFs !== 'none' || configuration.remote) return skipped('not needed: files are shared');
    const path = programPath(machine, 'mke2fs');
    if (path !== undefined) return ok(path);
    return failed(
      'there is no mke2fs, and shared_fs = "none"',
      'install e2fsprogs, or use a snapshotter that gives block devices',
    );
  },
};

export const addon: Check = {
  name: 'addon',
  summary: "this installation's own system calls (kata.node)",
  decides: 'create',
  run: ({ loadAddon, lib, machine }) => {
    try {
      loadAddon();
      return ok(`${lib}/kata.node, Node ${process.versions.node}`);
    } catch (thrown) {
      const what = thrown instanceof Error ? thrown.message : String(thrown);
      return failed(oneLine(what, 300), `install the package for ${debianArch(machine.arch)} anew`);
    }
  },
};

function literal(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
