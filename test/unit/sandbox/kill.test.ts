/** Signals that a guest does not take, or that do not end what they should. */
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Code, KataError } from '../../../host/error.ts';
import type { Container } from '../../../host/sandbox/container.ts';
import { Killer } from '../../../host/sandbox/kill.ts';
import { GuestProcess } from '../../../host/sandbox/process.ts';
import { failure } from '../shim/harness.ts';
import { KeptLog } from './fake-guest.ts';

const SIGTERM = 15;
const SIGKILL = 9;
/** Milliseconds a container may outlive SIGKILL here. */
const ESCALATE_MS = 20;

const test = suite('kill');

for (const ownsSandbox of [true, false]) {
  const which = ownsSandbox ? 'the container that is the sandbox' : "one of a pod's containers";

  test(`a guest that is silent about SIGKILL is ended: ${which}`, async () => {
    const { killer, stops } = guest('deadline_exceeded');
    await killer.kill(container(ownsSandbox), '', SIGKILL);
    assert.is(stops.length, 1);
  });

  test(`a guest in which SIGKILL is outlived is ended: ${which}`, async () => {
    const { killer, stops } = guest();
    await killer.kill(container(ownsSandbox), '', SIGKILL);
    assert.equal(stops, []);
    await sleep(2 * ESCALATE_MS);
    assert.is(stops.length, 1);
  });

  test(`a container whose output is still being read has not outlived SIGKILL: ${which}`, async () => {
    const { killer, stops } = guest();
    const killed = container(ownsSandbox);
    let read: () => void = () => {};
    killed.init.beforeExit = () =>
      new Promise<void>((resolve) => {
        read = resolve;
      });
    await killer.kill(killed, '', SIGKILL);
    const over = killed.init.end(137);
    await sleep(2 * ESCALATE_MS);
    assert.equal(stops, []);
    read();
    await over;
  });
}

test('another signal that the guest does not take ends nobody', async () => {
  const { killer, stops } = guest('deadline_exceeded');
  for (const ownsSandbox of [true, false]) {
    assert.is((await failure(killer.kill(container(ownsSandbox), '', SIGTERM))).code, 'deadline_exceeded');
  }
  assert.equal(stops, []);
});

test('a SIGKILL that the guest refuses ends no other containers', async () => {
  const { killer, stops } = guest('permission_denied');
  assert.is((await failure(killer.kill(container(false), '', SIGKILL))).code, 'permission_denied');
  assert.equal(stops, []);
});

test.run();

/** @param code what the agent answers to a signal; absent: it takes it */
function guest(code?: Code): { killer: Killer; stops: string[] } {
  const stops: string[] = [];
  const signal = async (): Promise<void> => {
    if (code) throw new KataError(code, 'no');
  };
  const stop = async (reason: string): Promise<void> => void stops.push(reason);
  return { killer: new Killer({ agent: { signal } }, new KeptLog(), stop, ESCALATE_MS), stops };
}

function container(ownsSandbox: boolean): Container {
  const streams = { stdin: '', stdout: '', stderr: '', terminal: false };
  const init = new GuestProcess({ container_id: 'c', exec_id: '' }, streams, {
    id: 'c',
    namespace: 'n',
    attended: () => true,
  });
  init.state = 'running';
  return { id: 'c', ownsSandbox, init, killed: false, process: () => init } as unknown as Container;
}
