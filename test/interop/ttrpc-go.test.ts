/** Our ttrpc and its reference implementation, each as the other's server. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { CODES, KataError } from '../../host/error.ts';
import { Empty } from '../../host/proto/messages/google.ts';
import { TtrpcClient } from '../../host/ttrpc/client.ts';
import { TtrpcServer } from '../../host/ttrpc/server.ts';
import { MAX_DATA_BYTES } from '../../host/ttrpc/types.ts';
import { describe } from '../../setup/command.ts';
import { listen } from '../unit/ttrpc/socket-fixture.ts';
import { Caller, ENVELOPE_BYTES, failureOf } from './caller.ts';
import { goPeer } from './go-peer.ts';
import { BytesValue, PEER, PeerService, pattern, peerService } from './peer.ts';
import { check, checkNames, serve, socketPath } from './program.ts';
import { unaryChecks } from './unary-checks.ts';

/** Milliseconds that a receiver waits for, so that the sender has to. */
const LATE_MS = 300;

const ours = suite("ttrpc-go's client, our server");
const path = socketPath('ours');
const server = new TtrpcServer([peerService()]);
ours.before(async () => server.adopt(await listen(path)));
ours.after(() => server.close());

for (const name of await checkNames(goPeer)) {
  ours(name, async () => {
    const done = await check(goPeer, name, path);
    assert.is(done.code, 0, describe(done));
  });
}

const theirs = suite("our client, ttrpc-go's server");
let go: ChildProcess;
let caller: Caller;
theirs.before(async () => {
  go = await serve(goPeer, socketPath('go'));
});
theirs.after(async () => {
  go.kill();
  await once(go, 'exit');
});
theirs.before.each(async () => {
  caller = new Caller(await TtrpcClient.connect(socketPath('go')));
});
theirs.after.each(() => caller.client.close());

unaryChecks(theirs, () => caller);

theirs('unknown service and method', async () => {
  const types = [Empty, Empty] as const;
  const method = await failureOf(caller.client.call(PEER, 'Nothing', types, {}));
  assert.equal([method.code, method.message], ['unimplemented', 'method Nothing']);
  const service = await failureOf(caller.client.call('no.such.Service', 'Echo', types, {}));
  assert.equal([service.code, service.message], ['unimplemented', 'service no.such.Service']);
});

theirs('an answer of 4 MiB ends the connection: the peer cannot send it', async () => {
  const { code } = await failureOf(caller.call('Make', { value: MAX_DATA_BYTES }));
  assert.is(code, 'unavailable');
  assert.instance(await caller.client.closed, KataError);
});

theirs("codes of the peer's own errors", async () => {
  const codes = {
    'not exist': 'not_found',
    exist: 'already_exists',
    permission: 'permission_denied',
    EOF: 'out_of_range',
    'closed pipe': 'failed_precondition',
    canceled: 'cancelled',
    'anything else': 'unknown',
  };
  for (const [value, code] of Object.entries(codes))
    assert.is((await failureOf(caller.call('FailPlainly', { value }))).code, code);
});

theirs('a request that is no such message', async () => {
  // As bytes of field 1, what is no UTF-8 where a string is asked for.
  const types = [BytesValue, Empty] as const;
  const { code } = await failureOf(caller.client.call(PEER, 'FailPlainly', types, { value: Uint8Array.of(0xff) }));
  assert.is(code, 'internal');
  await caller.echo(pattern(100));
});

theirs('stream from the server', async () => {
  for (const count of [0, 1, 1000]) {
    const stream = caller.client.stream(PEER, 'Count', PeerService.Count, { request: { value: count } });
    let next = 0;
    for await (const { value } of stream) assert.is(value, next++);
    assert.is(next, count);
  }
});

theirs('stream to the server', async () => {
  for (const count of [0, 1, 1000]) {
    const stream = caller.client.stream(PEER, 'Sum', PeerService.Sum);
    for (let value = 1; value <= count; value++) await stream.send({ value });
    stream.closeSend();
    assert.equal(await stream.receive(), { value: (count * (count + 1)) / 2 });
    assert.is(await stream.receive(), undefined);
  }
});

