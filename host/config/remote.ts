/** `[hypervisor.remote]`: a service on this host that has virtual machines made somewhere else. */
import { MAX_SOCKET_PATH_BYTES } from '../agent/transport.ts';
import { REMOTE, type Values } from './values.ts';

/** Defaults where the configuration is silent, as Kata's. */
export const DEFAULT_REMOTE_SOCKET = '/run/peerpod/hypervisor.sock';
export const DEFAULT_REMOTE_TIMEOUT_S = 600;
/** Longest time the making of a machine may take, seconds: a day. */
export const MAX_REMOTE_TIMEOUT_S = 86_400;
/** Most GPUs of a machine. */
export const MAX_GPUS = 256;

export interface RemoteSettings {
  /** Path of the unix socket that serves `hypervisor.Hypervisor`. */
  readonly socket: string;
  /** How long making or starting a machine may take, ms. */
  readonly timeoutMs: number;
  readonly gpus: number;
  readonly gpuModel: string;
  /** Of the pod's annotation, as it is; empty: none. */
  readonly initdata: string;
}

/** @throws KataError `invalid_argument` naming file and key */
export function remoteSettings(values: Values): RemoteSettings {
  const socket = values.path(REMOTE, 'remote_hypervisor_socket', DEFAULT_REMOTE_SOCKET);
  if (Buffer.byteLength(socket) > MAX_SOCKET_PATH_BYTES) {
    throw values.invalid(
      REMOTE,
      'remote_hypervisor_socket',
      `has ${Buffer.byteLength(socket)} bytes; a socket's path may have ${MAX_SOCKET_PATH_BYTES}`,
    );
  }
  const key = 'remote_hypervisor_timeout';
  // 0 means the default, as a missing key does.
  const seconds = values.number(REMOTE, key, 0) || DEFAULT_REMOTE_TIMEOUT_S;
  if (seconds > MAX_REMOTE_TIMEOUT_S) {
    throw values.invalid(REMOTE, key, `is ${seconds} s; at most ${MAX_REMOTE_TIMEOUT_S} s are taken`);
  }
  const transport = values.string('edge', 'agent_transport', '');
  if (transport !== '' && transport !== 'auto') {
    throw values.invalid('edge', 'agent_transport', `is "${transport}"; with [${REMOTE}] the peer names the way`);
  }
  const gpus = values.number(REMOTE, 'default_gpus', 0);
  if (gpus > MAX_GPUS) throw values.invalid(REMOTE, 'default_gpus', `is ${gpus}; at most ${MAX_GPUS} are taken`);
  const gpuModel = values.string(REMOTE, 'default_gpu_model', '');
  // Of the pod, by its annotation.
  const initdata = values.string(REMOTE, 'initdata', '');
  return { socket, timeoutMs: seconds * 1000, gpus, gpuModel, initdata };
}
