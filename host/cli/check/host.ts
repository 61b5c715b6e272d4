/** What the host has to give to a sandbox: memory, cgroups, a place for its files; and whether we may have it. */
import { lstatSync, type Stats } from 'node:fs';
import { parseHierarchies } from '../../resources/cgroup-host.ts';
import { HOST_OVERHEAD_MIB } from '../../resources/sizing.ts';
import { armModel } from './cpu.ts';
import { type Check, type Finding, failed, ok, skipped, warning } from './finding.ts';
import { type CheckedMachine, isWritable, readText } from './machine.ts';
import { NO_CONFIGURATION } from './situation.ts';

/** What a sandbox's limits are set by. */
const CONTROLLERS = ['cpu', 'memory', 'cpuset'];
const RUNTIME_DIRECTORY = '/run/kata-containers';

export const root: Check = {
  name: 'root',
  summary: 'this check is made by root, as sandboxes are',
  decides: 'create',
  run: ({ machine: { uid } }) =>
    uid === 0
      ? ok('root')
      : skipped(`asked by uid ${uid}: only root learns whether sandboxes can be created now (sudo kata-runtime check)`),
};

export const memory: Check = {
  name: 'memory',
  summary: 'memory for a sandbox of the default size, and what runs around it',
  decides: 'create',
  run: ({ machine, configuration }) => {
    if (!configuration) return skipped(NO_CONFIGURATION);
    if (configuration.remote) return skipped('sandboxes are machines of another host');
    const info = meminfo(machine);
    const total = info.get('MemTotal');
    const available = info.get('MemAvailable');
    if (total === undefined || available === undefined) return failed('/proc/meminfo cannot be read', 'mount /proc');
    // Whether KVM works is asked elsewhere; the larger of the two always suffices.
    const need = configuration.memoryMib + HOST_OVERHEAD_MIB.tcg;
    const told = `a sandbox needs ${need} MiB: ${configuration.memoryMib} for the guest (default_memory), ${HOST_OVERHEAD_MIB.tcg} around it at most`;
    const advice = 'lower default_memory in [hypervisor.qemu]';
    if (total < need)
      return failed(`${told}; this machine has ${total} MiB in all`, `${advice}, or use a larger machine`, 'capable');
    if (available < need) return failed(`${told}; ${available} MiB are available now`, `stop something, or ${advice}`);
    return ok(`${available} of ${total} MiB are available; ${told}`);
  },
};

export const hugePages: Check = {
  name: 'huge-pages',
  summary: "free huge pages for a guest's memory, where it is configured to have them",
  decides: 'create',
  run: ({ machine, configuration }) => {
    if (!configuration) return skipped(NO_CONFIGURATION);
    if (configuration.memory.hugePages !== 'hugetlbfs') return skipped('not configured (enable_hugepages)');
    const info = meminfo(machine);
    const size = readKib(machine, 'Hugepagesize');
    const free = Number(/^HugePages_Free:\s+(\d+)/m.exec(readText(machine, '/proc/meminfo') ?? '')?.[1] ?? 0);
    const freeMib = Math.floor((free * size) / 1024);
    if (size > 0 && freeMib >= configuration.memoryMib) return ok(`${free} pages of ${size} KiB are free`);
    const pages = size === 0 ? 0 : Math.ceil((configuration.memoryMib * 1024) / size);
    return failed(
      `enable_hugepages is on, and ${freeMib} MiB of huge pages are free; a guest takes ${configuration.memoryMib} MiB`,
      info.size === 0 || size === 0 ? 'use a kernel with CONFIG_HUGETLBFS' : `sysctl vm.nr_hugepages=${pages} or more`,
    );
  },
};

