/** Execs: processes that join a running container. */
import { randomUUID } from 'node:crypto';
import type { AgentClient } from '../agent/client.ts';
import { KataError } from '../error.ts';
import { decode } from '../proto/codec.ts';
import { Process } from '../proto/messages/oci.ts';
import type { Container, Exec } from './container.ts';
import { type GuestProcess, NEVER_RAN, type StreamPaths, UNKNOWN_STATUS } from './process.ts';

/**
 * Adds an exec; nothing runs yet.
 * @param spec an encoded `grpc.Process`
 * @throws KataError of `Container.addExec`
 */
export function addExec(container: Container, id: string, spec: Uint8Array, streams: StreamPaths): Exec {
  return container.addExec(id, randomUUID(), spec, streams);
}

/**
 * @param readsInFlight per stream of output
 * @param running runs when the guest has it: its end can be asked for
 * @param started runs before its end can be reported
 */
export async function startExec(
  agent: AgentClient,
  exec: Exec,
  readsInFlight: number,
  running: () => void,
  started: () => void,
): Promise<void> {
  const { process } = exec;
  const begin = async (): Promise<void> => {
    await process.openStreams();
    await agent.execProcess({ ...process.ref, process: decode(Process, exec.spec) });
    running();
  };
  try {
    await process.start(agent, readsInFlight, begin, started);
  } catch (thrown) {
    // Whoever waits for it must not wait for ever; no event, since it never began.
    if (process.state === 'created') void process.end(UNKNOWN_STATUS);
    throw thrown;
  }
}

/**
 * Removes an exec.
 * @throws KataError `failed_precondition` while it runs
 */
export async function deleteExec(container: Container, execId: string): Promise<GuestProcess> {
  const process = container.process(execId);
  if (process.state === 'running') {
    throw new KataError('failed_precondition', `exec ${execId} of container ${container.id} is running; kill it first`);
  }
  if (process.state === 'created') await process.end(NEVER_RAN);
  process.closeStreams();
  container.execs.delete(execId);
  return process;
}
