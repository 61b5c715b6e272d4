/** What `env` tells, under the names that Kata's command has for it. */
import { join } from 'node:path';
import type { Configuration } from '../../config/configuration.ts';
import type { Inspection } from '../../config/inspect.ts';
import { nameOf, placeOf } from '../../config/show.ts';
import { QEMU } from '../../config/values.ts';
import { chooseAccelerator } from '../../hypervisor/qemu/accelerator.ts';
import { HOST_OVERHEAD_MIB } from '../../resources/sizing.ts';
import { oneLine } from '../../tail.ts';
import type { Call } from '../call.ts';
import { type CheckedMachine, exists, realMachine, whyNotOpen } from '../check/machine.ts';
import { daemonCandidates } from '../check/programs.ts';
import { inspectionOf } from '../inspection.ts';
import { libDirectory } from '../lib-directory.ts';
import { OCI_VERSION } from '../version-command.ts';
import { type HostSettings, hostSettings } from './host.ts';

/** Of Kata's output format, whose names these are. */
const FORMAT_VERSION = '1.0.27';

/** Codes that do not blame the files: what they say can be meant, this machine or program has it not. */
const MISSING: readonly string[] = ['failed_precondition', 'unimplemented'];

export interface Settings {
  /** undefined: the configuration's files are wrong. */
  readonly document: object | undefined;
  /** What is wrong with the files. */
  readonly errors: readonly string[];
  /** What they ask for and is not here: no sandbox is made without. */
  readonly missing: readonly string[];
  /** What is done otherwise than the files say. */
  readonly notes: readonly string[];
}

export async function settings(call: Call): Promise<Settings> {
  const inspection = await inspectionOf(call);
  const { configuration, notes } = inspection;
  const document = configuration && (await documentOf(call, inspection, configuration));
  const messages = (here: boolean): string[] =>
    inspection.errors.filter(({ code }) => MISSING.includes(code) !== here).map(({ message }) => message);
  return { document, errors: messages(true), missing: messages(false), notes };
}

async function documentOf(call: Call, inspection: Inspection, configuration: Configuration): Promise<object> {
  const lib = libDirectory();
  const machine = realMachine(call.environment);
  const host = await hostSettings(machine, configuration);
  return {
    Meta: { Version: FORMAT_VERSION },
    Runtime: runtimeSettings(call, lib, configuration),
    Hypervisor: await hypervisorSettings(machine, configuration),
    Image: { Path: configuration.image ?? '' },
    Initrd: { Path: configuration.initrd ?? '' },
    Kernel: { Path: configuration.kernel, Parameters: configuration.kernelParams },
    Agent: {
      Debug: configuration.values.boolean('agent.kata', 'enable_debug', false),
      Trace: configuration.values.boolean('agent.kata', 'enable_tracing', false),
    },
    Host: host,
    Edge: await edgeSettings(machine, lib, inspection, configuration, host),
  };
}

function runtimeSettings({ version }: Call, lib: string, configuration: Configuration): object {
  const { values, file, disableGuestSeccomp, disableNewNetns, sandboxCgroupOnly } = configuration;
  const [, major = '0', minor = '0', patch = '0'] = /^(\d+)\.(\d+)\.(\d+)/.exec(version.version) ?? [];
  return {
    Config: { Path: file ?? '' },
    Path: join(lib, '..', 'bin', 'kata-runtime'),
    GuestSeLinuxLabel: values.string('runtime', 'guest_selinux_label', ''),
    Experimental: values.strings('runtime', 'experimental'),
    Version: {
      OCI: OCI_VERSION,
      Version: {
        Semver: version.version,
        Commit: version.revision,
        Major: Number(major),
        Minor: Number(minor),
        Patch: Number(patch),
      },
    },
    Debug: values.boolean('runtime', 'enable_debug', false),
    Trace: values.boolean('runtime', 'enable_tracing', false),
    DisableGuestSeccomp: disableGuestSeccomp,
    DisableNewNetNs: disableNewNetns,
    SandboxCgroupOnly: sandboxCgroupOnly,
  };
}

