/**
 * A live client whose peer is hostile: whatever comes back, every call settles with an answer or a KataError, output that is handed
 * over in pieces is what was sent and no more than was asked for, nothing stays behind, and the next connection works.
 */
import { ok, strictEqual } from 'node:assert/strict';
import type net from 'node:net';
import { TYPE_DATA, TYPE_RESPONSE } from '../../../assembly/layout.ts';
import { OutputPieces, outputOf } from '../../../host/agent/output.ts';
import { KataError } from '../../../host/error.ts';
import { encode } from '../../../host/proto/codec.ts';
import { ReadStreamRequest, ReadStreamResponse, StatsContainerResponse } from '../../../host/proto/messages/agent.ts';
import { Any } from '../../../host/proto/messages/google.ts';
import { Response } from '../../../host/proto/messages/ttrpc.ts';
import { TtrpcClient } from '../../../host/ttrpc/client.ts';
import type { StreamMethod } from '../../../host/ttrpc/types.ts';
import { listen, socketPath } from '../../unit/ttrpc/socket-fixture.ts';
import { bytesInUse } from '../heap.ts';
import { Random } from '../random.ts';
import type { Target } from '../target.ts';
import { makeBatch, RESPONSES, type Template } from '../traffic.ts';
import { HEAP_ROOM, within, writePieces } from '../wire.ts';

const SERVICE = 'test.Fuzz';
const TALK: StreamMethod<Any, Any> = [Any, Any, 'both'];
/** Cases before the heap is looked at for the first time. */
const WARM_UP = 512;
/** Bytes of output that are asked for. */
const MOST = 1000;

/** An answer that nobody waits for, and how many come together. */
const UNMATCHED = Uint8Array.of(0, 0, 0, 0, 0, 0, 0xff, 1, TYPE_RESPONSE, 0);
const FRAMES_BEFORE = 40;

const answers = [
  ...[0, 5, 900, 1000, 1001, 3000].map((length) =>
    encode(ReadStreamResponse, { data: new Uint8Array(length).fill(97) }),
  ),
  encode(Any, { type_url: 'type', value: new Uint8Array(30) }),
  encode(StatsContainerResponse, { network_stats: [{ name: 'eth0', rx_bytes: 5 }] }),
].map((payload): Template => ({ type: TYPE_RESPONSE, flags: 0, data: encode(Response, { payload }) }));
const data: readonly Template[] = [0, 1, 5].map((flags) => ({
  type: TYPE_DATA,
  flags,
  data: flags < 4 ? encode(Any, { type_url: 'data' }) : new Uint8Array(0),
}));
const templates: readonly Template[] = [...answers, ...answers, ...data, ...RESPONSES.slice(0, answers.length)];

export async function clientTarget(): Promise<Target> {
  const path = socketPath();
  const listener = await listen(path);
  let accept: (socket: net.Socket) => void = () => {};
  listener.on('connection', (socket) => {
    socket.on('error', () => {});
    socket.resume();
    accept(socket);
  });
  let cases = 0;
  let before = 0;
  let settled = 0;

  async function connected(): Promise<{ client: TtrpcClient; peer: net.Socket }> {
    const accepted = new Promise<net.Socket>((resolve) => {
      accept = resolve;
    });
    const client = await TtrpcClient.connect(path);
    return { client, peer: await accepted };
  }

  return {
    name: 'client',
    room: 8 * 1024,
    generate: (buffer, random) => {
      buffer.append(Uint8Array.of(random.u32()));
      // Now and then so many frames before it that the reader hands them over in halves.
      for (let n = random.once(6) ? FRAMES_BEFORE : 0; n > 0; n--) buffer.append(UNMATCHED);
      makeBatch(buffer, random, templates);
    },
    async check(input) {
      const bytes = input.slice(1);
      const random = new Random((input[0] ?? 0) + 256 * input.length);
      const { client, peer } = await connected();
      const calls = Promise.allSettled(callsOf(client, random));
      // Their requests leave before the answers come.
      await new Promise((resolve) => setImmediate(resolve));
      await writePieces(peer, bytes, random);
      peer.end();
      const outcomes = await within(calls, 'a call never settles');
      await within(client.closed, 'the client does not notice that the peer is gone');
      strictEqual(client.inFlight, 0, 'calls under way on a closed connection');
      for (const outcome of outcomes) {
        if (outcome.status === 'fulfilled') settled++;
        else if (!(outcome.reason instanceof KataError)) throw outcome.reason;
      }
      peer.destroy();
      if (++cases === WARM_UP) before = bytesInUse();
    },
    async finish() {
      listener.close();
      if (cases <= WARM_UP) return;
      ok(settled > cases / 10, `only ${settled} calls of ${cases} cases were answered: the cases are no good`);
      const grown = bytesInUse() - before;
      ok(grown < HEAP_ROOM, `${cases} cases left ${grown} bytes behind`);
    },
  };
}

/** Calls of each kind, on streams 1, 3, 5 …: as many as a batch has frames. */
function callsOf(client: TtrpcClient, random: Random): Promise<unknown>[] {
  return Array.from({ length: 6 }, async () => {
    switch (random.below(4)) {
      case 0:
        return client.call(SERVICE, 'Echo', [Any, Any], { type_url: 'x' });
      case 1:
        return client.call(SERVICE, 'Stats', [Any, StatsContainerResponse], {}, { timeoutMs: 10_000 });
      case 2:
        return readOutput(client);
      default: {
        const stream = client.stream(SERVICE, 'Talk', TALK);
        await stream.send({ type_url: 'y' });
        let messages = 0;
        for await (const _ of stream) messages++;
        return messages;
      }
    }
  });
}

async function readOutput(client: TtrpcClient): Promise<void> {
  let bytes = 0;
  const take = (piece: Uint8Array): void => {
    bytes += piece.length;
    ok(bytes <= MOST, `${bytes} bytes of output where ${MOST} were asked for`);
  };
  const pieces = new OutputPieces(MOST, take);
  const whole = (payload: Uint8Array): void => {
    if (pieces.bytes === 0) take(outputOf('stdout', payload, MOST));
  };
  await client.callView(SERVICE, 'ReadStdout', ReadStreamRequest, { len: MOST }, whole, { onPart: pieces.begin });
}
