/** The agent's channel where a service names a unix socket for it. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { RemoteTransport } from '../../../host/agent/remote.ts';
import type { KataError } from '../../../host/error.ts';

interface Context {
  directory: string;
  path: string;
  server: Server;
  sockets: Socket[];
}

const remote = suite<Context>('remote agent socket');

remote.before.each((context) => {
  context.directory = mkdtempSync(join(tmpdir(), 'kata-remote-agent-'));
  context.path = join(context.directory, 'agent.sock');
  context.sockets = [];
  context.server = createServer((socket) => context.sockets.push(socket));
});

remote.after.each(({ directory, server, sockets }) => {
  for (const socket of sockets) socket.destroy();
  server.close();
  rmSync(directory, { recursive: true });
});

function failure(promise: Promise<unknown>): Promise<KataError> {
  return promise.then(
    () => {
      throw new Error('it should have failed');
    },
    (error: KataError) => error,
  );
}

remote('connects to the path that is known by then, and says nothing first', async (context) => {
  let path = '';
  const transport = new RemoteTransport(() => path);
  assert.equal(await transport.prepare(), { arguments: [], fds: [] });
  await once(context.server.listen(context.path), 'listening');
  path = context.path;
  const socket = await transport.connect(AbortSignal.timeout(5000));
  assert.is(transport.address, `remote://${context.path}`);
  socket.write('ours');
  const [accepted] = context.sockets.length > 0 ? context.sockets : await once(context.server, 'connection');
  const [data] = await once(accepted as Socket, 'data');
  assert.is(String(data), 'ours');
  socket.destroy();
});

remote('waits for a socket that comes late', async (context) => {
  const transport = new RemoteTransport(() => context.path);
  const connecting = transport.connect(AbortSignal.timeout(5000));
  // Long enough for an attempt to have failed.
  await new Promise((resolve) => setTimeout(resolve, 50));
  context.server.listen(context.path);
  (await connecting).destroy();
});

remote('gives up with the reason of the last attempt', async (context) => {
  const transport = new RemoteTransport(() => context.path);
  const { code, message } = await failure(transport.connect(AbortSignal.timeout(100)));
  assert.is(code, 'deadline_exceeded');
  assert.match(message, /timed out connecting to remote sock remote:\/\/.*agent\.sock.*ENOENT/);
});

remote('closed, it neither connects nor prepares', async (context) => {
  const transport = new RemoteTransport(() => context.path);
  const connecting = failure(transport.connect(AbortSignal.timeout(5000)));
  transport.close();
  transport.close();
  assert.is((await connecting).code, 'unavailable');
  assert.is((await failure(transport.prepare())).code, 'unavailable');
});

remote.run();
