import { EventEmitter, once } from 'node:events';
import net from 'node:net';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { KataError } from '../../../host/error.ts';
import { Any } from '../../../host/proto/messages/google.ts';
import { TtrpcClient } from '../../../host/ttrpc/client.ts';
import { type Accepted, acceptConnections, type Reads } from '../../../host/ttrpc/socket.ts';
import { listen, RawPeer, socketPath, until } from './socket-fixture.ts';
import { frame, response } from './wire.ts';

const SEED = 20260105;

/** Reads into four bytes at a time. */
class SmallReads implements Reads {
  readonly #room = new Uint8Array(4);
  text = '';

  buffer(): Uint8Array {
    return this.#room;
  }

  received(length: number): void {
    this.text += Buffer.from(this.#room.subarray(0, length)).toString();
  }
}

const sockets = suite('sockets');

/** A server as later versions of Node might make it: without the handle we know. */
function opaque(server: net.Server): net.Server {
  const stranger = new EventEmitter() as net.Server;
  server.on('connection', (socket) => stranger.emit('connection', socket));
  return stranger;
}

for (const [what, make] of [
  ['a known handle', (server: net.Server) => server],
  ['an unknown handle', opaque],
] as const) {
  sockets(`accepted connections with ${what}: read, written, ended`, async () => {
    const path = socketPath();
    const server = await listen(path);
    const accepted: Accepted[] = [];
    acceptConnections(make(server), (one) => accepted.push(one));
    const peer = net.connect(path);
    await until(() => accepted.length === 1);
    assert.ok((accepted[0]?.fd ?? -1) > 2);
    const reads = new SmallReads();
    const socket = (accepted[0] as Accepted).open(reads);
    peer.write('more than four bytes');
    await until(() => reads.text === 'more than four bytes');
    const answered = once(peer, 'data');
    socket.write('answer');
    assert.is(String((await answered)[0]), 'answer');
    const closed = once(socket, 'close');
    peer.end();
    await closed;
    server.close();
  });

  sockets(`refused connections with ${what}`, async () => {
    const path = socketPath();
    const server = await listen(path);
    acceptConnections(make(server), (one) => one.refuse());
    const peer = net.connect(path).resume();
    await once(peer, 'close');
    server.close();
  });
}

sockets('a guest that writes anything: calls end, nothing throws', async () => {
  const path = socketPath();
  const listener = await listen(path);
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc
      .tuple(fc.nat(9), fc.nat(4), fc.nat(9), fc.uint8Array({ maxLength: 60 }))
      .map(([stream, type, flags, data]) => frame(stream, type, data, flags)),
    fc
      .tuple(fc.constantFrom(1, 3, 5), fc.uint8Array({ maxLength: 60 }))
      .map(([stream, payload]) => response(stream, { payload })),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(bytes, { maxLength: 8 }), async (chunks) => {
      const connection = once(listener, 'connection') as Promise<[net.Socket]>;
      const client = await TtrpcClient.connect(path);
      const peer = new RawPeer((await connection)[0]);
      const calls = [1, 2, 3].map(() =>
        client.call('a', 'b', [Any, Any], { type_url: 'x' }).catch((error: KataError) => error.code),
      );
      for (const chunk of chunks) peer.socket.write(chunk);
      peer.socket.end();
      for (const outcome of await Promise.all(calls)) {
        if (typeof outcome === 'string') assert.ok(['unavailable', 'internal'].includes(outcome), outcome);
      }
      await client.closed;
      assert.is(client.inFlight, 0);
      await peer.closed;
    }),
    { seed: SEED, numRuns: 200 },
  );
  listener.close();
});

sockets.run();
