/**
 * The seam between a sandbox and what runs its virtual machine. One implementation per folder: ./qemu, ./remote.
 * Devices of a pod are plugged into a machine that exists but stands still: a guest that boots finds them like any other
 * device, one restored from a template has them hot-plugged when it goes on.
 */
import type { DeviceArguments } from '../agent/transport.ts';
import type { BlockSettings } from '../config/block.ts';
import type { MachineDevices } from '../config/machine-devices.ts';
import type { MemorySettings } from '../config/memory.ts';

/** How the guest finds a plugged device: slot numbers from the root bus, hexadecimal, e.g. `02/00`. */
export type PciPath = string;

export type Accelerator = 'kvm' | 'tcg';

/** What a remote machine is made by, besides its size, machine type and image. */
export interface RemoteVm {
  /** Path of the unix socket that serves `hypervisor.Hypervisor`. */
  readonly socket: string;
  /** How long making or starting the machine may take, ms. */
  readonly timeoutMs: number;
  /** As the CRI names the pod; empty: it has no name. */
  readonly podName: string;
  readonly podNamespace: string;
  readonly gpus: number;
  readonly gpuModel: string;
  readonly initdata: string;
}

/** A machine that somebody else made for us, for the state file: whoever cleans up needs no more. */
export interface RemoteTraces {
  /** Path of the unix socket that serves `hypervisor.Hypervisor`. */
  readonly socket: string;
  /** By which the peer knows it. */
  readonly id: string;
}

/** What a VM is made of. Paths are absolute and were checked to exist. */
export interface VmConfig {
  /** Names the VM in process lists and logs. */
  readonly sandboxId: string;
  /** Private directory (0700) for this VM's sockets. Short: socket paths end at 107 bytes. */
  readonly directory: string;
  readonly qemuPath: string;
  readonly machineType: string;
  readonly machineAccelerators: string;
  readonly cpuFeatures: string;
  readonly kernel: string;
  /** Exactly one of the two is set. */
  readonly initrd: string | undefined;
  readonly image: string | undefined;
  /** Whose guest it is; absent: `kata` with an image, `own` with an initrd. Kata's gets a virtio console and entropy. */
  readonly guest?: 'own' | 'kata' | undefined;
  /** File system of the image's first partition; absent: ext4. */
  readonly rootfsType?: string | undefined;
  /** Appended last to the guest's kernel command line. */
  readonly kernelParams: string;
  readonly vcpus: number;
  readonly maxVcpus: number;
  /** MiB at boot. */
  readonly memoryMib: number;
  readonly seccompSandbox: string;
  /** Absent, each of them: as the machine is without configuration. */
  readonly block?: BlockSettings | undefined;
  readonly memory?: MemorySettings | undefined;
  readonly devices?: MachineDevices | undefined;
  readonly debug: boolean;
  /** Is given what the guest writes to its console, as it comes; an empty piece when no more will. Absent: only its end is kept. */
  readonly onConsole?: ((chunk: Uint8Array) => void) | undefined;
  /** Path of the network namespace the VMM runs in; absent or empty: that of the shim. */
  readonly networkNamespace?: string | undefined;
  /** undefined: QEMU makes it here. */
  readonly remote?: RemoteVm | undefined;
}

/** A NIC's host end. */
export interface NicBackend {
  /** Name of a tap or macvtap device in the VMM's network namespace. */
  readonly device: string;
  /** Descriptors of that device, where the VMM cannot open it by name (macvtap); absent: it opens `device` itself. */
  readonly fds?: readonly number[] | undefined;
  /** As `02:42:ac:11:00:02`. */
  readonly mac: string;
  /** Pairs of queues; absent: one. The device was made with as many. */
  readonly queues?: number | undefined;
}

/** How a VMM ended. */
export interface VmExit {
  readonly code: number | null;
  readonly signal: string | null;
  /** The last lines QEMU wrote on stderr, escaped and bounded. */
  readonly stderr: string;
}

export interface Hypervisor {
  readonly kind: 'qemu' | 'remote';
  /** Valid once `start` has been called; undefined: the VM is not on this machine. */
  readonly accelerator: Accelerator | undefined;
  /** Why not KVM; empty under KVM. */
  readonly acceleratorReason: string;
  /** Pid of the VMM on the host, 0 before `start`; of this process where there is none. */
  readonly pid: number;
  /** Set as soon as there may be a machine elsewhere. */
  readonly remote?: RemoteTraces | undefined;
  /** Settles when the VMM has ended and was reaped, whoever ended it. Never rejects. */
  readonly exited: Promise<VmExit>;

  /**
   * Starts the VMM and waits until it answers on its control socket.
   * @param devices what the agent's transport adds to the VM
   * @param spawned runs as soon as `pid` is known, long before the VMM answers: for the state file
   * @param beforeGuest runs when the VMM answers, while the guest stands still: what it plugs costs no hot-plug
   * @throws KataError `failed_precondition` for a path that does not exist, `internal` with the VMM's own words; what
   *   `beforeGuest` throws
   */
  start(devices: DeviceArguments, spawned?: () => void, beforeGuest?: () => Promise<void>): Promise<void>;
  /**
   * Plugs a virtio-fs device served by the vhost-user socket at `socketPath`.
   * @param queueSize requests that may be under way, a power of two; absent: 1024
   */
  plugVirtioFs(tag: string, socketPath: string, queueSize?: number): Promise<PciPath>;
  /** Plugs a block device or image file of the host. `id` names it for `unplug`. */
  plugBlock(id: string, path: string, readOnly: boolean): Promise<PciPath>;
  /** Has the guest see the size to which such a device has been grown on the host, bytes. */
  resizeBlock(id: string, bytes: number): Promise<void>;
  /** Plugs a virtio NIC on a tap device. `id` names it for `unplug`. */
  plugNic(id: string, nic: NicBackend): Promise<PciPath>;
  unplug(id: string): Promise<void>;
  /** Threads on this machine that run the vCPUs of the guest, in their order, without those asleep; absent: none is here. */
  vcpuThreads?(): Promise<readonly number[]>;
  /** Ends the VM at once. Idempotent; resolves when the process is reaped. */
  stop(): Promise<void>;
  /** The last lines of the guest's console, control characters escaped, at most 8 KiB. */
  consoleTail(): string;
}
