/**
 * What `[hypervisor.remote]` talks to, for real: a service on a unix socket that makes a machine for each sandbox. The machines are
 * ordinary processes, so that the shim can be tested and measured without a VM.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { KataError } from '../../host/error.ts';
import { type CreateVMRequest, HypervisorService, HypervisorServiceName } from '../../host/proto/messages/remote.ts';
import { TtrpcServer } from '../../host/ttrpc/server.ts';
import { service } from '../../host/ttrpc/types.ts';
import './orderly-end.ts';
import { agentSocket, type Machine, startMachine, unpackGuest } from './remote-machine.ts';

/** Answer to Version. */
export const PEER_VERSION = '0.0.0';

/** A machine as the service knows it. */
interface Made {
  readonly request: CreateVMRequest;
  readonly directory: string;
  machine: Machine | undefined;
}

export interface RemotePeer {
  /** Path of the socket that serves hypervisor.Hypervisor. */
  readonly socket: string;
  /** Calls so far, e.g. `CreateVM abc`. */
  readonly calls: readonly string[];
  /** Requests of machines that are there, by id. */
  readonly requests: ReadonlyMap<string, CreateVMRequest>;
  /** The machine of a sandbox, once it was started. */
  machine(id: string): Machine | undefined;
  /** Ends a machine that nobody had ended. */
  end(id: string): Promise<void>;
  /** Ends the service and every machine, and removes what they had. */
  stop(): Promise<void>;
}

/** What tests may have go wrong. */
export interface PeerFaults {
  /** Runs before a call is done; what it throws is the answer. */
  before?(call: 'CreateVM' | 'StartVM' | 'StopVM', id: string): Promise<void> | void;
}

/**
 * Starts the service.
 * @param directory exists, is absolute and short: sockets lie in it. Its content is the caller's to remove
 */
export async function startRemotePeer(directory: string, faults: PeerFaults = {}): Promise<RemotePeer> {
  const image = await unpackGuest(directory);
  const socket = join(directory, 'peer.sock');
  const calls: string[] = [];
  const made = new Map<string, Made>();
  let serial = 0;
  const find = (id: string): Made => {
    const found = made.get(id);
    if (!found) throw new KataError('not_found', `no machine ${id}`);
    return found;
  };
  const end = async (id: string): Promise<void> => {
    const machine = made.get(id)?.machine;
    made.delete(id);
    await machine?.stop();
  };
  const begin = async (call: 'CreateVM' | 'StartVM' | 'StopVM', id: string): Promise<void> => {
    calls.push(`${call} ${id}`);
    await faults.before?.(call, id);
  };
  const hypervisor = service(HypervisorServiceName, HypervisorService, {
    Version: () => ({ version: PEER_VERSION }),
    CreateVM: async (request) => {
      await begin('CreateVM', request.id);
      if (made.has(request.id)) throw new KataError('already_exists', `machine ${request.id} exists`);
      const machine: Made = { request, directory: join(directory, `m${serial++}`), machine: undefined };
      mkdirSync(machine.directory, { mode: 0o700 });
      made.set(request.id, machine);
      return { agentSocketPath: agentSocket(machine.directory) };
    },
    StartVM: async ({ id }) => {
      await begin('StartVM', id);
      const found = find(id);
      found.machine = startMachine(found.directory, image);
      return {};
    },
    StopVM: async ({ id }) => {
      await begin('StopVM', id);
      find(id);
      await end(id);
      return {};
    },
  });
  const server = new TtrpcServer([hypervisor]);
  const listener = createServer();
  await new Promise<void>((resolve, reject) => listener.once('error', reject).listen(socket, resolve));
  server.adopt(listener);
  return {
    socket,
    calls,
    get requests() {
      return new Map([...made].map(([id, { request }]) => [id, request]));
    },
    machine: (id) => made.get(id)?.machine,
    end,
    stop: async () => {
      await server.close();
      await Promise.all([...made.values()].map(({ machine }) => machine?.stop()));
    },
  };
}

/**
 * Writes a configuration.toml by which the shim uses the peer, for `ctr run --runtime-config-path` or a CRI handler's ConfigPath.
 * @param more lines of its tables, by table
 * @returns its path
 */
export function remoteConfiguration(
  directory: string,
  peer: RemotePeer,
  more: Readonly<Record<string, string>> = {},
): string {
  const path = join(directory, 'configuration.toml');
  const tables: Record<string, string> = {
    'hypervisor.remote': `remote_hypervisor_socket = "${peer.socket}"\nremote_hypervisor_timeout = 60`,
    edge: 'agent = "own"',
  };
  for (const [table, lines] of Object.entries(more)) tables[table] = `${tables[table] ?? ''}\n${lines}`;
  writeFileSync(
    path,
    Object.entries(tables)
      .map(([table, lines]) => `[${table}]\n${lines}\n`)
      .join('\n'),
  );
  return path;
}