theirs('stream both ways', async () => {
  await chat([1, 100, 0, 128, 16384], 20);
});

theirs('stream both ways, large messages', async () => {
  await chat([1 << 20, MAX_DATA_BYTES - ENVELOPE_BYTES], 2);
});

theirs('streams at the same time, beside calls', async () => {
  const indexes = Array.from({ length: 16 }, (_, index) => index);
  const calls = indexes.map(async (index) => {
    for (let i = 0; i < 20; i++) await caller.echo(pattern(index * i));
  });
  await Promise.all([...calls, ...indexes.map((index) => chat([index, 1000 * index], 20))]);
  assert.is(caller.client.unmatched, 0);
});

theirs('a stream that fails', async () => {
  const request = { code: CODES.data_loss, message: 'after three' };
  const stream = caller.client.stream(PEER, 'CountAndFail', PeerService.CountAndFail, { request });
  for (let value = 0; value < 3; value++) assert.equal(await stream.receive(), { value });
  const { code, message } = await failureOf(stream.receive());
  assert.equal([code, message], ['data_loss', 'after three']);
  await caller.echo(pattern(100));
});

theirs('unknown stream method', async () => {
  const stream = caller.client.stream(PEER, 'Nothing', PeerService.Chat);
  const { code, message } = await failureOf(stream.receive());
  assert.equal([code, message], ['unimplemented', 'method Nothing']);
  await caller.echo(pattern(100));
});

theirs('a stream that is taken late', async () => {
  const count = 200_000;
  const stream = caller.client.stream(PEER, 'Count', PeerService.Count, { request: { value: count } });
  await sleep(LATE_MS);
  let next = 0;
  for await (const { value } of stream) if (value !== next++) assert.unreachable(`${value} instead of ${next - 1}`);
  assert.is(next, count);
});

theirs("a stream's deadline, kept by the peer too", async () => {
  const stream = caller.client.stream(PEER, 'Chat', PeerService.Chat, { timeoutMs: 50 });
  assert.is((await failureOf(stream.receive())).code, 'deadline_exceeded');
  await caller.echo(pattern(100));
});

theirs('a peer that dies', async () => {
  const path = socketPath('dying');
  const dying = await serve(goPeer, path);
  const other = new Caller(await TtrpcClient.connect(path));
  const call = failureOf(other.call('Sleep', { value: LATE_MS * 100 }));
  const stream = other.client.stream(PEER, 'Chat', PeerService.Chat);
  await stream.send({ value: pattern(100) });
  assert.is((await stream.receive())?.value.length, 100);
  const received = failureOf(stream.receive());
  dying.kill('SIGKILL');
  assert.is((await call).code, 'unavailable');
  assert.is((await received).code, 'unavailable');
  assert.is((await failureOf(other.echo(pattern(1)))).code, 'unavailable');
});

theirs('a stream that is given up leaves the connection usable', async () => {
  const stream = caller.client.stream(PEER, 'Count', PeerService.Count, { request: { value: 100_000 } });
  assert.equal(await stream.receive(), { value: 0 });
  stream.abort();
  await failureOf(stream.receive());
  await caller.echo(pattern(100));
});

/** Sends and awaits one message after the other. */
async function chat(sizes: readonly number[], rounds: number): Promise<void> {
  const stream = caller.client.stream(PEER, 'Chat', PeerService.Chat);
  for (let round = 0; round < rounds; round++) {
    for (const size of sizes) {
      const value = pattern(size);
      await stream.send({ value });
      const got = await stream.receive();
      assert.is(Buffer.compare(got?.value ?? new Uint8Array(0), value), 0, `${size} bytes`);
    }
  }
  stream.closeSend();
  assert.is(await stream.receive(), undefined);
}

ours.run();
theirs.run();
