import { existsSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { core } from '../../../host/core/core.ts';
import { CODES, KataError } from '../../../host/error.ts';
import { decode, encode } from '../../../host/proto/codec.ts';
import { Any } from '../../../host/proto/messages/google.ts';
import { ConnectRequest, ConnectResponse, TaskService } from '../../../host/proto/messages/task_v2.ts';
import { TaskService as TaskServiceV3 } from '../../../host/proto/messages/task_v3.ts';
import { MAX_TIMER_MS } from '../../../host/ttrpc/call.ts';
import { MAX_CONNECTIONS, TtrpcServer } from '../../../host/ttrpc/server.ts';
import { MAX_CALLS } from '../../../host/ttrpc/server-connection.ts';
import { type CallContext, type Handler, MAX_DATA_BYTES, service } from '../../../host/ttrpc/types.ts';
import { listen, RawPeer, socketPath, until } from './socket-fixture.ts';
import { DATA, frame, REQUEST, RESPONSE, request } from './wire.ts';

const V2 = 'containerd.task.v2.Task';
const V3 = 'containerd.task.v3.Task';
/** Echoes bytes: payloads of any size. */
const EchoService = { Echo: [Any, Any] } as const;

interface Setup {
  path: string;
  server: TtrpcServer;
  peer: RawPeer;
  calls: CallContext[];
  /** Answers the calls that wait. */
  release: ((version: string) => void)[];
}

const test = suite<Setup>('ttrpc server');

test.before.each(async (context) => {
  context.path = socketPath();
  context.calls = [];
  context.release = [];
  const connect: Handler<ConnectRequest, ConnectResponse> = ({ id }, call) => {
    context.calls.push(call);
    if (id === 'wait') {
      return new Promise((resolve) => {
        context.release.push((version) => resolve({ version } as ConnectResponse));
      });
    }
    if (id === 'throw') throw new KataError('failed_precondition', 'not now');
    if (id === 'reject') return Promise.reject(new Error('plain'));
    if (id === 'bad') return { shim_pid: -1 } as ConnectResponse;
    return { version: id, shim_pid: 1, task_pid: 2 };
  };
  context.server = new TtrpcServer([
    service(V2, TaskService, { Connect: connect }),
    service(V3, TaskServiceV3, { Connect: ({ id }) => ({ version: `3 ${id}` }) }),
    service('test.Echo', EchoService, {
      Echo: (value, call) => {
        context.calls.push(call);
        return value;
      },
    }),
  ]);
  context.server.adopt(await listen(context.path));
  context.peer = await RawPeer.connect(context.path);
});

test.after.each(async ({ server, peer }) => {
  peer.socket.destroy();
  await server.close();
});

function connect(stream: number, id: string, more: Parameters<typeof request>[1] = {}): Buffer {
  return request(stream, { service: V2, method: 'Connect', payload: encode(ConnectRequest, { id }), ...more });
}

function versionOf(payload: Uint8Array): string {
  return decode(ConnectResponse, payload).version;
}

test('services side by side on one socket', async ({ peer }) => {
  const payload = encode(ConnectRequest, { id: 'x' });
  peer.write(connect(1, 'x'), request(3, { service: V3, method: 'Connect', payload }));
  assert.is(versionOf((await peer.response()).payload), 'x');
  assert.is(versionOf((await peer.response()).payload), '3 x');
});

test('a batch of 64 is answered by two writes', async ({ peer }) => {
  let chunks = 0;
  peer.socket.on('data', () => chunks++);
  peer.write(...Array.from({ length: 64 }, (_, i) => connect(2 * i + 1, `c${i}`)));
  for (let i = 0; i < 64; i++) {
    const { stream, payload } = await peer.response();
    assert.is(stream, 2 * i + 1);
    assert.is(versionOf(payload), `c${i}`);
  }
  assert.ok(chunks <= 2);
});

test('64 in flight, answered backwards', async ({ peer, release }) => {
  peer.write(...Array.from({ length: 64 }, (_, i) => connect(2 * i + 1, 'wait')));
  await until(() => release.length === 64);
  for (let i = 63; i >= 0; i--) {
    release[i]?.(`v${i}`);
    const { stream, payload } = await peer.response();
    assert.is(stream, 2 * i + 1);
    assert.is(versionOf(payload), `v${i}`);
  }
});

test('payloads up to the largest frame', async ({ peer }) => {
  for (const [index, size] of [0, 1, 300_000, MAX_DATA_BYTES - 200].entries()) {
    const value = Buffer.alloc(size, index);
    peer.write(request(2 * index + 1, { service: 'test.Echo', method: 'Echo', payload: encode(Any, { value }) }));
    assert.is(Buffer.compare(decode(Any, (await peer.response()).payload).value, value), 0, `${size} bytes`);
  }
});

test('an oversized frame is skipped and refused; the connection goes on', async ({ peer }) => {
  peer.write(frame(1, REQUEST, Buffer.alloc(MAX_DATA_BYTES + 1)), connect(3, 'after'));
  const refused = await peer.response();
  assert.equal([refused.stream, refused.code], [1, CODES.resource_exhausted]);
  assert.match(refused.text, String(MAX_DATA_BYTES + 1));
  assert.is(versionOf((await peer.response()).payload), 'after');
});

test('an answer larger than a frame', async ({ server, peer, path }) => {
  await server.close();
  const big = new TtrpcServer([
    service('test.Echo', EchoService, { Echo: () => ({ value: new Uint8Array(MAX_DATA_BYTES) }) }),
  ]);
  big.adopt(await listen(path));
  const other = await RawPeer.connect(path);
  other.write(request(1, { service: 'test.Echo', method: 'Echo' }));
  assert.is((await other.response()).code, CODES.resource_exhausted);
  other.socket.destroy();
  await big.close();
  await peer.closed;
});

test('unknown names, and methods without a handler', async ({ peer }) => {
  peer.write(
    request(1, { service: 'no.Such', method: 'Connect' }),
    request(3, { service: V2, method: 'NoSuch' }),
    request(5, { service: V2, method: 'Pids' }),
    request(7, {}),
    request(9, { service: 'x'.repeat(100_000), method: 'y' }),
  );
  const texts = ['service no.Such', 'method NoSuch', 'method Pids', 'service ', `service ${'x'.repeat(256)}`];
  for (const text of texts) {
    const response = await peer.response();
    assert.is(response.code, CODES.unimplemented);
    assert.is(response.text, text);
  }
});

test('errors of handlers', async ({ peer }) => {
  peer.write(connect(1, 'throw'), connect(3, 'reject'), connect(5, 'bad'));
  const byStream = new Map<number, { code: number; text: string }>();
  for (let i = 0; i < 3; i++) {
    const { stream, code, text } = await peer.response();
    byStream.set(stream, { code, text });
  }
  assert.equal(byStream.get(1), { code: CODES.failed_precondition, text: 'not now' });
  assert.equal(byStream.get(3), { code: CODES.unknown, text: 'plain' });
  assert.is(byStream.get(5)?.code, CODES.internal);
});

test('stream ids: odd and rising', async ({ peer }) => {
  peer.write(
    connect(2, 'even'),
    connect(5, 'ok'),
    connect(5, 'again'),
    connect(3, 'back'),
    connect(0xffff_ffff, 'last'),
  );
  const answers = [];
  for (let i = 0; i < 5; i++) answers.push(await peer.response());
  const invalid = CODES.invalid_argument;
  assert.equal(
    answers.map(({ stream, code }) => [stream, code]).sort(),
    [
      [2, invalid],
      [3, invalid],
      [4294967295, 0],
      [5, 0],
      [5, invalid],
    ].sort(),
  );
});

test('frames of other types, streams, and bytes that are no request', async ({ peer }) => {
  peer.write(
    frame(1, RESPONSE, Buffer.alloc(0)),
    frame(1, 77, Buffer.from('reserved')),
    frame(1, DATA, Buffer.from('x')),
    request(3, { service: V2, method: 'Connect' }, 2),
    frame(5, REQUEST, Buffer.of(0xff)),
    request(7, { service: V2, method: 'Connect', payload: Buffer.of(0xff) }),
    connect(9, 'reserved flags are ignored', {}),
  );
  const answers = [];
  for (let i = 0; i < 5; i++) answers.push(await peer.response());
  assert.equal(
    answers.map(({ stream, code }) => [stream, code]),
    [
      [1, CODES.invalid_argument],
      [3, CODES.unimplemented],
      [5, CODES.invalid_argument],
      [7, CODES.invalid_argument],
      [9, 0],
    ],
  );
});

test('metadata, in lower case', async ({ peer, calls }) => {
  const metadata = [
    { key: 'Containerd-Namespace-TTRPC', value: 'k8s.io' },
    { key: 'a', value: 'b' },
  ];
  peer.write(connect(1, 'x', { metadata }), connect(3, 'x'));
  await peer.response();
  await peer.response();
  assert.equal(
    [...(calls[0]?.metadata ?? [])],
    [
      ['containerd-namespace-ttrpc', 'k8s.io'],
      ['a', 'b'],
    ],
  );
  assert.is(calls[1]?.metadata.size, 0);
});

test('a deadline', async ({ peer, calls, release }) => {
  peer.write(connect(1, 'wait', { timeout_nano: 20_000_000 }), connect(3, 'x', { timeout_nano: 0 }));
  assert.equal((await peer.response()).stream, 3);
  assert.is(calls[1]?.deadline, 0);
  const late = await peer.response();
  assert.equal([late.stream, late.code], [1, CODES.deadline_exceeded]);
  assert.ok((calls[0]?.deadline ?? 0) > 0);
  assert.ok(calls[0]?.signal.aborted);
  release[0]?.('too late');
  peer.write(connect(5, 'next'));
  assert.is((await peer.response()).stream, 5, 'the late result is dropped');
});

test('a deadline that had passed when the call was made', async ({ peer, calls }) => {
  for (const [index, timeout_nano] of [-1, -(2 ** 40)].entries()) {
    peer.write(connect(2 * index + 1, 'x', { timeout_nano }));
    assert.is((await peer.response()).code, CODES.deadline_exceeded);
  }
  assert.is(calls.length, 0, 'nobody waits for what the handler would do');
});

test('a deadline farther away than timers reach', async ({ peer, calls, release }) => {
  const days = 2 ** 53 - 1;
  peer.write(connect(1, 'wait', { timeout_nano: days }), connect(3, 'wait', { timeout_nano: 20_000_000 }));
  assert.is((await peer.response()).stream, 3, 'by then a timer that overflowed would have fired');
  release[0]?.('x');
  assert.equal((await peer.response()).code, 0);
  assert.ok((calls[0]?.deadline ?? 0) > Date.now() + MAX_TIMER_MS);
});

test('the caller goes: signals abort', async ({ peer, calls, server }) => {
  peer.write(connect(1, 'wait'), connect(3, 'wait'));
  await until(() => calls.length === 2);
  const { signal } = calls[0] as CallContext;
  assert.not(signal.aborted);
  peer.socket.destroy();
  await until(() => signal.aborted);
  assert.ok(calls[1]?.signal.aborted, 'also when it is first looked at afterwards');
  assert.is((signal.reason as KataError).code, 'cancelled');
  await until(() => server.connections === 0);
});

test('more calls under way than allowed', async ({ peer, release }) => {
  peer.write(...Array.from({ length: MAX_CALLS + 1 }, (_, i) => connect(2 * i + 1, 'wait')));
  const refused = await peer.response();
  assert.equal([refused.stream, refused.code], [2 * MAX_CALLS + 1, CODES.resource_exhausted]);
  assert.is(release.length, MAX_CALLS);
  release[0]?.('x');
  assert.is((await peer.response()).stream, 1);
  peer.write(connect(2 * MAX_CALLS + 3, 'x'));
  assert.is((await peer.response()).code, 0);
});

test('more connections than allowed', async ({ server, path }) => {
  const peers = await Promise.all(Array.from({ length: MAX_CONNECTIONS - 1 }, () => RawPeer.connect(path)));
  await until(() => server.connections === MAX_CONNECTIONS);
  await (await RawPeer.connect(path)).closed;
  assert.is(server.connections, MAX_CONNECTIONS);
  for (const peer of peers) peer.socket.destroy();
  await until(() => server.connections === 1);
});

test('a caller that does not read is not read from, and others are served', async ({ peer, path, calls }) => {
  const value = Buffer.alloc(1_000_000);
  const big = encode(Any, { value });
  peer.socket.pause();
  for (let i = 0; i < 40; i++) peer.write(request(2 * i + 1, { service: 'test.Echo', method: 'Echo', payload: big }));
  peer.write(connect(99, 'behind'));
  const other = await RawPeer.connect(path);
  for (let i = 0; i < 20; i++) {
    other.write(connect(2 * i + 1, 'other'));
    assert.is((await other.response()).code, 0);
  }
  assert.ok(calls.length < 20 + 40, 'what lies behind the unread answers has not been read');
  peer.socket.resume();
  for (let i = 0; i < 40; i++) assert.is(decode(Any, (await peer.response()).payload).value.length, value.length);
  assert.is(versionOf((await peer.response()).payload), 'behind');
  other.socket.destroy();
});

test('the output region is free again after a stalled caller has gone', async ({ peer, path, server }) => {
  peer.socket.pause();
  const small = encode(Any, { value: Buffer.alloc(10_000) });
  for (let i = 0; i < 200; i++)
    peer.write(request(2 * i + 1, { service: 'test.Echo', method: 'Echo', payload: small }));
  await until(regionIsHeld);
  const other = await RawPeer.connect(path);
  other.write(connect(1, 'meanwhile'));
  assert.is(versionOf((await other.response()).payload), 'meanwhile');
  peer.socket.destroy();
  await until(() => server.connections === 1);
  assert.not(regionIsHeld());
  other.socket.destroy();
});

test('close delivers what is ready, aborts the rest and removes the socket', async ({ peer, server, calls, path }) => {
  peer.write(connect(1, 'wait'), connect(3, 'x'));
  await until(() => calls.length === 2);
  const closing = server.close();
  assert.is((await peer.response()).stream, 3);
  await closing;
  await peer.closed;
  assert.ok(calls[0]?.signal.aborted);
  assert.is(server.connections, 0);
  assert.not(existsSync(path));
  await server.close();
});

test('close ends although a caller never reads', async ({ peer, server, calls }) => {
  peer.socket.pause();
  const payload = encode(Any, { value: Buffer.alloc(3_000_000) });
  peer.write(request(1, { service: 'test.Echo', method: 'Echo', payload }));
  await until(() => calls.length === 1);
  await server.close();
  assert.is(server.connections, 0);
});

test('a peer that is not admitted', async () => {
  const path = socketPath();
  const warnings: string[] = [];
  const fds: number[] = [];
  const server = new TtrpcServer([], {
    admit: (fd) => fds.push(fd) < 0,
    logger: { warn: (text) => warnings.push(text) },
  });
  server.adopt(await listen(path));
  const peer = await RawPeer.connect(path);
  await peer.closed;
  assert.is(fds.length, 1);
  assert.ok((fds[0] as number) > 2);
  assert.match(warnings[0] ?? '', 'not allowed');
  await server.close();
});

function regionIsHeld(): boolean {
  const { output } = core();
  if (!output.acquire()) return true;
  output.release();
  return false;
}

test.run();
