import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { KataError } from '../../../host/error.ts';
import { decode } from '../../../host/proto/codec.ts';
import { TaskStart } from '../../../host/proto/messages/events.ts';
import { EventsService, EventsServiceName } from '../../../host/proto/messages/events_ttrpc.ts';
import { MAX_QUEUED_EVENTS, MAX_TRIES, Publisher } from '../../../host/shim/events.ts';
import { TtrpcClient } from '../../../host/ttrpc/client.ts';
import { TtrpcServer } from '../../../host/ttrpc/server.ts';
import { service } from '../../../host/ttrpc/types.ts';
import { KeptLog } from '../sandbox/fake-guest.ts';

interface Context {
  directory: string;
  path: string;
  received: { topic: string; type: string; id: string; namespace: string }[];
  /** How many calls fail before one succeeds. */
  failing: number;
  server: TtrpcServer | undefined;
  listener: Server | undefined;
  log: KeptLog;
  publisher: Publisher;
}

const test = suite<Context>('events');

async function listen(context: Context): Promise<void> {
  context.server = new TtrpcServer([
    service(EventsServiceName, EventsService, {
      Forward: ({ envelope }) => {
        if (context.failing-- > 0) throw new KataError('unavailable', 'not now');
        const event = envelope?.event;
        context.received.push({
          topic: envelope?.topic ?? '',
          type: event?.type_url ?? '',
          namespace: envelope?.namespace ?? '',
          id: event ? decode(TaskStart, event.value).container_id : '',
        });
        return {};
      },
    }),
  ]);
  const listener = createServer();
  await new Promise<void>((resolve) => listener.listen(context.path, resolve));
  context.server.adopt(listener);
}

test.before.each(async (context) => {
  context.directory = mkdtempSync(join(tmpdir(), 'kata-events-'));
  context.path = join(context.directory, 'events.sock');
  context.received = [];
  context.failing = 0;
  context.log = new KeptLog();
  context.publisher = new Publisher({
    namespace: 'ns',
    log: context.log,
    retryDelayMs: 1,
    client: (socket) => new TtrpcClient(socket),
    connect: () =>
      new Promise((resolve, reject) => {
        const socket = connect(context.path);
        socket.once('connect', () => resolve(socket));
        socket.once('error', reject);
      }),
  });
});
test.after.each(async (context) => {
  context.publisher.close();
  await context.server?.close();
  rmSync(context.directory, { recursive: true, force: true });
});

test('events arrive in order, with topic, type and namespace', async (context) => {
  await listen(context);
  for (let index = 0; index < 50; index++)
    context.publisher.publish('TaskStart', { container_id: `c${index}`, pid: 1 });
  await context.publisher.flush(5000);
  assert.equal(
    context.received.map(({ id }) => id),
    Array.from({ length: 50 }, (_, index) => `c${index}`),
  );
  assert.equal(context.received[0], {
    topic: '/tasks/start',
    type: 'containerd.events.TaskStart',
    id: 'c0',
    namespace: 'ns',
  });
});

test('a failing event is repeated before the next is sent', async (context) => {
  await listen(context);
  context.failing = MAX_TRIES - 1;
  for (const container_id of ['a', 'b']) context.publisher.publish('TaskStart', { container_id, pid: 1 });
  await context.publisher.flush(5000);
  assert.equal(
    context.received.map(({ id }) => id),
    ['a', 'b'],
  );
});

test('one that fails for ever is dropped', async (context) => {
  await listen(context);
  context.failing = MAX_TRIES;
  for (const container_id of ['a', 'b']) context.publisher.publish('TaskStart', { container_id, pid: 1 });
  await context.publisher.flush(5000);
  assert.equal(
    context.received.map(({ id }) => id),
    ['b'],
  );
  assert.is(context.log.lines.filter((line) => line.includes('event dropped')).length, 1);
});

test('containerd comes back: what is queued arrives', async (context) => {
  await listen(context);
  context.publisher.publish('TaskStart', { container_id: 'a', pid: 1 });
  await context.publisher.flush(5000);
  await context.server?.close();
  await sleep(5);
  await listen(context);
  context.publisher.publish('TaskStart', { container_id: 'b', pid: 1 });
  await context.publisher.flush(5000);
  assert.equal(
    context.received.map(({ id }) => id),
    ['a', 'b'],
  );
});

test('a containerd that is away for long gets what happened meanwhile, in order', async (context) => {
  for (const container_id of ['a', 'b']) context.publisher.publish('TaskStart', { container_id, pid: 1 });
  // Far more looks for it than an event is tried.
  await sleep(MAX_TRIES * MAX_TRIES * 2);
  await listen(context);
  await context.publisher.flush(5000);
  assert.equal(
    context.received.map(({ id }) => id),
    ['a', 'b'],
  );
  assert.not.ok(context.log.lines.some((line) => line.includes('dropped')));
});

test('the queue is bounded', async (context) => {
  // Nobody listens: nothing leaves.
  for (let index = 0; index <= MAX_QUEUED_EVENTS; index++)
    context.publisher.publish('TaskStart', { container_id: 'a', pid: 1 });
  assert.is(context.log.lines.filter((line) => line.includes('queue is full')).length, 1);
});

test('flush ends by its limit', async (context) => {
  context.publisher.publish('TaskStart', { container_id: 'a', pid: 1 });
  await context.publisher.flush(1);
  context.publisher.close();
});

test.run();
