/** Machines described by a directory of files, for the checks. */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { CheckedMachine, Said } from '../../../host/cli/check/machine.ts';
import type { Situation } from '../../../host/cli/check/situation.ts';
import { interpret } from '../../../host/config/configuration.ts';
import { Values } from '../../../host/config/values.ts';

export const KERNEL = '6.1.0-test';

/** First processor of a Core i5, of an EPYC, of the latter in a virtual machine, of a Raspberry Pi 4; lines that matter, and some around. */
export const CPUINFO = {
  intel: `processor\t: 0
vendor_id\t: GenuineIntel
model name\t: Intel(R) Core(TM) i5-8259U CPU @ 2.30GHz
flags\t\t: fpu vme de pse msr lm vmx smx est ept vpid
vmx flags\t: vnmi preemption_timer

processor\t: 1
vendor_id\t: GenuineIntel
`,
  amd: `processor\t: 0
vendor_id\t: AuthenticAMD
model name\t: AMD EPYC 7302P 16-Core Processor
flags\t\t: fpu vme de pse msr lm svm npt
`,
  nested: `processor\t: 0
vendor_id\t: AuthenticAMD
model name\t: AMD EPYC
flags\t\t: fpu vme de pse msr lm hypervisor
`,
  plain: `processor\t: 0
vendor_id\t: GenuineIntel
model name\t: Intel(R) Atom(TM) CPU D525
flags\t\t: fpu vme de pse msr lm
`,
  raspberry: `processor\t: 0
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd08
CPU revision\t: 3

Revision\t: c03115
Model\t\t: Raspberry Pi 4 Model B Rev 1.5
`,
} as const;

const MEMINFO =
  'MemTotal:        8000000 kB\nMemFree:         1000000 kB\nMemAvailable:    6000000 kB\nHugePages_Free:        0\nHugepagesize:       2048 kB\n';
const TOOLS = ['setsid', 'unshare', 'setpriv', 'readlink', 'sha256sum', 'grep', 'mke2fs', 'containerd-shim-kata-v2'];
const MODULES = [
  'net/sched/sch_ingress',
  'net/sched/cls_u32',
  'net/sched/act_mirred',
  'net/netfilter/nf_tables',
  'net/netfilter/nft_chain_nat',
  'net/netfilter/nft_redir',
];
const QEMU_SAYS: Readonly<Record<string, string>> = {
  '--version': 'QEMU emulator version 7.2.9 (Debian 1:7.2+dfsg-7)\nCopyright\n',
  '-machine help':
    'Supported machines are:\nq35                  Standard PC (Q35 + ICH9, 2009)\nvirt                 QEMU ARM Virtual Machine\n',
  '-device help': [
    'virtio-blk-pci',
    'virtio-net-pci',
    'virtio-serial-pci',
    'vhost-user-fs-pci',
    'pci-bridge',
    'pcie-root-port',
  ]
    .map((name) => `name "${name}", bus PCI\n`)
    .join(''),
  '-accel help': 'Accelerators supported in QEMU binary:\ntcg\nkvm\n',
};

export const SHIM_SAYS = 'containerd-shim-kata-v2: kata-edge 0.1.0 (commit 0123456789ab)\n';

export interface Fake {
  readonly machine: CheckedMachine;
  readonly situation: (more?: Partial<Situation>) => Situation;
  write(path: string, text: string | Buffer, mode?: number): void;
  remove(path: string): void;
  /** What a program answers; the path, or its name. */
  says(command: string, said: Said): void;
}

const made: string[] = [];
process.on('exit', () => {
  for (const directory of made) rmSync(directory, { recursive: true, force: true });
});

/** A good machine, all of whose checks pass, under KVM. */
export function goodMachine(cpuinfo: string = CPUINFO.intel, arch = 'x64', uid = 0): Fake {
  const root = mkdtempSync(join(tmpdir(), 'kata-check-'));
  made.push(root);
  const answers = new Map<string, Said>();
  const machine: CheckedMachine = {
    root,
    arch,
    uid,
    kernel: KERNEL,
    path: ['/usr/bin'],
    containerdSocket: '',
    run: async (program, args) =>
      answers.get(`${program} ${args.join(' ')}`.trim()) ?? { code: -1, text: `${program}: not found` },
  };
  const fake: Fake = {
    machine,
    situation: (more = {}) => situationOf(machine, more),
    write: (path, text, mode = 0o644) => {
      mkdirSync(dirname(root + path), { recursive: true });
      writeFileSync(root + path, text);
      chmodSync(root + path, mode);
    },
    remove: (path) => rmSync(root + path, { recursive: true, force: true }),
    says: (command, said) => void answers.set(command, said),
  };
  furnish(fake, cpuinfo);
  return fake;
}

