/** Our ttrpc and its reference implementation, each as the other's server. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { CODES, KataError, reasonOf } from '../../host/error.ts';
import type { Init } from '../../host/proto/codec.ts';
import { Empty } from '../../host/proto/messages/google.ts';
import { TtrpcClient } from '../../host/ttrpc/client.ts';
import { TtrpcServer } from '../../host/ttrpc/server.ts';
import { StatusError } from '../../host/ttrpc/status.ts';
import { type CallOptions, MAX_DATA_BYTES, type Method } from '../../host/ttrpc/types.ts';
import { describe } from '../../setup/command.ts';
import { listen } from '../unit/ttrpc/socket-fixture.ts';
import { check, checkNames, serve, socketPath } from './go-peer.ts';
import { BytesValue, codeOf, PEER, PeerService, pattern, peerService } from './peer.ts';

/** Bytes of a frame's data that the envelopes of Echo take at most. */
const ENVELOPE_BYTES = 128;
const PATIENCE_MS = 20_000;

const ours = suite("ttrpc-go's client, our server");
const path = socketPath('ours');
const server = new TtrpcServer([peerService()]);
ours.before(async () => server.adopt(await listen(path)));
ours.after(() => server.close());

for (const name of await checkNames()) {
  ours(name, async () => {
    const done = await check(name, path);
    assert.is(done.code, 0, describe(done));
  });
}

const theirs = suite("our client, ttrpc-go's server");
let go: ChildProcess;
let client: TtrpcClient;
theirs.before(async () => {
  go = await serve(socketPath('go'));
});
theirs.after(async () => {
  go.kill();
  await once(go, 'exit');
});
theirs.before.each(async () => {
  client = await TtrpcClient.connect(socketPath('go'));
});
theirs.after.each(() => client.close());

type Unary = { [K in keyof typeof PeerService]: (typeof PeerService)[K] extends { length: 2 } ? K : never };

function call<K extends Unary[keyof Unary]>(
  name: K,
  request: (typeof PeerService)[K] extends Method<infer Req, unknown> ? Init<Req> : never,
  options: CallOptions = { timeoutMs: PATIENCE_MS },
): Promise<(typeof PeerService)[K] extends Method<infer _, infer Res> ? Res : never> {
  return client.call(PEER, name, PeerService[name] as unknown as Method<never, never>, request as never, options);
}

async function echo(value: Uint8Array): Promise<void> {
  const got = await call('Echo', { value });
  assert.is(Buffer.compare(got.value, value), 0, `${value.length} bytes`);
}

async function failureOf(result: Promise<unknown>): Promise<KataError> {
  const error = await result.then(
    () => assert.unreachable('the call was to fail'),
    (thrown: unknown) => thrown,
  );
  assert.instance(error, KataError, reasonOf(error));
  return error as KataError;
}

theirs('echo of many sizes', async () => {
  const large = MAX_DATA_BYTES - ENVELOPE_BYTES;
  for (const size of [0, 1, 100, 127, 128, 4095, 16383, 16384, 32 << 10, 256 << 10, 300_000, 1 << 20, large])
    await echo(pattern(size));
});

theirs('calls at the same time', async () => {
  const worker = async (index: number): Promise<void> => {
    for (let round = 0; round < 50; round++) await echo(Buffer.from(`${index}/${round}`.padEnd(index * round, '.')));
  };
  await Promise.all(Array.from({ length: 64 }, (_, index) => worker(index)));
  assert.is(client.unmatched, 0);
});

theirs('a message of 4 MiB is refused before it is sent', async () => {
  const { code } = await failureOf(call('Echo', { value: pattern(MAX_DATA_BYTES) }));
  assert.is(code, 'resource_exhausted');
  await echo(pattern(100));
});

theirs('an answer of 4 MiB ends the connection: the peer cannot send it', async () => {
  const { code } = await failureOf(call('Make', { value: MAX_DATA_BYTES }));
  assert.is(code, 'unavailable');
  assert.instance(await client.closed, KataError);
});

theirs('a deadline is told', async () => {
  const { value } = await call('TimeLeft', {});
  assert.ok(value > 0 && value <= PATIENCE_MS, String(value));
  assert.is((await call('TimeLeft', {}, {})).value, 0);
});

