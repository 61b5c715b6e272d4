/** KVM or TCG. A /dev/kvm that opens proves nothing: under some hosts it cannot run a stock kernel, so one is booted. */
import { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { Child } from '../../child.ts';
import { reasonOf } from '../../error.ts';
import { oneLine, Tail } from '../../tail.ts';
import type { Accelerator } from '../hypervisor.ts';

/** What the probe's kernel gets to reach its panic for want of a root file system, ms. Under KVM it needs under one second. */
export const PROBE_MS = 5000;
/** Largest cache file that is read, bytes. */
const MAX_CACHE_BYTES = 64 * 1024;
const CACHE_PATH = '/var/cache/kata-edge/accelerator.json';

export interface AcceleratorChoice {
  readonly accelerator: Accelerator;
  /** Why not KVM; empty under KVM. */
  readonly reason: string;
}

/** Where to look; tests give their own. */
export interface AcceleratorHost {
  readonly kvmDevice: string;
  readonly cpuinfo: string;
  readonly bootId: string;
  readonly cache: string;
  readonly arch: string;
  /** Boots the guest kernel under KVM. @returns why it did not work, or '' */
  readonly probe: (qemuPath: string, kernel: string) => Promise<string>;
}

export const THIS_HOST: AcceleratorHost = {
  kvmDevice: '/dev/kvm',
  cpuinfo: '/proc/cpuinfo',
  bootId: '/proc/sys/kernel/random/boot_id',
  cache: CACHE_PATH,
  arch: process.arch,
  probe: bootUnderKvm,
};

/**
 * Chooses the accelerator. The first call after a host's boot may take PROBE_MS; the answer is kept in a file.
 * Never throws: whatever goes wrong is a reason for TCG.
 * @param qemuPath absolute path of the QEMU that will run
 * @param kernel absolute path of the guest kernel that will run
 */
export async function chooseAccelerator(
  qemuPath: string,
  kernel: string,
  host: AcceleratorHost = THIS_HOST,
): Promise<AcceleratorChoice> {
  const without = withoutProbe(host);
  if (without !== undefined) return { accelerator: 'tcg', reason: without };

  const key = cacheKey(qemuPath, kernel, host);
  const known = key === undefined ? undefined : readCache(host.cache)[key];
  const reason = known ?? (await host.probe(qemuPath, kernel).catch(reasonOf));
  if (known === undefined && key !== undefined) writeCache(host.cache, key, reason);
  return { accelerator: reason === '' ? 'kvm' : 'tcg', reason };
}

/** The reason against KVM that can be read off, undefined if only a boot can tell. */
function withoutProbe(host: AcceleratorHost): string | undefined {
  if (!statSync(host.kvmDevice, { throwIfNoEntry: false })) return `${host.kvmDevice} does not exist`;
  if (host.arch !== 'x64') return undefined;
  let flags: string[];
  try {
    flags = /^flags\s*:(.*)$/m.exec(readFileSync(host.cpuinfo, 'latin1'))?.[1]?.split(' ') ?? [];
  } catch {
    return `${host.cpuinfo} cannot be read`;
  }
  if (flags.includes('vmx') || flags.includes('svm')) return undefined;
  // A paravirtual KVM has such a device on a CPU without the extension; it cannot run a stock kernel.
  return `${host.kvmDevice} exists, but the CPU shows neither vmx nor svm`;
}

/** Boots the kernel with no root: it must say that it panics, and end QEMU by that. */
async function bootUnderKvm(qemuPath: string, kernel: string): Promise<string> {
  const machine = process.arch === 'arm64' ? 'virt,gic-version=host' : 'q35';
  const serial = process.arch === 'arm64' ? 'ttyAMA0' : 'ttyS0';
  const args = [
    ...['-machine', `${machine},accel=kvm`, '-cpu', 'host', '-m', '256M'],
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
    ...['-kernel', kernel, '-append', `console=${serial} console=hvc0 quiet loglevel=1 panic=-1 reboot=t lsm=`],
    ...['-chardev', 'socket,id=console,fd=3,mux=on', '-serial', 'chardev:console'],
    ...['-device', 'virtio-serial-pci', '-device', 'virtconsole,chardev=console'],
  ];
  const child = await Child.spawn(qemuPath, args, { descriptors: ['pipe'], dropCapabilities: true });
  const console = new Tail();
  child.stream(0).on('data', (chunk: Buffer) => console.push(chunk));
  let expired = false;
  const timer = setTimeout(() => {
    expired = true;
    void child.kill();
  }, PROBE_MS);
  const exit = await child.exited;
  clearTimeout(timer);
  await child.kill();
  if (expired) return `under KVM the guest kernel did not come to its end within ${PROBE_MS} ms`;
  if (exit.code !== 0) return `QEMU refused KVM: ${oneLine(exit.stderr) || `exit code ${exit.code ?? exit.signal}`}`;
  // A triple fault resets the machine too; only a kernel that has come far says this.
  return console.text().includes('Kernel panic') ? '' : 'under KVM the machine was reset before the guest kernel ran';
}

/** Another boot of the host, or other files, may give another answer. */
function cacheKey(qemuPath: string, kernel: string, host: AcceleratorHost): string | undefined {
  try {
    const files = [qemuPath, kernel, host.kvmDevice].map((path) => {
      const { mtimeMs, size, ino } = statSync(path);
      return `${path}:${ino}:${size}:${mtimeMs}`;
    });
    return [readFileSync(host.bootId, 'latin1').trim(), ...files].join(' ');
  } catch {
    return undefined;
  }
}

function readCache(path: string): Readonly<Record<string, string>> {
  try {
    const stat = statSync(path);
    // Somebody else's file could make every pod slow, or unstartable.
    if (stat.uid !== process.getuid?.() || (stat.mode & 0o022) !== 0 || stat.size > MAX_CACHE_BYTES) return {};
    const parsed: unknown = JSON.parse(readFileSync(path, 'utf8'));
    if (typeof parsed !== 'object' || parsed === null) return {};
    return Object.fromEntries(Object.entries(parsed).filter(([, reason]) => typeof reason === 'string'));
  } catch {
    return {};
  }
}

function writeCache(path: string, key: string, reason: string): void {
  const fresh = `${path}.${process.pid}`;
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    const [bootId = ''] = key.split(' ');
    const sameBoot = Object.entries(readCache(path)).filter(([other]) => other.startsWith(`${bootId} `));
    writeFileSync(fresh, JSON.stringify(Object.fromEntries([...sameBoot, [key, reason]])), { mode: 0o600 });
    renameSync(fresh, path);
  } catch {
    // Without a cache the next start probes again.
    try {
      rmSync(fresh, { force: true });
    } catch {
      // Then it was never made.
    }
  }
}
