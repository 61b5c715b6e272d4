/** What containerd's user is told of a virtual machine that did not come up. */
import type { AgentClient } from '../agent/client.ts';
import { KataError, reasonOf } from '../error.ts';
import type { Hypervisor } from '../hypervisor/hypervisor.ts';
import { sleep } from './steps.ts';

/** How long a VMM that has just died may take to be reaped, ms: its own words are the best there are. */
const REAPING_MS = 100;

/** What failed, what QEMU said, and what the guest said last. Never rejects. */
export async function bootFailure(hypervisor: Hypervisor, thrown: unknown): Promise<KataError> {
  const code = thrown instanceof KataError ? thrown.code : 'internal';
  let text = reasonOf(thrown);
  if (hypervisor.pid > 0) {
    const exit = await Promise.race([hypervisor.exited, sleep(REAPING_MS)]);
    const stderr = exit?.stderr.trim();
    if (exit && !(stderr && text.includes(stderr))) {
      text += `; QEMU ended (${exit.signal ?? `status ${exit.code}`})${stderr ? `: ${stderr}` : ''}`;
    }
  }
  const console = hypervisor.consoleTail().trim();
  if (console) text += `\nlast lines of the guest's console:\n${console}`;
  return new KataError(code, text, { cause: thrown });
}

/**
 * The first question to a guest's agent.
 * @param leftMs how long it may still take to answer
 * @param bootTimeoutMs what it had in all, for the message
 * @throws KataError `deadline_exceeded` naming the key; what the agent says
 */
export async function firstCheck(agent: AgentClient, leftMs: number, bootTimeoutMs: number): Promise<void> {
  try {
    await agent.check(leftMs);
  } catch (thrown) {
    if (!(thrown instanceof KataError) || thrown.code !== 'deadline_exceeded') throw thrown;
    throw new KataError(
      'deadline_exceeded',
      `the guest agent did not answer within ${bootTimeoutMs / 1000} s of the virtual machine's start (dial_timeout)`,
      { cause: thrown },
    );
  }
}
