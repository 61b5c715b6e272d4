/** Reads of output over a connection: the answers' bytes, whole and in order, however they arrive and whatever the guest sends. */
import { once } from 'node:events';
import type { Server, Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { FRAME_HEADER_BYTES } from '../../../assembly/layout.ts';
import { AgentClient } from '../../../host/agent/client.ts';
import { KataError } from '../../../host/error.ts';
import { decode, encode } from '../../../host/proto/codec.ts';
import { ReadStreamRequest, ReadStreamResponse, WaitProcessResponse } from '../../../host/proto/messages/agent.ts';
import { Request } from '../../../host/proto/messages/ttrpc.ts';
import { TtrpcClient } from '../../../host/ttrpc/client.ts';
import { MAX_DATA_BYTES } from '../../../host/ttrpc/types.ts';
import { listen, RawPeer, socketPath } from '../ttrpc/socket-fixture.ts';
import { frame, RESPONSE, response } from '../ttrpc/wire.ts';

const REF = { container_id: 'c', exec_id: 'e' };
const MIB = 1024 * 1024;

interface Setup {
  listener: Server;
  client: TtrpcClient;
  agent: AgentClient;
  guest: RawPeer;
}

const test = suite<Setup>('output over a connection');

test.before.each(async (context) => {
  const path = socketPath();
  context.listener = await listen(path);
  const accepted = once(context.listener, 'connection') as Promise<[Socket]>;
  context.client = await TtrpcClient.connect(path);
  context.agent = new AgentClient(context.client);
  context.guest = new RawPeer((await accepted)[0]);
});

test.after.each(({ client, guest, listener }) => {
  client.close();
  guest.socket.destroy();
  listener.close();
});

/** One read: its pieces, and how it ends. */
class Read {
  readonly pieces: Buffer[] = [];
  readonly ends: Promise<number | KataError>;
  constructor(agent: AgentClient, length: number) {
    const onPiece = (data: Uint8Array) => void this.pieces.push(Buffer.from(data));
    this.ends = agent.readPieces('ReadStdout', REF, length, onPiece).catch((error: KataError) => error);
  }
  get data(): Buffer {
    return Buffer.concat(this.pieces);
  }
}

function pattern(size: number, seed: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let i = 0; i < size; i++) bytes[i] = (i * 31 + seed + (i >> 8)) & 0xff;
  return bytes;
}

function answer(stream: number, data: Uint8Array): Uint8Array {
  return response(stream, { payload: encode(ReadStreamResponse, { data }) });
}

/** Writes in parts that arrive one by one. */
async function inParts(guest: RawPeer, bytes: Uint8Array, sizes: readonly number[]): Promise<void> {
  let at = 0;
  for (let i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length] as number;
    guest.write(bytes.subarray(at, at + size));
    at += size;
    await turn();
    await turn();
  }
}

test('answers of any size, cut anywhere, between answers of other calls', async ({ agent, guest }) => {
  const sizes = [1, 100, 70_000, 256 * 1024, MIB];
  for (const cuts of [[1_000_000_000], [16, 100_000], [9, 1, 3, 50_000], [65_536, 7]]) {
    const reads = sizes.map(() => new Read(agent, MIB));
    const wait = agent.wait(REF);
    const asked: number[] = [];
    for (let i = 0; i < sizes.length; i++) {
      const { stream, data } = await guest.next();
      const request = decode(ReadStreamRequest, decode(Request, data).payload);
      assert.equal([request.container_id, request.exec_id, request.len], ['c', 'e', MIB]);
      asked.push(stream);
    }
    const waiting = (await guest.next()).stream;
    const data = sizes.map((size, i) => pattern(size, i));
    const frames = data.map((bytes, i) => answer(asked[i] as number, bytes));
    frames.splice(3, 0, response(waiting, { payload: encode(WaitProcessResponse, { status: 7 }) }));
    await inParts(guest, Buffer.concat(frames), cuts);
    for (const [i, read] of reads.entries()) {
      assert.is(await read.ends, sizes[i]);
      assert.ok(read.data.equals(data[i] as Buffer), `${sizes[i]} bytes in parts of ${cuts}`);
      assert.ok(read.pieces.every(({ length }) => length > 0));
    }
    assert.is(await wait, 7);
  }
});

