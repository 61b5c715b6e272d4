/** The event loop: watches, timers, exits, over a system that only pretends. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { EventLoop, MAX_KEPT_STATUSES } from '../../../guest/agent/loop.ts';
import { POLLIN, POLLOUT } from '../../../guest/agent/loop-interface.ts';
import type { PollEntry, Reaped, Sys } from '../../../guest/agent/sys.ts';

/** The pretended system reports only what is asked for, so this is. */
const POLLNVAL = 32;

const loop = suite('event loop');

loop('calls back what is ready, until it is unwatched', () => {
  const { machine, events } = setUp();
  const calls: string[] = [];
  const stop = events.watch(3, POLLIN, () => calls.push('in'));
  events.watch(3, POLLOUT, () => calls.push('out'));
  machine.ready = new Map([[3, POLLIN]]);
  events.turn();
  events.turn();
  assert.equal(calls, ['in', 'in']);
  stop();
  machine.ready = new Map([[3, POLLIN | POLLOUT]]);
  events.turn();
  assert.equal(calls, ['in', 'in', 'out']);
  assert.equal(
    machine.polled.map(({ events: wanted }) => wanted),
    [POLLOUT],
  );
});

loop('a callback may end another watch of the same turn, and begin new ones', () => {
  const { machine, events } = setUp();
  const calls: string[] = [];
  let stop = () => {};
  events.watch(3, POLLIN, () => {
    calls.push('first');
    stop();
    events.watch(5, POLLIN, () => calls.push('new'));
  });
  stop = events.watch(4, POLLIN, () => calls.push('second'));
  machine.ready = new Map([3, 4, 5].map((fd) => [fd, POLLIN]));
  events.turn();
  assert.equal(calls, ['first']);
  events.turn();
  assert.equal(calls, ['first', 'first', 'new']);
});

loop('a callback that throws loses its watch, and nothing else', () => {
  const { machine, events } = setUp();
  let calls = 0;
  events.watch(3, POLLIN, () => {
    throw new Error('broken');
  });
  events.watch(4, POLLIN, () => calls++);
  machine.ready = new Map([3, 4].map((fd) => [fd, POLLIN]));
  events.turn();
  events.turn();
  assert.is(calls, 2);
  assert.is(machine.lines.length, 1);
  assert.match(machine.lines[0] ?? '', /descriptor 3 failed: broken/);
});

loop('a descriptor closed while watched is watched no more', () => {
  const { machine, events } = setUp();
  events.watch(3, POLLIN | POLLNVAL, () => assert.unreachable('it must not be called'));
  machine.ready = new Map([[3, POLLNVAL]]);
  events.turn();
  events.turn();
  assert.equal(machine.polled, []);
  assert.match(machine.lines.join(), /descriptor 3 failed: it is closed/);
});

loop('timers fire in order, at their time, unless cancelled', () => {
  const { machine, events } = setUp();
  const calls: string[] = [];
  events.after(30, () => calls.push('30'));
  events.after(10, () => calls.push('10'));
  const cancel = events.after(20, () => calls.push('20'));
  events.after(10, () => calls.push('10 too'));
  events.turn();
  assert.is(machine.timeout, 10);
  assert.equal(calls, []);
  machine.time = 10;
  events.turn();
  assert.equal(calls, ['10', '10 too']);
  cancel();
  machine.time = 29.5;
  events.turn();
  assert.is(machine.timeout, 1, 'rounded up');
  machine.time = 30;
  events.turn();
  assert.equal(calls, ['10', '10 too', '30']);
  events.turn();
  assert.is(machine.timeout, -1);
  events.turn(0);
  assert.is(machine.timeout, 0);
});

loop('an exit reaches those who wait and those who ask later, once', async () => {
  const { machine, events } = setUp();
  const both = Promise.all([events.exited(7), events.exited(7)]);
  machine.ended = [
    { pid: 7, status: 3 },
    { pid: 8, status: 137 },
  ];
  events.turn();
  assert.equal(await both, [3, 3]);
  assert.is(await events.exited(8), 137);
  let again = false;
  events.exited(8).then(() => {
    again = true;
  });
  await Promise.resolve();
  assert.not.ok(again);
});

loop('keeps the statuses of the last children only', async () => {
  const { machine, events } = setUp();
  machine.ended = Array.from({ length: MAX_KEPT_STATUSES + 1 }, (_, i) => ({ pid: i + 100, status: 1 }));
  events.turn();
  let oldest = false;
  events.exited(100).then(() => {
    oldest = true;
  });
  assert.is(await events.exited(101), 1);
  assert.not.ok(oldest);
});

interface Machine {
  ready: Map<number, number>;
  ended: Reaped[];
  time: number;
  timeout: number;
  polled: readonly PollEntry[];
  lines: string[];
}

function setUp(): { machine: Machine; events: EventLoop } {
  const machine: Machine = { ready: new Map(), ended: [], time: 0, timeout: 0, polled: [], lines: [] };
  const sys: Partial<Sys> = {
    now: () => machine.time,
    log: (line) => machine.lines.push(line),
    reap: () => machine.ended.splice(0),
    poll: (entries, timeout) => {
      machine.timeout = timeout;
      machine.polled = [...entries];
      return entries.map(({ fd, events }) => (machine.ready.get(fd) ?? 0) & events);
    },
  };
  return { machine, events: new EventLoop(sys as Sys) };
}

loop.run();
