import { once } from 'node:events';
import net from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { CODES, KataError } from '../../../host/error.ts';
import { decode, encode, type MessageType, message } from '../../../host/proto/codec.ts';
import { Any } from '../../../host/proto/messages/google.ts';
import { Request } from '../../../host/proto/messages/ttrpc.ts';
import { MAX_TIMER_MS } from '../../../host/ttrpc/call.ts';
import { LAST_STREAM, MAX_QUEUED_BYTES, TtrpcClient } from '../../../host/ttrpc/client.ts';
import { MAX_STATUS_TEXT } from '../../../host/ttrpc/status.ts';
import { MAX_DATA_BYTES } from '../../../host/ttrpc/types.ts';
import { listen, RawPeer, socketPath, until } from './socket-fixture.ts';
import { DATA, frame, REQUEST, RESPONSE, response } from './wire.ts';

const ECHO = [Any, Any] as const;

interface Setup {
  path: string;
  listener: net.Server;
  client: TtrpcClient;
  /** The server's end. */
  peer: RawPeer;
}

const test = suite<Setup>('ttrpc client');

test.before.each(async (context) => {
  context.path = socketPath();
  context.listener = await listen(context.path);
  const accepted = once(context.listener, 'connection') as Promise<[net.Socket]>;
  context.client = await TtrpcClient.connect(context.path);
  context.peer = new RawPeer((await accepted)[0]);
});

test.after.each(({ client, peer, listener }) => {
  client.close();
  peer.socket.destroy();
  listener.close();
});

function echo(client: TtrpcClient, value: Uint8Array, options = {}): Promise<Any> {
  return client.call('test.Echo', 'Echo', ECHO, { value }, options);
}

/** The error a call fails with. */
async function failure(call: Promise<unknown>): Promise<KataError> {
  try {
    await call;
  } catch (error) {
    if (error instanceof KataError) return error;
    throw error;
  }
  throw new Error('the call succeeded');
}

/** Answers the next request with its own payload. */
async function answer(peer: RawPeer): Promise<Request> {
  const { stream, data } = await peer.next();
  const request = decode(Request, data);
  peer.write(response(stream, { payload: request.payload }));
  return request;
}

test('a call, as it goes over the wire', async ({ client, peer }) => {
  const call = echo(client, Buffer.from('x'), { timeoutMs: 1500, metadata: { 'X-Key': 'v' } });
  const { stream, type, flags, data } = await peer.next();
  assert.equal([stream, type, flags], [1, REQUEST, 0]);
  const expected = {
    service: 'test.Echo',
    method: 'Echo',
    timeout_nano: 1.5e9,
    metadata: [{ key: 'x-key', value: 'v' }],
  };
  assert.is(
    Buffer.compare(data, encode(Request, { ...expected, payload: encode(Any, { value: Buffer.from('x') }) })),
    0,
  );
  peer.write(response(1, { payload: encode(Any, { type_url: 'y' }) }));
  assert.is((await call).type_url, 'y');
});

test('64 in flight leave in one write, are answered backwards', async ({ client, peer }) => {
  let chunks = 0;
  peer.socket.on('data', () => chunks++);
  const calls = Array.from({ length: 64 }, (_, i) => echo(client, Buffer.of(i)));
  const requests = [];
  for (let i = 0; i < 64; i++) requests.push(await peer.next());
  assert.is(chunks, 1);
  assert.equal(
    requests.map(({ stream }) => stream),
    Array.from({ length: 64 }, (_, i) => 2 * i + 1),
  );
  for (const { stream, data } of requests.reverse()) {
    peer.write(response(stream, { payload: decode(Request, data).payload }));
  }
  const values = await Promise.all(calls);
  assert.equal(
    values.map(({ value }) => value[0]),
    Array.from({ length: 64 }, (_, i) => i),
  );
});

