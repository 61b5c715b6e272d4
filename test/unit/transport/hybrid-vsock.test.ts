import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { HybridVsockTransport, MAX_ANSWER_BYTES } from '../../../host/agent/hybrid-vsock.ts';
import type { KataError } from '../../../host/error.ts';

interface Context {
  directory: string;
  path: string;
  server: Server;
  sockets: Set<Socket>;
  /** What the VMM's end does with a connection, by its number. */
  serve: (socket: Socket, number: number) => void;
}

const hybrid = suite<Context>('hybrid vsock');

hybrid.before.each(async (context) => {
  context.directory = mkdtempSync(join(tmpdir(), 'kata-hybrid-'));
  context.path = join(context.directory, 'kata.hvsock');
  context.sockets = new Set();
  let number = 0;
  context.server = createServer((socket) => {
    context.sockets.add(socket);
    socket.on('error', () => {});
    context.serve(socket, number++);
  }).listen(context.path);
  await once(context.server, 'listening');
});

hybrid.after.each(({ directory, server, sockets }) => {
  for (const socket of sockets) socket.destroy();
  server.close();
  rmSync(directory, { recursive: true });
});

async function failure(promise: Promise<unknown>): Promise<KataError> {
  return promise.then(
    () => assert.unreachable('should have failed'),
    (error: KataError) => error,
  ) as Promise<KataError>;
}

hybrid('asks for the port, and hands on every byte after the answer', async (context) => {
  context.serve = (socket) =>
    socket.once('data', (line) => {
      assert.is(String(line), 'CONNECT 1024\n');
      socket.write('OK 1073741824\nfirst');
      socket.on('data', (data) => socket.write(data));
    });
  const transport = new HybridVsockTransport({ path: context.path });
  assert.is(transport.address, `hvsock://${context.path}:1024`);
  assert.equal(await transport.prepare(), { arguments: [], fds: [] });
  const socket = await transport.connect(AbortSignal.timeout(5000));
  let text = '';
  socket.on('data', (data) => {
    text += data;
  });
  socket.write(' echo');
  while (text.length < 10) await once(socket, 'data');
  assert.is(text, 'first echo');
  socket.destroy();
});

hybrid('other ports are dialled once: the debug console has one', async (context) => {
  const asked: string[] = [];
  context.serve = (socket, number) =>
    socket.once('data', (line) => {
      asked.push(String(line));
      if (number === 0) socket.write('OK 7\n# ');
      else socket.end();
    });
  const transport = new HybridVsockTransport({ path: context.path });
  const socket = await transport.dial(1026, AbortSignal.timeout(5000));
  assert.is(String((await once(socket, 'data'))[0]), '# ');
  socket.destroy();
  const { code, message } = await failure(transport.dial(1027, AbortSignal.timeout(5000)));
  assert.is(code, 'unavailable');
  assert.match(message, 'port 1027');
  assert.equal(asked, ['CONNECT 1026\n', 'CONNECT 1027\n']);
});

hybrid('an answer may come in pieces', async (context) => {
  context.serve = (socket) =>
    socket.once('data', async () => {
      for (const part of ['O', 'K 1', '024', '\n']) {
        socket.write(part);
        await new Promise((done) => setTimeout(done, 2));
      }
    });
  const socket = await new HybridVsockTransport({ path: context.path }).connect(AbortSignal.timeout(5000));
  socket.destroy();
});

for (const [what, serve] of [
  ['closes, since nobody listens yet', (socket: Socket) => socket.end()],
  ['closes at once', (socket: Socket) => socket.destroy()],
  ['answers otherwise', (socket: Socket) => socket.write('ERR nobody\n')],
  ['answers without end', (socket: Socket) => socket.write('O'.repeat(MAX_ANSWER_BYTES + 1))],
  ['does not answer in time', () => {}],
] as const) {
  hybrid(`is tried again when the VMM ${what}`, async (context) => {
    let connections = 0;
    context.serve = (socket, number) => {
      connections = number + 1;
      if (number < 2) serve(socket);
      else socket.write('OK 5\n');
    };
    const socket = await new HybridVsockTransport({ path: context.path, answerMs: 30 }).connect(
      AbortSignal.timeout(5000),
    );
    assert.is(connections, 3);
    socket.destroy();
  });
}

hybrid('gives up with the reason when the time is over', async (context) => {
  context.serve = (socket) => socket.write('NO \x1b[1m\n');
  const { code, message } = await failure(
    new HybridVsockTransport({ path: context.path }).connect(AbortSignal.timeout(50)),
  );
  assert.is(code, 'deadline_exceeded');
  assert.match(message, 'timed out connecting to hybrid vsocket');
  assert.match(message, '"NO \\x1b[1m" in answer to CONNECT');
});

hybrid('a socket that does not exist is a deadline too', async (context) => {
  const transport = new HybridVsockTransport({ path: join(context.directory, 'nothing') });
  assert.match((await failure(transport.connect(AbortSignal.timeout(50)))).message, /ENOENT/);
});

hybrid('closing ends an attempt and what serves it', async (context) => {
  let closed = 0;
  const serve = { prepare: async () => ({ arguments: ['-x'], fds: [] }), close: () => void closed++ };
  context.serve = () => {};
  const transport = new HybridVsockTransport({ path: context.path, serve, answerMs: 20 });
  assert.equal((await transport.prepare()).arguments, ['-x']);
  const connecting = failure(transport.connect(AbortSignal.timeout(5000)));
  transport.close();
  assert.is((await connecting).code, 'unavailable');
  assert.is(closed, 1);
});

hybrid.run();