function furnish({ write, says, machine }: Fake, cpuinfo: string): void {
  const arm = machine.arch === 'arm64';
  write('/proc/cpuinfo', cpuinfo);
  write('/proc/meminfo', MEMINFO);
  write('/proc/self/cgroup', '0::/user.slice\n');
  write('/proc/self/mountinfo', '30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n');
  write('/sys/fs/cgroup/cgroup.controllers', 'cpuset cpu io memory pids\n');
  for (const name of ['mnt', 'net']) write(`/proc/self/ns/${name}`, '');
  write('/proc/sys/kernel/seccomp/actions_avail', 'kill_process allow\n');
  for (const device of ['kvm', 'net/tun', 'vhost-net', 'vhost-vsock']) write(`/dev/${device}`, '');
  if (!arm)
    for (const module of ['kvm', cpuinfo.includes('svm') ? 'kvm_amd' : 'kvm_intel'])
      write(`/sys/module/${module}/parameters/nested`, 'Y\n');
  write(`/lib/modules/${KERNEL}/modules.builtin`, MODULES.map((name) => `kernel/${name}.ko\n`).join(''));
  write(`/lib/modules/${KERNEL}/modules.dep`, 'kernel/drivers/net/tun.ko:\nkernel/drivers/vhost/vhost_vsock.ko.xz:\n');
  for (const tool of TOOLS) write(`/usr/bin/${tool}`, '#!/bin/sh\n', 0o755);
  const qemu = `/usr/bin/qemu-system-${arm ? 'aarch64' : 'x86_64'}`;
  write(qemu, '', 0o755);
  for (const [args, text] of Object.entries(QEMU_SAYS)) says(`${qemu} ${args}`, { code: 0, text });
  says('/usr/bin/containerd-shim-kata-v2 -v', { code: 0, text: SHIM_SAYS });
  write('/usr/libexec/virtiofsd', '', 0o755);
  says('/usr/libexec/virtiofsd --version', { code: 0, text: 'virtiofsd 1.10.0\n' });
  write('/guest/vmlinux', kernelOf(arm ? 183 : 62));
  write('/guest/Image', kernelOf(183));
  write('/guest/initramfs.cpio.gz', Buffer.from([0x1f, 0x8b, 8, 0]));
  write('/guest/manifest.json', JSON.stringify({ arch: arm ? 'arm64' : 'amd64', kernelVersion: '6.1.0-56' }));
  write('/run/kata-containers/x', '');
  chmodSync(`${machine.root}/run/kata-containers`, 0o700);
  write('/etc/containerd/config.toml', CONTAINERD);
}

export const CONTAINERD = `version = 2
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.kata]
  runtime_type = "io.containerd.kata.v2"
  privileged_without_host_devices = true
  pod_annotations = ["io.katacontainers.*"]
`;

/** The beginning of an ELF file. */
export function kernelOf(elfMachine: number): Buffer {
  const head = Buffer.alloc(2048);
  head.write('\x7fELF', 'latin1');
  // ET_EXEC
  head.writeUInt16LE(2, 16);
  head[4] = 2;
  head[5] = 1;
  head.writeUInt16LE(elfMachine, 18);
  return head;
}

function situationOf(machine: CheckedMachine, more: Partial<Situation>): Situation {
  return {
    machine,
    configuration: configurationOf(machine.arch),
    inspection: { file: undefined, errors: [], ignored: [], unknown: [] },
    lib: '/lib',
    accelerator: async () => ({ accelerator: 'kvm', reason: '' }),
    loadAddon: () => {},
    ...more,
  };
}

/** The defaults, with some keys of [hypervisor.qemu] set. */
export function configurationOf(
  arch = 'x64',
  keys: Record<string, unknown> = {},
): NonNullable<Situation['configuration']> {
  const origins = Object.entries(keys).map(([key, value]) => [key, { file: 'test.toml', value }] as const);
  const values = new Values(new Map([['hypervisor.qemu', new Map(origins)]]));
  return interpret(values, undefined, { arch, guest: '/guest', cpus: 4, memoryMib: 7812 });
}
