/** Streams between our client and our server: all three kinds, flow control, deadlines, ends. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { KataError } from '../../../host/error.ts';
import { Any } from '../../../host/proto/messages/google.ts';
import { TtrpcClient } from '../../../host/ttrpc/client.ts';
import { MAX_WAITING_BYTES } from '../../../host/ttrpc/read-gate.ts';
import { TtrpcServer } from '../../../host/ttrpc/server.ts';
import { StatusError } from '../../../host/ttrpc/status.ts';
import { MAX_DATA_BYTES, type ServerStream, service } from '../../../host/ttrpc/types.ts';
import { failure } from './failure.ts';
import { listen, socketPath, until } from './socket-fixture.ts';

const SERVICE = 'test.Streams';
const Streams = {
  Unary: [Any, Any],
  Sum: [Any, Any, 'client'],
  Count: [Any, Any, 'server'],
  Echo: [Any, Any, 'both'],
} as const;

interface Setup {
  client: TtrpcClient;
  server: TtrpcServer;
  /** Of Echo and Count, as they come. */
  served: ServerStream<Any, Any>[];
  /** What Count awaits before each message. */
  pace: () => Promise<void>;
  sent: number;
  /** What its handler failed with. */
  failed: unknown[];
}

const test = suite<Setup>('ttrpc streams');

test.before.each(async (context) => {
  context.served = [];
  context.failed = [];
  context.sent = 0;
  context.pace = async () => {};
  context.server = new TtrpcServer([
    service(SERVICE, Streams, {
      Unary: (request) => request,
      Sum: async (stream) => {
        let length = 0;
        for await (const { value } of stream) length += value.length;
        return { type_url: String(length) };
      },
      Count: async (stream) => {
        context.served.push(stream);
        const { type_url, value } = (await stream.receive()) as Any;
        try {
          for (let i = 0; i < Number(type_url); i++) {
            await context.pace();
            await stream.send({ type_url: String(i), value });
            context.sent++;
          }
        } catch (error) {
          context.failed.push(error);
          throw error;
        }
        if (value.length === 0)
          throw new StatusError('not_found', 'no more', [{ type_url: 'why', value: Buffer.from('x') }]);
      },
      Echo: async (stream) => {
        context.served.push(stream);
        for await (const message of stream) await stream.send(message);
      },
    }),
  ]);
  const path = socketPath();
  context.server.adopt(await listen(path));
  context.client = await TtrpcClient.connect(path);
});

test.after.each(async ({ client, server }) => {
  client.close();
  await server.close();
});

function named(value: string): { type_url: string } {
  return { type_url: value };
}

test('a client that streams', async ({ client }) => {
  const stream = client.stream(SERVICE, 'Sum', Streams.Sum);
  for (let i = 0; i < 100; i++) await stream.send({ value: Buffer.alloc(i) });
  stream.closeSend();
  stream.closeSend();
  assert.is((await stream.receive())?.type_url, '4950');
  assert.is(await stream.receive(), undefined);
  assert.is(client.inFlight, 0);
});

test('a server that streams', async ({ client }) => {
  const stream = client.stream(SERVICE, 'Count', Streams.Count, { request: { type_url: '100', value: Buffer.of(7) } });
  const got: string[] = [];
  for await (const { type_url, value } of stream) got.push(`${type_url} ${value[0]}`);
  assert.equal(
    got,
    Array.from({ length: 100 }, (_, i) => `${i} 7`),
  );
  assert.is(client.inFlight, 0);
  assert.is((await failure(stream.send({}))).code, 'failed_precondition');
});

test('both, message by message, beside other streams and calls', async ({ client }) => {
  const talk = async (name: string): Promise<void> => {
    const stream = client.stream(SERVICE, 'Echo', Streams.Echo);
    for (let i = 0; i < 50; i++) {
      await stream.send(named(`${name} ${i}`));
      assert.is((await stream.receive())?.type_url, `${name} ${i}`);
    }
    stream.closeSend();
    assert.is(await stream.receive(), undefined);
  };
  const call = async (): Promise<void> => {
    for (let i = 0; i < 50; i++)
      assert.is((await client.call(SERVICE, 'Unary', Streams.Unary, named('u'))).type_url, 'u');
  };
  await Promise.all([...Array.from({ length: 20 }, (_, i) => talk(`s${i}`)), call(), call()]);
  assert.is(client.inFlight, 0);
});

