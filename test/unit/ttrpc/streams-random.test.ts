/** Many streams at once, of all kinds and lengths, read slowly, left early or aborted: nothing is lost, mixed up or left behind. */
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { KataError } from '../../../host/error.ts';
import { Any } from '../../../host/proto/messages/google.ts';
import { TtrpcClient } from '../../../host/ttrpc/client.ts';
import { TtrpcServer } from '../../../host/ttrpc/server.ts';
import { type ClientStream, service } from '../../../host/ttrpc/types.ts';
import { listen, socketPath, until } from './socket-fixture.ts';

const SEED = 20260112;
const SERVICE = 'test.Random';
const Methods = {
  Unary: [Any, Any],
  Sum: [Any, Any, 'client'],
  Count: [Any, Any, 'server'],
  Echo: [Any, Any, 'both'],
} as const;

/** One stream's life: method, messages, bytes of each, what is between two receives, and where it is given up. */
interface Life {
  readonly method: 'Sum' | 'Count' | 'Echo' | 'Fail';
  readonly messages: number;
  readonly size: number;
  readonly pace: 'none' | 'turn' | 'slow';
  readonly leaveAfter: number;
  readonly how: 'break' | 'abort' | 'signal';
}

const life: fc.Arbitrary<Life> = fc.record({
  method: fc.constantFrom('Sum', 'Count', 'Echo', 'Fail'),
  messages: fc.nat(40),
  size: fc.oneof(fc.nat(200), fc.nat(200_000)),
  pace: fc.constantFrom('none', 'turn', 'slow'),
  leaveAfter: fc.oneof({ weight: 3, arbitrary: fc.constant(1e9) }, fc.nat(20)),
  how: fc.constantFrom('break', 'abort', 'signal'),
});

function turn(pace: Life['pace']): Promise<void> | undefined {
  if (pace === 'none') return undefined;
  return new Promise((resolve) => (pace === 'turn' ? setImmediate(resolve) : setTimeout(resolve, 1)));
}

let running = 0;
const server = new TtrpcServer([
  service(SERVICE, Methods, {
    Unary: async (request) => request,
    Sum: async (stream) => {
      running++;
      try {
        let total = 0;
        for await (const { value } of stream) total += value.length;
        return { type_url: String(total) };
      } finally {
        running--;
      }
    },
    Count: async (stream) => {
      running++;
      try {
        const first = (await stream.receive()) as Any;
        for (let i = 0; i < Number(first.type_url); i++) await stream.send({ type_url: String(i), value: first.value });
        if (first.value.length % 2 === 1) throw new KataError('aborted', 'odd');
      } finally {
        running--;
      }
    },
    Echo: async (stream) => {
      running++;
      try {
        for await (const message of stream) await stream.send(message);
      } finally {
        running--;
      }
    },
  }),
]);

const test = suite('streams at random');

test('nothing is lost, and nothing is left', async () => {
  const path = socketPath();
  server.adopt(await listen(path));
  await fc.assert(
    fc.asyncProperty(fc.array(life, { minLength: 1, maxLength: 12 }), async (lives) => {
      const client = await TtrpcClient.connect(path);
      try {
        await Promise.all(lives.map((one, i) => live(client, one, i)));
        // An account that is wrong would have stopped reading for good.
        const value = Buffer.alloc(100, 7);
        assert.is((await client.call(SERVICE, 'Unary', Methods.Unary, { value })).value.length, 100);
        assert.is(client.inFlight, 0);
      } finally {
        client.close();
      }
      await until(() => running === 0 && server.connections === 0);
    }),
    { seed: SEED, numRuns: 60 },
  );
  await server.close();
});

async function live(client: TtrpcClient, one: Life, index: number): Promise<void> {
  const control = new AbortController();
  const { signal } = control;
  const value = Buffer.alloc(one.size, index);
  if (one.method === 'Sum') return sum(client.stream(SERVICE, 'Sum', Methods.Sum, { signal }), one, value);
  const request = { type_url: String(one.messages), value: one.method === 'Fail' ? Buffer.alloc(1) : evenly(value) };
  const stream =
    one.method === 'Echo'
      ? client.stream(SERVICE, 'Echo', Methods.Echo, { signal })
      : client.stream(SERVICE, 'Count', Methods.Count, { request, signal });
  if (one.method === 'Echo') talk(stream, one, value);
  const leave = (): void => (one.how === 'signal' ? control.abort() : stream.abort());
  let count = 0;
  try {
    for await (const { type_url, value: got } of stream) {
      assert.is(type_url, String(count));
      if (one.method !== 'Fail') assert.ok(got.every((byte) => byte === index));
      if (++count > one.leaveAfter) {
        if (one.how === 'break') return;
        leave();
      }
      await turn(one.pace);
    }
    assert.is(count, one.messages);
    assert.is.not(one.method, 'Fail');
  } catch (error) {
    if (!(error instanceof KataError)) throw error;
    assert.ok(error.code === 'aborted' ? one.method === 'Fail' : error.code === 'cancelled' && count > one.leaveAfter);
    if (error.code === 'aborted') assert.is(count, one.messages, 'the failure is behind the messages');
  }
}

function evenly(value: Buffer): Buffer {
  return value.subarray(0, value.length & ~1);
}

async function sum(stream: ClientStream<Any, Any>, { messages, pace }: Life, value: Buffer): Promise<void> {
  for (let i = 0; i < messages; i++) {
    await stream.send({ value });
    await turn(pace);
  }
  stream.closeSend();
  assert.is((await stream.receive())?.type_url, String(messages * value.length));
  assert.is(await stream.receive(), undefined);
}

/** Sends while others receive, until that is over. */
async function talk(stream: ClientStream<Any, Any>, { messages }: Life, value: Buffer): Promise<void> {
  try {
    for (let i = 0; i < messages; i++) await stream.send({ type_url: String(i), value });
    stream.closeSend();
  } catch (error) {
    assert.is((error as KataError).code, 'cancelled');
  }
}

test.run();
