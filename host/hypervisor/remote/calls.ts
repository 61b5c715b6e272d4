/** Calls to the service that makes machines for us: a connection each, as Kata's runtime does it, so that none is ever stale. */
import { KataError, reasonOf } from '../../error.ts';
import type { Init } from '../../proto/codec.ts';
import {
  type CreateVMRequest,
  type CreateVMResponse,
  HypervisorService,
  HypervisorServiceName,
} from '../../proto/messages/remote.ts';
import type { Log } from '../../sandbox/log.ts';
import { TtrpcClient } from '../../ttrpc/client.ts';
import type { Method } from '../../ttrpc/types.ts';
import type { RemoteTraces } from '../hypervisor.ts';

/** How long the service may take to name its version, ms: it only has to be alive. */
export const VERSION_TIMEOUT_MS = 10_000;
/** How long it may take to end a machine, ms: a cloud's answer takes a while. */
export const STOP_TIMEOUT_MS = 120_000;
/** What we say we are. Nobody has given this protocol another number yet. */
const PROTOCOL_VERSION = '0.0.0';

export interface CallLimits {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** @throws KataError */
export function createVm(
  socket: string,
  request: Init<CreateVMRequest>,
  limits: CallLimits,
): Promise<CreateVMResponse> {
  return call(socket, 'CreateVM', HypervisorService.CreateVM, request, limits);
}

/** Returns once the machine runs; its agent may still be starting. @throws KataError */
export async function startVm(socket: string, id: string, limits: CallLimits): Promise<void> {
  await call(socket, 'StartVM', HypervisorService.StartVM, { id }, limits);
}

/**
 * What the service says it is.
 * @returns empty: it does not tell
 * @throws KataError `unavailable` where nobody serves
 */
export async function versionOf(socket: string, signal?: AbortSignal): Promise<string> {
  const limits = { timeoutMs: VERSION_TIMEOUT_MS, signal };
  try {
    const { version } = await call(socket, 'Version', HypervisorService.Version, { version: PROTOCOL_VERSION }, limits);
    return version;
  } catch (thrown) {
    if (thrown instanceof KataError && thrown.code === 'unimplemented') return '';
    throw thrown;
  }
}

/** Ends a machine, or makes sure that none comes to be. Idempotent; never rejects, since nothing else could be done. */
export async function stopRemote({ socket, id }: RemoteTraces, log: Log, timeoutMs = STOP_TIMEOUT_MS): Promise<void> {
  try {
    await call(socket, 'StopVM', HypervisorService.StopVM, { id }, { timeoutMs });
  } catch (thrown) {
    if (thrown instanceof KataError && thrown.code === 'not_found') return;
    log.error('the remote hypervisor did not end a machine: it may still run, and cost', {
      machine: id,
      socket,
      error: reasonOf(thrown),
    });
  }
}

async function call<Req, Res>(
  socket: string,
  name: string,
  method: Method<Req, Res>,
  request: Init<Req>,
  { timeoutMs, signal }: CallLimits,
): Promise<Res> {
  let client: TtrpcClient | undefined;
  try {
    client = await TtrpcClient.connect(socket, signal);
    return await client.call(HypervisorServiceName, name, method, request, {
      timeoutMs,
      ...(signal ? { signal } : {}),
    });
  } catch (thrown) {
    const code = thrown instanceof KataError ? thrown.code : 'internal';
    const late = code === 'deadline_exceeded' ? ` within ${timeoutMs / 1000} s` : '';
    const advice = client ? '' : '; is the service of hypervisor.remote.remote_hypervisor_socket running?';
    throw new KataError(code, `the remote hypervisor did not do ${name}${late}: ${reasonOf(thrown)}${advice}`, {
      cause: thrown,
    });
  } finally {
    client?.close(`${name} is over`);
  }
}