test('empty messages are messages', async ({ client }) => {
  const stream = client.stream(SERVICE, 'Echo', Streams.Echo);
  for (let i = 0; i < 3; i++) await stream.send({});
  stream.closeSend();
  let count = 0;
  for await (const { type_url } of stream) {
    assert.is(type_url, '');
    count++;
  }
  assert.is(count, 3);
});

test('the first message may come with the request', async ({ client }) => {
  const stream = client.stream(SERVICE, 'Echo', Streams.Echo, { request: named('first') });
  await stream.send(named('second'));
  stream.closeSend();
  const got = [];
  for await (const { type_url } of stream) got.push(type_url);
  assert.equal(got, ['first', 'second']);
});

test('messages up to the largest frame, and beyond', async ({ client }) => {
  const stream = client.stream(SERVICE, 'Echo', Streams.Echo);
  for (const size of [1, 300_000, MAX_DATA_BYTES - 5]) {
    const value = Buffer.alloc(size, size);
    const sent = stream.send({ value });
    assert.is(Buffer.compare((await stream.receive())?.value ?? Buffer.alloc(0), value), 0, `${size} bytes`);
    await sent;
  }
  assert.is((await failure(stream.send({ value: Buffer.alloc(MAX_DATA_BYTES) }))).code, 'resource_exhausted');
  await stream.send(named('still open'));
  assert.is((await stream.receive())?.type_url, 'still open');
  stream.abort();
});

test('an error, with details, behind what was sent', async ({ client }) => {
  const stream = client.stream(SERVICE, 'Count', Streams.Count, { request: named('2') });
  assert.is((await stream.receive())?.type_url, '0');
  assert.is((await stream.receive())?.type_url, '1');
  const error = await failure(stream.receive());
  assert.equal([error.code, error.message], ['not_found', 'no more']);
  assert.ok(error instanceof StatusError);
  const [detail] = error.details;
  assert.equal([detail?.type_url, Buffer.from(detail?.value as Uint8Array).toString()], ['why', 'x']);
  assert.is((await failure(stream.receive())).code, 'not_found', 'and again');
});

