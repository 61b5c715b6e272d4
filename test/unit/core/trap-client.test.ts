import { once } from 'node:events';
import type net from 'node:net';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KataError } from '../../../host/error.ts';
import { encode } from '../../../host/proto/codec.ts';
import { Any } from '../../../host/proto/messages/google.ts';
import { TtrpcClient } from '../../../host/ttrpc/client.ts';
import { listen, RawPeer, socketPath } from '../ttrpc/socket-fixture.ts';
import { response } from '../ttrpc/wire.ts';
import { TRAPS, trapBy } from './trapping.ts';

test('a trap fails the calls of its connection; the next connection works', async () => {
  const path = socketPath();
  const listener = await listen(path);
  const connected = async (): Promise<{ client: TtrpcClient; peer: RawPeer }> => {
    const accepted = once(listener, 'connection') as Promise<[net.Socket]>;
    const client = await TtrpcClient.connect(path);
    return { client, peer: new RawPeer((await accepted)[0]) };
  };
  const answer = async (peer: RawPeer, before?: () => void): Promise<void> => {
    const { stream } = await peer.next();
    before?.();
    peer.write(response(stream, { payload: encode(Any, { type_url: 'answer' }) }));
  };
  const call = (client: TtrpcClient): Promise<Any> => client.call('test.Echo', 'Echo', [Any, Any], {});

  const { client, peer } = await connected();
  const failed = call(client).catch((error: unknown) => error);
  // Not before the request is written: a writer that traps costs nothing.
  await answer(peer, () => trapBy(TRAPS.unreachable));
  const error = await failed;
  assert.instance(error, KataError);
  assert.is((error as KataError).code, 'unavailable');
  assert.match((error as KataError).message, /trapped in scanFrames/);
  assert.match((await client.closed)?.message ?? '', /trapped in scanFrames/);

  const next = await connected();
  const answered = call(next.client);
  await answer(next.peer);
  assert.is((await answered).type_url, 'answer');
  next.client.close();
  peer.socket.destroy();
  next.peer.socket.destroy();
  listener.close();
});

test.run();
