import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { AgentClient } from '../../../host/agent/client.ts';
import { KataError } from '../../../host/error.ts';
import { CLOCK_LEAP_MS, GuestWatch } from '../../../host/sandbox/guest-watch.ts';

const test = suite('guest watch');
const INTERVAL_MS = 2;
const NO_LOG = { debug() {}, info() {}, warn() {}, error() {} };

/** Waits until something has happened; a test that waits for ever is killed. */
async function until(happened: () => boolean): Promise<void> {
  while (!happened()) await sleep(INTERVAL_MS);
}

function watched(
  agent: { check?: () => Promise<void>; setDateTime?: (now: number) => Promise<void> },
  setsClock = true,
) {
  const seen = { checks: 0, clocks: 0, lost: [] as string[], offset: 5_000_000 };
  const client = {
    check: () => {
      seen.checks++;
      return agent.check?.() ?? Promise.resolve();
    },
    setDateTime: (now: number) => {
      seen.clocks++;
      return agent.setDateTime?.(now) ?? Promise.resolve();
    },
  } as unknown as AgentClient;
  const watch = new GuestWatch(client, {
    healthTimeoutMs: 1000,
    log: NO_LOG,
    lost: (reason) => seen.lost.push(reason),
    setsClock,
    offset: () => seen.offset,
    intervalMs: INTERVAL_MS,
  });
  return { seen, watch };
}

test('an agent that does not answer is lost', async () => {
  const { seen, watch } = watched({
    check: () => Promise.reject(new KataError('deadline_exceeded', 'no answer')),
  });
  await until(() => seen.lost.length > 0);
  watch.end();
  assert.match(seen.lost[0] ?? '', 'does not answer: no answer');
});

test('it is asked once at a time, and no more once the watch has ended', async () => {
  let answer = (): void => {};
  const { seen, watch } = watched({
    check: () =>
      new Promise((resolve) => {
        answer = resolve;
      }),
  });
  await until(() => seen.checks > 0);
  await sleep(10 * INTERVAL_MS);
  assert.is(seen.checks, 1);
  watch.end();
  answer();
  await sleep(10 * INTERVAL_MS);
  assert.equal([seen.checks, seen.lost], [1, []]);
});

test("the guest's clock follows the host's when that leaps, either way, and not when it is slewed", async () => {
  const { seen, watch } = watched({});
  seen.offset += CLOCK_LEAP_MS - 1;
  const before = seen.checks;
  await until(() => seen.checks > before + 3);
  assert.is(seen.clocks, 0);
  seen.offset += 1;
  await until(() => seen.clocks === 1);
  seen.offset -= CLOCK_LEAP_MS;
  await until(() => seen.clocks === 2);
  const then = seen.checks;
  await until(() => seen.checks > then + 3);
  watch.end();
  assert.equal([seen.clocks, seen.lost], [2, []]);
});

test('a guest that refuses the time is not lost; one that is somebody’s own is not told', async () => {
  const refusing = watched({ setDateTime: () => Promise.reject(new KataError('unimplemented', 'no clock')) });
  refusing.seen.offset += CLOCK_LEAP_MS;
  await until(() => refusing.seen.clocks === 1);
  const foreign = watched({}, false);
  foreign.seen.offset += CLOCK_LEAP_MS;
  await until(() => foreign.seen.checks > 3);
  refusing.watch.end();
  foreign.watch.end();
  assert.equal([refusing.seen.lost, foreign.seen.clocks], [[], 0]);
});

test.run();