test('bytes of a result may be kept', async ({ client, peer }) => {
  const calls = [echo(client, Buffer.from('first')), echo(client, Buffer.from('other'))];
  await answer(peer);
  const { value } = (await calls[0]) as Any;
  await answer(peer);
  await calls[1];
  assert.is(Buffer.from(value).toString(), 'first');
});

test('a view of the payload, and what its reader throws', async ({ client, peer }) => {
  const view = client.callView('test.Echo', 'Echo', Any, { type_url: 'abc' }, (payload) => payload.length);
  const thrown = client.callView('test.Echo', 'Echo', Any, {}, () => {
    throw new KataError('data_loss', 'no');
  });
  await answer(peer);
  await answer(peer);
  assert.is(await view, 5);
  assert.is((await failure(thrown)).code, 'data_loss');
});

test('payloads up to the largest frame, and beyond', async ({ client, peer }) => {
  for (const size of [0, 1, 300_000, MAX_DATA_BYTES - 200]) {
    const value = Buffer.alloc(size, size);
    const call = echo(client, value);
    await answer(peer);
    assert.is(Buffer.compare((await call).value, value), 0);
  }
  assert.is((await failure(echo(client, new Uint8Array(MAX_DATA_BYTES)))).code, 'resource_exhausted');
});

test('statuses', async ({ client, peer }) => {
  const answers: [number, string][] = [
    [CODES.not_found, 'not_found'],
    [CODES.unimplemented, 'unimplemented'],
    [99, 'unknown'],
    [-1, 'unknown'],
  ];
  for (const [code, name] of answers) {
    const call = echo(client, Buffer.of(1));
    peer.write(response((await peer.next()).stream, { status: { code, message: `no ${code}` } }));
    const error = await failure(call);
    assert.equal([error.code, error.message], [name, `no ${code}`]);
  }
});

test("a status' text is cut", async ({ client, peer }) => {
  const call = echo(client, Buffer.of(1));
  peer.write(response((await peer.next()).stream, { status: { code: 5, message: 'é'.repeat(MAX_DATA_BYTES / 4) } }));
  assert.is((await failure(call)).message.length, MAX_STATUS_TEXT + 1);
});

test('a result that is not the message it should be', async ({ client, peer }) => {
  const call = echo(client, Buffer.of(1));
  peer.write(response((await peer.next()).stream, { payload: Buffer.of(0xff) }));
  assert.is((await failure(call)).code, 'internal');
  const next = echo(client, Buffer.of(1));
  await answer(peer);
  await next;
});

test('a request that does not fit its message', async ({ client }) => {
  const Small: MessageType<{ n: number }> = message<{ n: number }>('test.Small', () => [[1, 'n', 'uint32']]);
  const error = await failure(client.call('a', 'b', [Small, Small], { n: -1 }));
  assert.is(error.code, 'internal');
  assert.match(error.message, 'test.Small.n');
  assert.is(client.inFlight, 0);
});

test('a deadline; the late answer is counted and dropped', async ({ client, peer }) => {
  const call = echo(client, Buffer.of(1), { timeoutMs: 20 });
  const { stream } = await peer.next();
  assert.is((await failure(call)).code, 'deadline_exceeded');
  assert.is(client.inFlight, 0);
  peer.write(response(stream, {}), response(12345, {}));
  const next = echo(client, Buffer.of(1));
  await answer(peer);
  await next;
  assert.is(client.unmatched, 2);
});

test('a deadline farther away than timers reach', async ({ client, peer }) => {
  const far = echo(client, Buffer.of(1), { timeoutMs: MAX_TIMER_MS + 1 });
  assert.is((await failure(echo(client, Buffer.of(2), { timeoutMs: 20 }))).code, 'deadline_exceeded');
  await answer(peer);
  assert.is((await far).value[0], 1);
});