export const cgroups: Check = {
  name: 'cgroups',
  summary:
    'control groups, by which the host limits a sandbox: version, controllers, and whether they are ours to make',
  decides: 'create',
  run: ({ machine, configuration }) => {
    if (configuration?.remote) return skipped('sandboxes are machines of another host');
    const text = (path: string): string => readText(machine, path) ?? '';
    const hierarchies = parseHierarchies(text('/proc/self/mountinfo'), text('/proc/self/cgroup'));
    const v1 = hierarchies.filter(({ version, controllers }) => version === 1 && controllers[0] !== 'name=systemd');
    const v2 = hierarchies.find(({ version }) => version === 2);
    if (v1.length === 0 && !v2)
      return warning('no cgroups are mounted: the host does not limit sandboxes', 'mount /sys/fs/cgroup');
    const controllers =
      v1.length > 0
        ? v1.flatMap((one) => one.controllers)
        : text(`${v2?.point}/cgroup.controllers`).trim().split(/\s+/);
    const version = v1.length > 0 ? 'version 1' : 'version 2';
    const points = v1.length > 0 ? v1.map(({ point }) => point) : [v2?.point ?? ''];
    const locked = points.filter((point) => !isWritable(machine, point));
    if (locked.length > 0 && machine.uid === 0) {
      return warning(
        `${version}, and read-only at ${locked.join(', ')}: sandboxes are not limited there`,
        'in a container: run it privileged, or mount cgroups writable',
      );
    }
    const missing = CONTROLLERS.filter((name) => !controllers.includes(name));
    if (missing.length > 0)
      return warning(`${version} without ${missing.join(', ')}`, controllerAdvice(machine, missing));
    return ok(`${version}: ${CONTROLLERS.join(', ')}`);
  },
};

function controllerAdvice(machine: CheckedMachine, missing: readonly string[]): string {
  // Its firmware switches the memory controller off unless told otherwise.
  if (missing.includes('memory') && /Raspberry Pi/.test(armModel(machine))) {
    return 'add "cgroup_enable=memory cgroup_memory=1" to the line in /boot/firmware/cmdline.txt (older systems: /boot/cmdline.txt), and boot anew';
  }
  return `boot the kernel with ${missing.map((name) => `cgroup_enable=${name}`).join(' ')}, or one that has them`;
}

export const runtimeDirectory: Check = {
  name: 'runtime-directory',
  summary: `${RUNTIME_DIRECTORY}, where sandboxes keep sockets and state`,
  decides: 'create',
  run: ({ machine }) => {
    const path = RUNTIME_DIRECTORY;
    const found = statOf(machine, path);
    if (!found) {
      if (isWritable(machine, '/run') || machine.uid !== 0) return ok(`${path} is made with the first sandbox`);
      return failed('/run is not writable', 'mount a tmpfs at /run');
    }
    return directoryFinding(machine, path, found);
  },
};

function directoryFinding(machine: CheckedMachine, path: string, found: Stats): Finding {
  if (!found.isDirectory()) return failed(`${path} is no directory`, `remove it: rm ${path}`);
  if (machine.uid !== 0) return ok(`${path} is there`);
  if (found.uid !== 0 || (found.mode & 0o022) !== 0) {
    const mode = (found.mode & 0o7777).toString(8).padStart(4, '0');
    return failed(
      `others than root may write to ${path} (owner ${found.uid}, mode ${mode})`,
      `chown root:root ${path} && chmod 0700 ${path}`,
    );
  }
  return isWritable(machine, path) ? ok(path) : failed(`${path} is not writable`, 'mount a tmpfs at /run');
}

function statOf({ root: prefix }: CheckedMachine, path: string): Stats | undefined {
  return lstatSync(prefix + path, { throwIfNoEntry: false });
}

/** MiB by name. */
export function meminfo(machine: CheckedMachine): Map<string, number> {
  const text = readText(machine, '/proc/meminfo') ?? '';
  const found = new Map<string, number>();
  for (const [, name = '', kib = ''] of text.matchAll(/^(\w+):\s+(\d+) kB$/gm)) {
    found.set(name, Math.floor(Number(kib) / 1024));
  }
  return found;
}

function readKib(machine: CheckedMachine, name: string): number {
  const text = readText(machine, '/proc/meminfo') ?? '';
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1] ?? 0);
}
