/** The host, as Kata's command describes it. */
import type { Configuration } from '../../config/configuration.ts';
import { architecture, armModel, kvm, virtualization, x86Cpu } from '../check/cpu.ts';
import { namespaces, network, tun } from '../check/devices.ts';
import { type CheckedMachine, exists, readText } from '../check/machine.ts';
import { verdictOf } from '../check/report.ts';
import { debianArch } from '../check/situation.ts';

export interface HostSettings {
  readonly AvailableGuestProtections: readonly string[];
  readonly Kernel: string;
  /** As Go names it: amd64, arm64. */
  readonly Architecture: string;
  /** Whether `check` would find this machine capable. */
  readonly VMContainerCapable: boolean;
  readonly SupportVSocks: boolean;
  readonly Distro: { readonly Name: string; readonly Version: string };
  readonly CPU: { readonly Vendor: string; readonly Model: string; readonly CPUs: number };
  /** KiB. */
  readonly Memory: { readonly Total: number; readonly Free: number; readonly Available: number };
}

/** What tells whether a machine is capable: the checks without programs. */
const CAPABILITY = [architecture, virtualization, kvm, tun, network, namespaces];

export async function hostSettings(machine: CheckedMachine, configuration: Configuration): Promise<HostSettings> {
  const { capable } = await verdictOf(
    CAPABILITY,
    {
      machine,
      configuration,
      inspection: { file: undefined, errors: [], ignored: [], unknown: [] },
      lib: '',
      accelerator: async () => ({ accelerator: 'tcg', reason: '' }),
      loadAddon: () => {},
    },
    false,
  );
  return {
    AvailableGuestProtections: [],
    Kernel: machine.kernel,
    Architecture: debianArch(machine.arch),
    VMContainerCapable: capable,
    SupportVSocks: exists(machine, '/dev/vhost-vsock'),
    Distro: distro(readText(machine, '/etc/os-release') ?? readText(machine, '/usr/lib/os-release') ?? ''),
    CPU: cpu(machine),
    Memory: memory(readText(machine, '/proc/meminfo') ?? ''),
  };
}

/** os-release(5): values may be quoted. */
function distro(text: string): { Name: string; Version: string } {
  const field = (name: string): string => new RegExp(`^${name}="?([^"\\n]*)"?$`, 'm').exec(text)?.[1] ?? '';
  return { Name: field('NAME') || 'unknown', Version: field('VERSION_ID') };
}

function cpu(machine: CheckedMachine): { Vendor: string; Model: string; CPUs: number } {
  const text = readText(machine, '/proc/cpuinfo') ?? '';
  const CPUs = text.match(/^processor\s*:/gm)?.length ?? 0;
  if (machine.arch !== 'arm64') {
    const { vendor, model } = x86Cpu(text);
    return { Vendor: vendor, Model: model, CPUs };
  }
  const implementer = /^CPU implementer\s*: (\S+)/m.exec(text)?.[1];
  const architectureOf = /^CPU architecture\s*: (\d+)/m.exec(text)?.[1];
  const board = armModel(machine);
  return {
    Vendor: implementer === '0x41' ? 'ARM Limited' : '3rd Party Limited',
    Model: `v${architectureOf ?? '8'}${board === '' ? '' : ` (${board})`}`,
    CPUs,
  };
}

function memory(text: string): { Total: number; Free: number; Available: number } {
  const kib = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1] ?? 0);
  return { Total: kib('MemTotal'), Free: kib('MemFree'), Available: kib('MemAvailable') };
}