test('a large answer is handed over before it is complete', async ({ agent, guest }) => {
  const read = new Read(agent, MIB);
  const { stream } = await guest.next();
  const bytes = answer(stream, pattern(MIB, 1));
  guest.write(bytes.subarray(0, MIB / 2));
  while (read.data.length < MIB / 2 - 100) await turn();
  guest.write(bytes.subarray(MIB / 2));
  assert.is(await read.ends, MIB);
  assert.ok(read.data.equals(pattern(MIB, 1)));
});

test('the end of file, also with an empty field', async ({ agent, guest }) => {
  for (const payload of [[], [0x0a, 0], [0x10, 1]]) {
    const read = new Read(agent, MIB);
    const { stream } = await guest.next();
    await inParts(guest, response(stream, { payload: Buffer.from(payload) }), [5]);
    assert.is(await read.ends, 0);
    assert.is(read.pieces.length, 0);
  }
});

test('an answer of another shape is taken once it is complete: the last data counts', async ({ agent, guest }) => {
  const read = new Read(agent, MIB);
  const { stream } = await guest.next();
  const field = (data: Buffer) => encode(ReadStreamResponse, { data });
  const payload = Buffer.concat([field(pattern(300_000, 1)), field(pattern(400_000, 2))]);
  await inParts(guest, response(stream, { payload }), [100_000]);
  assert.is(await read.ends, 400_000);
  assert.ok(read.data.equals(pattern(400_000, 2)));
});

test('more than was asked for is data loss, and nothing of it is handed over', async ({ agent, guest, client }) => {
  for (const size of [1001, 300_000, MAX_DATA_BYTES - 20]) {
    const read = new Read(agent, 1000);
    const { stream } = await guest.next();
    await inParts(guest, answer(stream, Buffer.alloc(size)), [200_000]);
    const error = await read.ends;
    assert.ok(error instanceof KataError && error.code === 'data_loss', String(error));
    assert.is(read.pieces.length, 0);
  }
  assert.is(client.inFlight, 0);
});

test('what is no ReadStreamResponse is data loss', async ({ agent, guest }) => {
  for (const payload of [[0x0a, 5, 1], [0x0a], [0x0c], [0xff]]) {
    const read = new Read(agent, 1000);
    const { stream } = await guest.next();
    guest.write(response(stream, { payload: Buffer.from(payload) }));
    const error = await read.ends;
    assert.ok(error instanceof KataError && error.code === 'data_loss', String(error));
  }
});

test('a connection that breaks in the middle of an answer fails the read', async ({ agent, guest, client }) => {
  const read = new Read(agent, MIB);
  const { stream } = await guest.next();
  guest.write(answer(stream, pattern(MIB, 3)).subarray(0, 500_000));
  while (read.data.length < 400_000) await turn();
  guest.socket.destroy();
  const error = await read.ends;
  assert.ok(error instanceof KataError && error.code === 'unavailable', String(error));
  assert.ok(read.data.equals(pattern(MIB, 3).subarray(0, read.data.length)));
  assert.is(client.inFlight, 0);
});

test('heads that promise what does not come are no pieces', async ({ agent, guest, client }) => {
  const read = new Read(agent, MIB);
  const { stream } = await guest.next();
  // The payload is said to be longer than the frame, and than what is asked for.
  const lie = Buffer.concat([Buffer.from([0x12, 0xff, 0xff, 0x3f, 0x0a, 0xfb, 0xff, 0x3f]), Buffer.alloc(50_000)]);
  await inParts(guest, frame(stream, RESPONSE, lie), [FRAME_HEADER_BYTES + 20, 1000]);
  const error = await read.ends;
  assert.ok(error instanceof KataError && error.code === 'unavailable', String(error));
  assert.is(read.pieces.length, 0);
  assert.is(client.inFlight, 0);
});

test.run();