theirs('a deadline passes, here and there', async () => {
  const before = (await call('Abandoned', {})).value;
  const { code } = await failureOf(call('Sleep', { value: PATIENCE_MS }, { timeoutMs: 50 }));
  assert.is(code, 'deadline_exceeded');
  let after = before;
  for (const since = Date.now(); after === before && Date.now() - since < PATIENCE_MS; )
    after = (await call('Abandoned', {})).value;
  assert.is(after, before + 1);
});

theirs('giving up leaves the connection usable', async () => {
  const given = new AbortController();
  const slow = failureOf(call('Sleep', { value: 200 }, { signal: given.signal }));
  await echo(pattern(100));
  given.abort();
  assert.is((await slow).code, 'cancelled');
  await call('Sleep', { value: 300 });
  assert.is(client.unmatched, 1);
  assert.is(client.inFlight, 0);
});

theirs('metadata', async () => {
  const { value } = await call('Metadata', {}, { metadata: { One: '1', umlaut: 'größe', empty: '' } });
  assert.is(value, 'empty=\none=1\numlaut=größe');
});

theirs('a status with code, message and details', async () => {
  const detail = { type_url: 'type.googleapis.com/google.protobuf.StringValue', value: Uint8Array.of(0x0a, 1, 0x31) };
  for (let code = 1; code <= CODES.unauthenticated; code++) {
    const message = `größer ${code}`;
    const error = await failureOf(call('Fail', { code, message, details: [detail] }));
    assert.equal([error.code, error.message], [codeOf(code), message]);
    assert.instance(error, StatusError);
    assert.equal((error as StatusError).details, [detail]);
  }
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
    assert.is((await failureOf(call('FailPlainly', { value }))).code, code);
});

theirs('unknown service and method', async () => {
  const types = [Empty, Empty] as const;
  const method = await failureOf(client.call(PEER, 'Nothing', types, {}));
  assert.equal([method.code, method.message], ['unimplemented', 'method Nothing']);
  const service = await failureOf(client.call('no.such.Service', 'Echo', types, {}));
  assert.equal([service.code, service.message], ['unimplemented', 'service no.such.Service']);
});

theirs('a request that is no such message', async () => {
  // As bytes of field 1, what is no UTF-8 where a string is asked for.
  const types = [BytesValue, Empty] as const;
  const { code } = await failureOf(client.call(PEER, 'FailPlainly', types, { value: Uint8Array.of(0xff) }));
  assert.is(code, 'internal');
  await echo(pattern(100));
});

theirs('stream from the server', async () => {
  for (const count of [0, 1, 1000]) {
    const stream = client.stream(PEER, 'Count', PeerService.Count, { request: { value: count } });
    let next = 0;
    for await (const { value } of stream) assert.is(value, next++);
    assert.is(next, count);
  }
});

theirs('stream to the server', async () => {
  for (const count of [0, 1, 1000]) {
    const stream = client.stream(PEER, 'Sum', PeerService.Sum);
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
    for (let i = 0; i < 20; i++) await echo(pattern(index * i));
  });
  await Promise.all([...calls, ...indexes.map((index) => chat([index, 1000 * index], 20))]);
  assert.is(client.unmatched, 0);
});

theirs('a stream that fails', async () => {
  const request = { code: CODES.data_loss, message: 'after three' };
  const stream = client.stream(PEER, 'CountAndFail', PeerService.CountAndFail, { request });
  for (let value = 0; value < 3; value++) assert.equal(await stream.receive(), { value });
  const { code, message } = await failureOf(stream.receive());
  assert.equal([code, message], ['data_loss', 'after three']);
  await echo(pattern(100));
});

theirs('unknown stream method', async () => {
  const stream = client.stream(PEER, 'Nothing', PeerService.Chat);
  const { code, message } = await failureOf(stream.receive());
  assert.equal([code, message], ['unimplemented', 'method Nothing']);
  await echo(pattern(100));
});

theirs('a stream that is given up leaves the connection usable', async () => {
  const stream = client.stream(PEER, 'Count', PeerService.Count, { request: { value: 100_000 } });
  assert.equal(await stream.receive(), { value: 0 });
  stream.abort();
  await failureOf(stream.receive());
  await echo(pattern(100));
});

/** Sends and awaits one message after the other. */
async function chat(sizes: readonly number[], rounds: number): Promise<void> {
  const stream = client.stream(PEER, 'Chat', PeerService.Chat);
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
