import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { KataError } from '../../../host/error.ts';
import { MAX_EVENTS, MAX_LINE_BYTES, MAX_QUEUED, Qmp } from '../../../host/hypervisor/qemu/qmp.ts';

interface Command {
  readonly execute: string;
  readonly id: number;
}

/** The other end, in the test's hands. */
class Monitor {
  readonly commands: Command[] = [];
  constructor(readonly socket: Socket) {
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk;
      const lines = text.split('\n');
      text = lines.pop() ?? '';
      this.commands.push(...lines.map((line) => JSON.parse(line) as Command));
    });
  }
  send(message: unknown): void {
    this.socket.write(`${JSON.stringify(message)}\r\n`);
  }
  async command(index: number): Promise<Command> {
    for (;;) {
      const command = this.commands[index];
      if (command) return command;
      await turn();
    }
  }
}

interface Context {
  directory: string;
  monitor: Monitor;
  qmp: Qmp;
}

const session = suite<Context>('QMP session');

session.before.each(async (context) => {
  context.directory = mkdtempSync(join(tmpdir(), 'kata-qmp-'));
  const server = createServer().listen(join(context.directory, 'sock'));
  await once(server, 'listening');
  const near = connect(join(context.directory, 'sock'));
  const [far] = (await once(server, 'connection')) as [Socket];
  server.close();
  context.monitor = new Monitor(far);
  context.qmp = new Qmp(near);
});

session.after.each((context) => {
  context.qmp.close();
  context.monitor.socket.destroy();
  rmSync(context.directory, { recursive: true });
});

async function failure(promise: Promise<unknown>): Promise<KataError> {
  return promise.then(
    () => assert.unreachable('should have failed'),
    (error: KataError) => error,
  ) as Promise<KataError>;
}

session('waits for the greeting before it speaks', async ({ qmp, monitor }) => {
  const ready = qmp.ready(5000);
  await turn();
  assert.equal(monitor.commands, []);
  monitor.send({ QMP: { version: {}, capabilities: [] } });
  const { execute, id } = await monitor.command(0);
  assert.is(execute, 'qmp_capabilities');
  monitor.send({ return: {}, id });
  await ready;
});

session('no greeting is a deadline, not a hang', async ({ qmp }) => {
  assert.is((await failure(qmp.ready(20))).code, 'deadline_exceeded');
});

session('one command at a time, answers in order, events between them', async ({ qmp, monitor }) => {
  const first = qmp.execute('a');
  const second = qmp.execute('b', { x: 1 });
  const { id } = await monitor.command(0);
  await turn();
  assert.is(monitor.commands.length, 1);
  monitor.send({ event: 'STOP', data: {} });
  monitor.send({ return: 1, id });
  assert.is(await first, 1);
  assert.equal(await monitor.command(1), { execute: 'b', arguments: { x: 1 }, id: id + 1 });
  monitor.send({ error: { class: 'GenericError', desc: 'no such device' }, id: id + 1 });
  const { code, message } = await failure(second);
  assert.is(code, 'internal');
  assert.match(message, /b: no such device/);
});

session(
  'a command past its deadline fails; its late answer is not taken for the next one',
  async ({ qmp, monitor }) => {
    const slow = qmp.execute('slow', undefined, 20);
    assert.is((await failure(slow)).code, 'deadline_exceeded');
    const next = qmp.execute('next');
    const { id } = await monitor.command(1);
    monitor.send({ return: 'late', id: id - 1 });
    monitor.send({ return: 'mine', id });
    assert.is(await next, 'mine');
  },
);

session('waiting in the queue counts against the deadline', async ({ qmp, monitor }) => {
  const first = qmp.execute('first');
  assert.is((await failure(qmp.execute('queued', undefined, 20))).code, 'deadline_exceeded');
  monitor.send({ return: 1, id: (await monitor.command(0)).id });
  await first;
  const last = qmp.execute('last');
  assert.is((await monitor.command(1)).execute, 'last');
  monitor.send({ return: 2, id: monitor.commands[1]?.id });
  await last;
});

session('more commands than the queue holds are refused', async ({ qmp }) => {
  const accepted = Array.from({ length: MAX_QUEUED + 1 }, () =>
    qmp.execute('x').catch((error: KataError) => error.code),
  );
  assert.is((await failure(qmp.execute('x'))).code, 'resource_exhausted');
  qmp.close();
  assert.ok((await Promise.all(accepted)).every((code) => code === 'unavailable'));
});

session('an event is found before and after it is waited for', async ({ qmp, monitor }) => {
  const later = qmp.waitEvent('DEVICE_DELETED', (data) => data.device === 'b', 5000);
  monitor.send({ event: 'DEVICE_DELETED', data: { device: 'a' } });
  monitor.send({ event: 'DEVICE_DELETED', data: { device: 'b' } });
  assert.equal((await later).data, { device: 'b' });
  assert.equal((await qmp.waitEvent('DEVICE_DELETED', (data) => data.device === 'a', 0)).data, { device: 'a' });
  const none = await failure(qmp.waitEvent('DEVICE_DELETED', () => true, 10));
  assert.is(none.code, 'deadline_exceeded');
});

session('old events are forgotten', async ({ qmp, monitor }) => {
  for (let n = 0; n <= MAX_EVENTS; n++) monitor.send({ event: 'E', data: { n } });
  monitor.send({ event: 'END', data: {} });
  await qmp.waitEvent('END', () => true, 5000);
  const oldest = await qmp.waitEvent('E', () => true, 10);
  assert.equal(oldest.data, { n: 1 });
});

for (const [what, bytes] of [
  ['a line above the limit', Buffer.alloc(MAX_LINE_BYTES + 2, 0x20)],
  ['a whole line above the limit', Buffer.concat([Buffer.alloc(MAX_LINE_BYTES + 1, 0x20), Buffer.from('\n')])],
  ['a line that is no JSON', Buffer.from('{"return":\n')],
  ['a line that is no object', Buffer.from('[1]\n')],
] as const) {
  session(`${what} ends the session`, async ({ qmp, monitor }) => {
    const pending = qmp.execute('x');
    await monitor.command(0);
    monitor.socket.on('error', () => {});
    monitor.socket.write(bytes);
    assert.is((await failure(pending)).code, 'internal');
    assert.is((await failure(qmp.execute('y'))).code, 'internal');
  });
}

session('the end of QEMU fails what is pending and what comes', async ({ qmp, monitor }) => {
  const pending = [failure(qmp.execute('x')), failure(qmp.execute('y')), failure(qmp.waitEvent('E', () => true, 5000))];
  monitor.socket.destroy();
  for (const error of await Promise.all(pending)) assert.is(error.code, 'unavailable');
  assert.is((await failure(qmp.execute('z'))).code, 'unavailable');
  assert.is((await failure(qmp.waitEvent('E', () => true, 5000))).code, 'unavailable');
});

session.run();