async function hypervisorSettings(machine: CheckedMachine, configuration: Configuration): Promise<object> {
  const { values, remote, qemuPath, machineType, block, devices, sharedFs, debug } = configuration;
  const said = remote ? undefined : await machine.run(qemuPath, ['--version']);
  return {
    MachineType: machineType,
    Version: said?.code === 0 ? oneLine(said.text.split('\n')[0] ?? '', 200) : 'unknown',
    Path: remote ? '' : qemuPath,
    BlockDeviceDriver: block.driver,
    EntropySource: devices.entropySource ?? '',
    SharedFS: sharedFs,
    VirtioFSDaemon:
      daemonCandidates(configuration.virtiofsd).find((path) => exists(machine, path)) ?? configuration.virtiofsd,
    SocketPath: remote ? values.string(values.hypervisor, 'remote_hypervisor_socket', '') : '',
    Msize9p: 0,
    MemorySlots: values.number(QEMU, 'memory_slots', 0),
    HotPlugVFIO: values.string(QEMU, 'hot_plug_vfio', '') || 'no-port',
    ColdPlugVFIO: values.string(QEMU, 'cold_plug_vfio', '') || 'no-port',
    PCIeRootPort: values.number(QEMU, 'pcie_root_port', 0),
    PCIeSwitchPort: values.number(QEMU, 'pcie_switch_port', 0),
    Debug: debug,
    SecurityInfo: {
      Rootless: values.boolean(QEMU, 'rootless', false),
      DisableSeccomp: values.boolean(QEMU, 'disable_seccomp', false),
      GuestHookPath: configuration.guestHookPath,
      EnableAnnotations: configuration.enableAnnotations,
      ConfidentialGuest: values.boolean(QEMU, 'confidential_guest', false),
    },
  };
}

async function edgeSettings(
  machine: CheckedMachine,
  lib: string,
  { ignored, unknown, values: set, dropIns }: Inspection,
  configuration: Configuration,
  { Memory }: HostSettings,
): Promise<object> {
  const { vcpus, maxVcpus, memoryMib, maxMemoryMib, ownGuest, values } = configuration;
  const choice = await acceleratorOf(machine, configuration);
  const around = choice.accelerator === 'remote' ? 0 : HOST_OVERHEAD_MIB[choice.accelerator === 'kvm' ? 'kvm' : 'tcg'];
  return {
    Lib: lib,
    HypervisorTable: values.hypervisor,
    Guest: ownGuest ? 'own' : 'kata',
    AgentTransport: configuration.agentTransport || 'auto',
    Accelerator: choice.accelerator,
    AcceleratorReason: choice.reason,
    DropIns: dropIns,
    KeysSet: set.length,
    Network: configuration.networkModel,
    // What a pod without limits gets, after the host's own limits.
    Sizes: {
      VCPUs: vcpus,
      MaxVCPUs: maxVcpus,
      MemoryMiB: memoryMib,
      MaxMemoryMiB: maxMemoryMib,
      OverheadVCPUs: configuration.overheadVcpus,
      OverheadMemoryMiB: configuration.overheadMemoryMib,
      StaticSizing: configuration.staticSizing,
      // What the host has to have free for it: the guest, QEMU, virtiofsd, the shim.
      HostMemoryMiB: memoryMib + around,
      SandboxesThatFit: around === 0 ? 0 : Math.max(0, Math.floor(Memory.Available / 1024 / (memoryMib + around))),
    },
    Keys: [
      ...ignored.map((key) => ({
        Place: placeOf(key),
        Key: nameOf(key.table, key.key),
        Status: 'ignored',
        About: key.why,
        Harmless: key.harmless,
      })),
      ...unknown.map((key) => ({
        Place: placeOf(key),
        Key: nameOf(key.table, key.key),
        Status: 'unknown',
        About: key.suggestion,
        Harmless: false,
      })),
    ],
  };
}

async function acceleratorOf(
  machine: CheckedMachine,
  { remote, qemuPath, kernel }: Configuration,
): Promise<{ accelerator: string; reason: string }> {
  if (remote) return { accelerator: 'remote', reason: 'the machines are of another host' };
  const closed = machine.uid !== 0 && exists(machine, '/dev/kvm') ? whyNotOpen(machine, '/dev/kvm') : '';
  if (closed !== '') return { accelerator: 'unknown', reason: `only root can try: ${closed}` };
  return await chooseAccelerator(qemuPath, kernel);
}
