import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { core } from '../../../host/core/core.ts';
import { decode, encode } from '../../../host/proto/codec.ts';
import { Any } from '../../../host/proto/messages/google.ts';
import { TtrpcServer } from '../../../host/ttrpc/server.ts';
import { service } from '../../../host/ttrpc/types.ts';
import { listen, RawPeer, socketPath } from '../ttrpc/socket-fixture.ts';
import { request } from '../ttrpc/wire.ts';
import { TRAPS, trapBy } from './trapping.ts';

const EchoService = { Echo: [Any, Any] } as const;

function echo(stream: number, text: string): Buffer {
  const payload = encode(Any, { type_url: text });
  return request(stream, { service: 'test.Echo', method: 'Echo', payload });
}

test('a trap closes the connection it came from; others and later ones are served', async () => {
  const server = new TtrpcServer([service('test.Echo', EchoService, { Echo: (value) => value })]);
  const path = socketPath();
  server.adopt(await listen(path));
  const first = await RawPeer.connect(path);
  const second = await RawPeer.connect(path);
  const answers = async (peer: RawPeer, stream: number): Promise<void> => {
    peer.write(echo(stream, `call ${stream}`));
    assert.is(decode(Any, (await peer.response()).payload).type_url, `call ${stream}`);
  };
  await answers(first, 1);
  await answers(second, 1);

  trapBy(TRAPS['out of bounds']);
  first.write(echo(3, 'x'));
  await first.closed;
  assert.match(core().traps.first?.message ?? '', /trapped in scanFrames/);

  // The instance still traps, and is not asked any more.
  await answers(second, 3);
  const third = await RawPeer.connect(path);
  await answers(third, 1);
  second.socket.destroy();
  third.socket.destroy();
  await server.close();
});

test.run();
