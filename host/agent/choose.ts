/** Which way leads to the agent. */
import { statSync } from 'node:fs';
import { KataError } from '../error.ts';
import { HybridVsockTransport } from './hybrid-vsock.ts';
import type { AgentTransport } from './transport.ts';
import { VhostDeviceVsock, VSOCK_DAEMON } from './vhost-device-vsock.ts';
import { VirtioSerialTransport } from './virtio-serial.ts';
import { VHOST_VSOCK, VsockTransport } from './vsock.ts';

export interface TransportRequest {
  /** Whose guest it is: ours listens on a virtio-serial port, Kata's on vsock. */
  readonly guest: 'own' | 'kata';
  /** The operator's wish; absent or empty: automatic. */
  readonly configured?: string | undefined;
  /** Private directory of the VM. */
  readonly directory: string;
  /** Vsock port on which the agent listens; absent: 1024. */
  readonly port?: number | undefined;
}

export interface TransportChoice {
  readonly transport: AgentTransport;
  /** For the log: what was chosen and why. */
  readonly reason: string;
}

/** What the host has; tests give their own. */
export interface TransportHost {
  readonly vhostVsock: string;
  readonly vsockDaemon: string;
}

export const THIS_HOST: TransportHost = { vhostVsock: VHOST_VSOCK, vsockDaemon: VSOCK_DAEMON };

/**
 * Chooses the transport; nothing is opened yet.
 * @throws KataError `invalid_argument` for an unknown name, `failed_precondition` when the host lacks what it needs
 */
export function chooseTransport(request: TransportRequest, host: TransportHost = THIS_HOST): TransportChoice {
  const configured = request.configured ?? '';
  switch (configured) {
    case '':
    case 'auto':
      return automatic(request, host);
    case 'virtio-serial':
      return { transport: new VirtioSerialTransport(request.directory), reason: 'virtio-serial: configured' };
    case 'vsock':
      if (exists(host.vhostVsock)) return vsock(request, host, 'configured');
      throw new KataError(
        'failed_precondition',
        `agent transport "vsock" needs ${host.vhostVsock}, which does not exist: load the module vhost_vsock`,
      );
    case 'hybrid-vsock':
      if (exists(host.vsockDaemon)) return hybrid(request, host, 'configured');
      throw new KataError(
        'failed_precondition',
        `agent transport "hybrid-vsock" needs ${host.vsockDaemon}, which does not exist: install vhost-device-vsock`,
      );
    default:
      throw new KataError(
        'invalid_argument',
        `agent transport "${configured}" is unknown; use auto, virtio-serial, vsock or hybrid-vsock`,
      );
  }
}

function automatic(request: TransportRequest, host: TransportHost): TransportChoice {
  if (request.guest === 'own') {
    return { transport: new VirtioSerialTransport(request.directory), reason: 'virtio-serial: the guest is our own' };
  }
  if (exists(host.vhostVsock)) return vsock(request, host, `a Kata guest, and ${host.vhostVsock} exists`);
  if (exists(host.vsockDaemon)) return hybrid(request, host, `a Kata guest, and ${host.vhostVsock} does not exist`);
  throw new KataError(
    'failed_precondition',
    `Kata's guest is reached over vsock, but neither ${host.vhostVsock} nor ${host.vsockDaemon} exists: load the module vhost_vsock`,
  );
}

function vsock({ port }: TransportRequest, host: TransportHost, reason: string): TransportChoice {
  return { transport: new VsockTransport(port, host.vhostVsock), reason: `vsock: ${reason}` };
}

function hybrid(request: TransportRequest, host: TransportHost, reason: string): TransportChoice {
  const daemon = new VhostDeviceVsock(host.vsockDaemon, request.directory);
  const transport = new HybridVsockTransport({
    path: daemon.path,
    serve: daemon,
    ...(request.port ? { port: request.port } : {}),
  });
  return { transport, reason: `hybrid-vsock: ${reason}` };
}

function exists(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}
