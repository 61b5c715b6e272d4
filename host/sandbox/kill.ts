/** Signals, and what is done with those that do not end by them. */
import type { AgentClient } from '../agent/client.ts';
import { KataError, reasonOf } from '../error.ts';
import type { Container } from './container.ts';
import type { Log } from './log.ts';
import type { GuestProcess } from './process.ts';

/** SIGKILL, and SIGTERM, which ends what never ran as well. */
const SIGKILL = 9;
const SIGTERM = 15;
/** Highest signal number of Linux. */
export const MAX_SIGNAL = 64;
/** How long a container may outlive a SIGKILL the guest has taken, ms; then its virtual machine is ended. */
export const KILL_ESCALATE_MS = 30_000;
/** How long Delete waits for a container it has to kill first, ms. */
export const DELETE_WAIT_MS = 20_000;

export class Killer {
  /**
   * @param stop ends the whole sandbox
   * @param escalateMs see KILL_ESCALATE_MS
   */
  constructor(
    private readonly vm: { readonly agent: Pick<AgentClient, 'signal'> },
    private readonly log: Log,
    private readonly stop: (reason: string) => Promise<void>,
    private readonly escalateMs = KILL_ESCALATE_MS,
  ) {}

  /**
   * Sends a signal. A guest in which a container outlives SIGKILL, or that does not even take it, is ended: containerd asks for
   * a pod's end only once its containers have ended, so that the pod could never be removed.
   * @param execId empty: the container; SIGKILL then reaches every process in it
   * @throws KataError `not_found` for a process that has ended or an exec that was never started
   */
  async kill(container: Container, execId: string, signal: number): Promise<void> {
    if (!Number.isInteger(signal) || signal < 0 || signal > MAX_SIGNAL) {
      throw new KataError('invalid_argument', `${signal} is no signal; use 1 to ${MAX_SIGNAL}`);
    }
    const process = container.process(execId);
    if (process.state === 'stopped') throw new KataError('not_found', 'process already finished');
    if (execId !== '' && process.state === 'created') {
      throw new KataError(
        'not_found',
        `exec ${execId} of container ${container.id} does not exist in the guest: it was not started`,
      );
    }
    const target = execId === '' ? { container_id: container.id, exec_id: '' } : process.ref;
    // What was created but never ran has no handler for SIGTERM, and as init it would ignore it.
    const sent = process.state === 'created' && signal === SIGTERM ? SIGKILL : signal;
    const fatal = sent === SIGKILL && execId === '';
    if (fatal) container.killed = true;
    try {
      await this.vm.agent.signal(target, sent);
    } catch (thrown) {
      if (isGone(thrown)) throw new KataError('not_found', 'process already finished', { cause: thrown });
      if (!fatal || !(container.ownsSandbox || isSilent(thrown))) throw thrown;
      this.log.warn('the guest does not take SIGKILL: ending its virtual machine', {
        container: container.id,
        error: reasonOf(thrown),
      });
      void this.stop('its container could not be killed');
      return;
    }
    if (fatal) this.escalate(process);
  }

  /**
   * Ends a container that is to be removed.
   * @throws KataError `deadline_exceeded` when it does not end and others live in the same virtual machine
   */
  async killForDelete(container: Container): Promise<void> {
    await this.kill(container, '', SIGKILL).catch((thrown) => {
      this.log.warn('cannot kill a container to delete it', { container: container.id, error: reasonOf(thrown) });
    });
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<'late'>((resolve) => {
      timer = setTimeout(() => resolve('late'), DELETE_WAIT_MS);
    });
    const first = await Promise.race([container.init.exited, late]);
    clearTimeout(timer);
    if (first !== 'late') return;
    if (container.ownsSandbox) {
      await this.stop('its container could not be killed');
      return;
    }
    throw new KataError(
      'deadline_exceeded',
      `container ${container.id} did not end within ${DELETE_WAIT_MS / 1000} s of SIGKILL; delete it again, or stop its pod`,
    );
  }

  /** The guest has taken a SIGKILL; should the container not end by it, the guest is not to be trusted. */
  private escalate(process: GuestProcess): void {
    const timer = setTimeout(() => {
      // Its output may take as long as its reader takes.
      if (!process.ended) void this.stop('its container outlived SIGKILL');
    }, this.escalateMs);
    timer.unref();
    void process.exited.then(() => clearTimeout(timer));
  }
}

function isSilent(thrown: unknown): boolean {
  return thrown instanceof KataError && thrown.code === 'deadline_exceeded';
}

/** What agents say of a process or container they no longer have. */
export function isGone(thrown: unknown): boolean {
  if (!(thrown instanceof KataError)) return false;
  return thrown.code === 'not_found' || thrown.code === 'unavailable' || thrown.message.includes('ESRCH');
}
