/** How the host reaches the guest agent. One implementation per file: virtio-serial, vsock, hybrid-vsock, remote. */
import type { Socket } from 'node:net';

/** Longest path of a unix socket, bytes: sockaddr_un.sun_path less the terminating zero. */
export const MAX_SOCKET_PATH_BYTES = 107;

/** What a transport adds to QEMU: arguments, and descriptors it must inherit (in the order of `fdOf`). */
export interface DeviceArguments {
  readonly arguments: readonly string[];
  /** Host descriptors handed to QEMU; the arguments name them as `fd=<3 + index>` by `{{fd<index>}}`. */
  readonly fds: readonly number[];
}

export interface AgentTransport {
  readonly kind: 'virtio-serial' | 'vsock' | 'hybrid-vsock' | 'remote';
  /** As users of Kata know it, e.g. `vsock://5:1024`. */
  readonly address: string;
  /**
   * Gets the host's end ready before the VM starts, so that nothing has to be retried.
   * @throws KataError
   */
  prepare(): Promise<DeviceArguments>;
  /**
   * A connected byte stream to the agent. With virtio-serial there is one for the VM's life.
   * @param signal ends the attempt (deadline, or the VM has ended)
   * @throws KataError `deadline_exceeded` or `unavailable`
   */
  connect(signal: AbortSignal): Promise<Socket>;
  /**
   * Connects to another port of the guest, once it is up; one attempt. Absent: there are no ports.
   * @throws KataError `unavailable`
   */
  dial?(port: number, signal: AbortSignal): Promise<Socket>;
  /** Closes and removes what `prepare` made. Idempotent. */
  close(): void;
}