test('a receiver that takes nothing stops the sender; nothing is lost', async (context) => {
  const { client } = context;
  const value = Buffer.alloc(10_000);
  const stream = client.stream(SERVICE, 'Count', Streams.Count, { request: { type_url: '2000', value } });
  const sent = async (): Promise<number> => {
    for (let before = -1; before !== context.sent; ) {
      before = context.sent;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return context.sent;
  };
  const stopped = await sent();
  // Both ends' stores, the socket's buffers, and what one read brings.
  assert.ok(stopped > 10 && stopped * value.length < 4 * MAX_WAITING_BYTES, `${stopped} messages`);
  const call = client.call(SERVICE, 'Unary', Streams.Unary, named('behind'));
  let count = 0;
  for await (const message of stream) assert.is(message.type_url, String(count++));
  assert.is(count, 2000);
  assert.is((await call).type_url, 'behind');
});

test('a sender faster than its receiver has to wait', async ({ client, served }) => {
  const stream = client.stream(SERVICE, 'Echo', Streams.Echo);
  let waits: Promise<void> | undefined;
  const value = Buffer.alloc(50_000);
  let sent = 0;
  while (!waits && sent < 500) {
    const sending = stream.send({ value });
    sent++;
    const settled = await Promise.race([sending.then(() => true), new Promise((resolve) => setTimeout(resolve, 100))]);
    if (!settled) waits = sending;
  }
  assert.ok(waits, `${sent} messages and no end`);
  assert.is((await failure(stream.send({ value }))).code, 'resource_exhausted', 'a second one does not wait');
  assert.is(served.length, 1);
  stream.closeSend();
  let count = 0;
  for await (const message of stream) {
    assert.is(message.value.length, value.length);
    count++;
  }
  assert.is(count, sent);
  await waits;
});

test('leaving the loop gives the stream up, and what waits with it', async (context) => {
  const { client } = context;
  const value = Buffer.alloc(100_000);
  const request = { type_url: '1000', value };
  for await (const { type_url } of client.stream(SERVICE, 'Count', Streams.Count, { request })) {
    if (type_url === '3') break;
  }
  assert.is(client.inFlight, 0);
  // Its store is free: the connection goes on.
  assert.is((await client.call(SERVICE, 'Unary', Streams.Unary, named('after'))).type_url, 'after');
  await until(() => context.sent === 1000);
  assert.ok(client.unmatched > 0);
});

test('deadlines, at both ends', async (context) => {
  const { client, served, failed } = context;
  context.pace = () => new Promise((resolve) => setTimeout(resolve, 5));
  const stream = client.stream(SERVICE, 'Count', Streams.Count, { request: named('100000'), timeoutMs: 40 });
  const error = await failure(
    (async () => {
      for await (const _ of stream);
    })(),
  );
  assert.is(error.code, 'deadline_exceeded');
  assert.is((await failure(stream.receive())).code, 'deadline_exceeded');
  await until(() => failed.length === 1);
  assert.is((failed[0] as KataError).code, 'deadline_exceeded');
  assert.ok(served[0]?.signal.aborted);
  assert.ok((served[0]?.deadline ?? 0) > 0);
});

test('signals and aborts', async ({ client }) => {
  const controller = new AbortController();
  const stream = client.stream(SERVICE, 'Echo', Streams.Echo, { signal: controller.signal });
  const waiting = failure(stream.receive());
  controller.abort(new KataError('failed_precondition', 'the VM has ended'));
  assert.is((await waiting).code, 'failed_precondition');
  assert.is((await failure(stream.send({}))).code, 'failed_precondition');
  assert.throws(() => client.stream(SERVICE, 'Echo', Streams.Echo, { signal: controller.signal }), /the VM has ended/);
  const other = client.stream(SERVICE, 'Echo', Streams.Echo);
  await other.send(named('x'));
  other.abort();
  assert.is((await failure(other.receive())).code, 'cancelled');
  assert.is(client.inFlight, 0);
});

test('metadata', async ({ client, served }) => {
  const stream = client.stream(SERVICE, 'Echo', Streams.Echo, { metadata: { 'X-Key': 'v' } });
  await until(() => served.length === 1);
  assert.equal([...(served[0]?.metadata ?? [])], [['x-key', 'v']]);
  stream.abort();
});

test('the connection ends: both sides are told', async ({ client, server, served }) => {
  const streams = Array.from({ length: 5 }, () => client.stream(SERVICE, 'Echo', Streams.Echo));
  await until(() => served.length === 5);
  const waiting = streams.map((stream) => failure(stream.receive()));
  client.close('enough');
  for (const { code } of await Promise.all(waiting)) assert.is(code, 'unavailable');
  await until(() => served.every(({ signal }) => signal.aborted));
  const [first] = served as [ServerStream<Any, Any>];
  assert.is((first.signal.reason as KataError).code, 'cancelled');
  assert.is((await failure(first.send({}))).code, 'cancelled');
  assert.is((await failure(streams[0]?.send({}) as Promise<void>)).code, 'unavailable');
  assert.throws(() => client.stream(SERVICE, 'Echo', Streams.Echo), /enough/);
  await until(() => server.connections === 0);
});

test('one receive at a time', async ({ client }) => {
  const stream = client.stream(SERVICE, 'Echo', Streams.Echo);
  const first = stream.receive();
  assert.is((await failure(stream.receive())).code, 'failed_precondition');
  await stream.send(named('x'));
  assert.is((await first)?.type_url, 'x');
  stream.abort();
});

test('methods are told apart', async ({ client }) => {
  const Wrong = [Any, Any, 'both'] as const;
  const unary = client.stream(SERVICE, 'Unary', Wrong);
  assert.is((await failure(unary.receive())).code, 'unimplemented');
  assert.is((await client.call(SERVICE, 'Sum', [Any, Any], named('alone'))).type_url, '0');
  const missing = client.stream(SERVICE, 'NoSuch', Wrong);
  assert.is((await failure(missing.receive())).message, 'method NoSuch');
});

test.run();