test('signals', async ({ client, peer }) => {
  const abort = new AbortController();
  const call = echo(client, Buffer.of(1), { signal: abort.signal });
  await peer.next();
  abort.abort(new KataError('failed_precondition', 'the VM has ended'));
  assert.is((await failure(call)).code, 'failed_precondition');
  assert.is((await failure(echo(client, Buffer.of(1), { signal: abort.signal }))).code, 'failed_precondition');
  const plain = new AbortController();
  const other = echo(client, Buffer.of(1), { signal: plain.signal });
  plain.abort();
  assert.is((await failure(other)).code, 'cancelled');
});

test('more calls under way than allowed', async ({ path }) => {
  const client = await TtrpcClient.connect(path, undefined, { maxInFlight: 3 });
  const calls = Array.from({ length: 3 }, () => failure(echo(client, Buffer.of(1))));
  assert.is((await failure(echo(client, Buffer.of(1)))).code, 'resource_exhausted');
  assert.is(client.inFlight, 3);
  client.close();
  for (const { code } of await Promise.all(calls)) assert.is(code, 'unavailable');
});

test('a peer that does not read: what waits is bounded', async ({ client, peer }) => {
  peer.socket.pause();
  const value = Buffer.alloc(MAX_DATA_BYTES - 200);
  const calls: Promise<unknown>[] = [];
  let refused: KataError | undefined;
  for (let i = 0; i < 20 && !refused; i++) {
    const call = echo(client, value).catch((error: KataError) => {
      refused = error;
    });
    calls.push(call);
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.is(refused?.code, 'resource_exhausted');
  assert.ok(calls.length <= 3 + MAX_QUEUED_BYTES / value.length, `${calls.length} calls`);
  peer.socket.resume();
  for (let i = 0; i < calls.length - 1; i++) await answer(peer);
  await Promise.all(calls);
});

test('expired calls that the peer has not read count too', async ({ path }) => {
  const client = await TtrpcClient.connect(path, undefined, { maxInFlight: 4 });
  const value = Buffer.alloc(2_000_000);
  const codes = new Set<string>();
  for (let i = 0; i < 12; i++) codes.add((await failure(echo(client, value, { timeoutMs: 1 }))).code);
  assert.equal([...codes].sort(), ['deadline_exceeded', 'resource_exhausted']);
  client.close();
});

test('an oversized answer ends its call; the connection goes on', async ({ client, peer }) => {
  const calls = [failure(echo(client, Buffer.of(1))), echo(client, Buffer.of(2))];
  await peer.next();
  const { data } = await peer.next();
  peer.write(
    frame(1, RESPONSE, Buffer.alloc(MAX_DATA_BYTES + 1)),
    frame(99, RESPONSE, Buffer.alloc(MAX_DATA_BYTES + 1)),
  );
  assert.is(((await calls[0]) as KataError).code, 'resource_exhausted');
  peer.write(response(3, { payload: decode(Request, data).payload }));
  assert.is(((await calls[1]) as Any).value[0], 2);
  assert.is(client.unmatched, 1);
});

const violations: Record<string, Buffer> = {
  'a request': frame(1, REQUEST, Buffer.alloc(0)),
  'a data frame': frame(1, DATA, Buffer.alloc(0)),
  'a reserved type': frame(1, 0, Buffer.alloc(0)),
  'reserved flags': frame(1, RESPONSE, Buffer.alloc(0), 8),
  "a server's stream id": frame(2, RESPONSE, Buffer.alloc(0)),
  'data that is no response': frame(1, RESPONSE, Buffer.of(0xff)),
};
for (const [what, bytes] of Object.entries(violations)) {
  test(`${what} closes the connection`, async ({ client, peer }) => {
    const calls = [failure(echo(client, Buffer.of(1))), failure(echo(client, Buffer.of(2)))];
    await peer.next();
    peer.write(bytes, response(3, {}));
    for (const { code } of await Promise.all(calls)) assert.is(code, 'unavailable');
    assert.match((await client.closed)?.message ?? '', 'violates the protocol');
    await peer.closed;
    assert.is((await failure(echo(client, Buffer.of(1)))).code, 'unavailable');
  });
}

test('the peer closes with calls under way', async ({ client, peer }) => {
  const calls = [failure(echo(client, Buffer.of(1))), failure(echo(client, Buffer.of(2)))];
  await peer.next();
  peer.socket.destroy();
  for (const error of await Promise.all(calls)) {
    assert.is(error.code, 'unavailable');
    assert.match(error.message, 'test.Echo/Echo');
  }
  assert.ok((await client.closed) instanceof KataError);
  assert.is(client.inFlight, 0);
});

test('close: with and without a reason, and twice', async ({ client, path }) => {
  const call = failure(echo(client, Buffer.of(1)));
  client.close();
  client.close('again');
  assert.is((await call).code, 'unavailable');
  assert.is(await client.closed, undefined);
  const other = await TtrpcClient.connect(path);
  other.close('the VM has ended');
  assert.is((await other.closed)?.message, 'the VM has ended');
});

test('stream ids start over, past those that wait', async ({ path, listener }) => {
  const accepted = once(listener, 'connection') as Promise<[net.Socket]>;
  const client = await TtrpcClient.connect(path, undefined, { firstStream: LAST_STREAM });
  const peer = new RawPeer((await accepted)[0]);
  const streams = [];
  const calls = [];
  for (let i = 0; i < 3; i++) {
    calls.push(failure(echo(client, Buffer.of(i))));
    streams.push((await peer.next()).stream);
  }
  assert.equal(streams, [LAST_STREAM, 1, 3]);
  client.close();
  await Promise.all(calls);
  peer.socket.destroy();
});

test('a socket that somebody else connected', async ({ path, listener }) => {
  const accepted = once(listener, 'connection') as Promise<[net.Socket]>;
  const socket = net.connect(path);
  await once(socket, 'connect');
  const client = new TtrpcClient(socket);
  const peer = new RawPeer((await accepted)[0]);
  const call = echo(client, Buffer.from('x'));
  await answer(peer);
  assert.is(Buffer.from((await call).value).toString(), 'x');
  const closed = once(socket, 'close');
  peer.socket.destroy();
  await closed;
  assert.ok(await client.closed);
});

test('its owner destroys that socket', async ({ path }) => {
  const socket = net.connect(path);
  await once(socket, 'connect');
  const client = new TtrpcClient(socket);
  const call = failure(echo(client, Buffer.of(1)));
  socket.destroy();
  assert.is((await call).code, 'unavailable');
  assert.ok(await client.closed);
});

test('a socket that has read already is copied from', async ({ path, listener }) => {
  const accepted = once(listener, 'connection') as Promise<[net.Socket]>;
  const socket = net.connect(path);
  await once(socket, 'connect');
  const peer = new RawPeer((await accepted)[0]);
  const early = response(1, { payload: encode(Any, { type_url: 'early' }) });
  peer.write(early.subarray(0, 15));
  await until(() => socket.readableLength === 15);
  const client = new TtrpcClient(socket);
  const call = echo(client, Buffer.of(1));
  await peer.next();
  peer.write(early.subarray(15));
  assert.is((await call).type_url, 'early');
  const big = echo(client, Buffer.alloc(MAX_DATA_BYTES - 200));
  await answer(peer);
  assert.is((await big).value.length, MAX_DATA_BYTES - 200);
  client.close();
  await peer.closed;
});

test('a path where nobody listens, and a signal', async ({ path }) => {
  const error = await failure(TtrpcClient.connect(`${path}.none`));
  assert.is(error.code, 'unavailable');
  assert.match(error.message, `${path}.none`);
  assert.is((await failure(TtrpcClient.connect(path, AbortSignal.abort()))).code, 'cancelled');
  const abort = new AbortController();
  const connecting = failure(TtrpcClient.connect(path, abort.signal));
  abort.abort(new KataError('deadline_exceeded', 'too long'));
  assert.is((await connecting).code, 'deadline_exceeded');
});

test.run();
