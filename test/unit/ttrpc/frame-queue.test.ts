/** Whatever way frames take to a socket, they arrive whole and in order. */
import { once } from 'node:events';
import type net from 'node:net';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { OUTPUT_BYTES } from '../../../assembly/layout.ts';
import { encode } from '../../../host/proto/codec.ts';
import { Any } from '../../../host/proto/messages/google.ts';
import { BATCH_BYTES, FrameQueue, MAX_STREAM_QUEUED_BYTES } from '../../../host/ttrpc/frame-queue.ts';
import { frameMemory } from '../../../host/ttrpc/memory.ts';
import { DataFrame, encodeMetadata, encodeNames, type Frame, StatusFrame } from '../../../host/ttrpc/outgoing.ts';
import { connectTo } from '../../../host/ttrpc/socket.ts';
import { listen, socketPath, until } from './socket-fixture.ts';
import { DATA, frame, request, response } from './wire.ts';

const SEED = 20260110;
const NONE = new Uint8Array(0);

interface Setup {
  listener: net.Server;
  peer: net.Socket;
  socket: net.Socket;
  queue: FrameQueue;
}

const test = suite<Setup>('frame queue');

test.before.each(async (context) => {
  const path = socketPath();
  context.listener = await listen(path);
  const accepted = once(context.listener, 'connection') as Promise<[net.Socket]>;
  context.socket = connectTo(path, { buffer: () => new Uint8Array(1), received: () => {} });
  await once(context.socket, 'connect');
  [context.peer] = await accepted;
  context.queue = new FrameQueue(context.socket);
});

test.after.each(async ({ socket, peer, listener }) => {
  socket.destroy();
  peer.destroy();
  listener.close();
  await until(() => free());
});

function free(): boolean {
  const { output } = frameMemory();
  if (!output.acquire()) return false;
  output.release();
  return true;
}

/** One way of sending, and what it is to look like. */
type Step = readonly [kind: 'request' | 'response' | 'data' | 'push' | 'pushed status' | 'turn', size: number];

function send(queue: FrameQueue, [kind, size]: Step, stream: number): Buffer {
  const message = { type_url: `m${stream}`, value: Buffer.alloc(size, stream) };
  const payload = encode(Any, message);
  const metadata = { key: 'x'.repeat(stream % 90) };
  switch (kind) {
    case 'request': {
      const names = encodeNames('service', 'method');
      queue.stage(Any, message, names.length, true);
      queue.request(stream, stream % 3, names, stream, encodeMetadata(metadata));
      const pairs = Object.entries(metadata).map(([key, value]) => ({ key, value }));
      const value = { service: 'service', method: 'method', payload, timeout_nano: stream, metadata: pairs };
      return request(stream, value, stream % 3);
    }
    case 'response':
      queue.stage(Any, message, 0, true);
      queue.response(stream);
      return response(stream, { payload });
    case 'data':
      queue.stage(Any, message, 0, false);
      queue.data(stream, 0);
      return frame(stream, DATA, payload);
    case 'push':
      queue.push(new DataFrame(stream, 1, payload) as Frame);
      return frame(stream, DATA, payload, 1);
    default:
      queue.push(new StatusFrame(stream, { code: 5, message: 'x'.repeat(size % 300), details: NONE }));
      return response(stream, { status: { code: 5, message: 'x'.repeat(size % 300) } });
  }
}

test('any order of any sizes, with a peer that reads at times, and others that have the region', async (context) => {
  const { queue, peer } = context;
  const size = fc.oneof(
    { weight: 5, arbitrary: fc.nat(300) },
    { weight: 2, arbitrary: fc.nat(40_000) },
    fc.constantFrom(0x7a, 0x7b, 0x7c, 0x3ff8, 0x3ff9, BATCH_BYTES - 60, BATCH_BYTES, OUTPUT_BYTES - 60, OUTPUT_BYTES),
    fc.constant(1_000_000),
  );
  const kind = fc.constantFrom('request', 'response', 'data', 'push', 'pushed status', 'turn');
  const steps = fc.array(fc.tuple(kind, size) as fc.Arbitrary<Step>, { maxLength: 30 });
  await fc.assert(
    fc.asyncProperty(steps, fc.nat(3), async (plan, mood) => {
      let got = 0;
      const chunks: Buffer[] = [];
      const take = (chunk: Buffer): void => {
        chunks.push(chunk);
        got += chunk.length;
      };
      peer.on('data', take);
      if (mood === 1) peer.pause();
      else peer.resume();
      const held = mood === 2 && frameMemory().output.acquire();
      const expected: Buffer[] = [];
      for (const [i, step] of plan.entries()) {
        if (step[0] === 'turn') await new Promise((resolve) => setImmediate(resolve));
        else expected.push(send(queue, step, 2 * i + 1));
      }
      if (held) frameMemory().output.release();
      peer.resume();
      const wanted = Buffer.concat(expected);
      await until(() => got >= wanted.length);
      peer.off('data', take);
      assert.is(Buffer.compare(Buffer.concat(chunks), wanted), 0);
      await until(() => queue.length === 0 && free());
      assert.is(queue.bytes, 0);
    }),
    { seed: SEED, numRuns: 150 },
  );
});

test('a message that cannot be encoded leaves nothing behind', async ({ queue, peer }) => {
  send(queue, ['data', 10], 1);
  assert.throws(() => queue.stage(Any, { type_url: 'x', value: 'no bytes' as never }, 0, true));
  send(queue, ['data', 10], 3);
  const [chunk] = (await once(peer, 'data')) as [Buffer];
  const expected = Buffer.concat([1, 3].map((stream) => frame(stream, DATA, encodeMessage(stream))));
  assert.is(Buffer.compare(chunk, expected), 0);
});

function encodeMessage(stream: number): Uint8Array {
  return encode(Any, { type_url: `m${stream}`, value: Buffer.alloc(10, stream) });
}

test('streams wait for room, one after the other', async ({ queue, peer }) => {
  peer.pause();
  for (let stream = 1; queue.hasRoom; stream += 2) send(queue, ['data', 100_000], stream);
  assert.ok(queue.bytes >= MAX_STREAM_QUEUED_BYTES && queue.bytes < MAX_STREAM_QUEUED_BYTES + 100_100);
  const told: number[] = [];
  for (const name of [1, 2, 3]) {
    queue.whenRoom(() => {
      told.push(name);
      queue.push(new DataFrame(99, 0, new Uint8Array(MAX_STREAM_QUEUED_BYTES)));
    });
  }
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(told, []);
  peer.on('data', () => {}).resume();
  await until(() => told.length === 3);
  assert.equal(told, [1, 2, 3]);
});

test('a writer that fails costs the connection', async ({ queue, socket }) => {
  const broken = once(socket, 'error') as Promise<[Error]>;
  queue.push({ bytes: 10, put: () => 0 });
  assert.match((await broken)[0].message, 'more than the 10 bytes');
  assert.ok(socket.destroyed);
});

test('what is sent behind the end of the connection is dropped', async ({ queue, socket }) => {
  const gone = once(socket, 'close');
  socket.destroy();
  send(queue, ['response', 10], 1);
  await gone;
  send(queue, ['response', 10], 3);
  send(queue, ['push', 1_000_000], 5);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal([queue.length, queue.bytes], [0, 0]);
  assert.ok(free());
});

test.run();
