/** The HTTP server behind the management socket: what slow, large and senseless clients get. */
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { KataError } from '../../../host/error.ts';
import { request } from '../../../host/management/client.ts';
import { type Route, Routes, type Upgrade } from '../../../host/management/route.ts';
import { type HttpLimits, HttpServer, MAX_HEAD_BYTES, MAX_UPGRADED } from '../../../host/management/server.ts';
import { KeptLog } from '../sandbox/fake-guest.ts';

interface Context {
  directory: string;
  path: string;
  listener: Server;
  http: HttpServer;
  log: KeptLog;
  serve: (limits?: Partial<HttpLimits>) => void;
}

const MAX_BODY = 1000;
const LARGE = 32 * 1024 * 1024;
let release: () => void = () => {};
/** Calls of `/hangs` so far. */
let hanging = 0;

async function until(condition: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 5));
}

const routes: Route[] = [
  { method: 'GET', path: '/hello', what: 'greets', act: () => ({ body: 'hello' }) },
  {
    method: 'PUT',
    path: '/echo',
    what: 'returns the body',
    maxBody: MAX_BODY,
    act: ({ body, query }) => ({ body: `${query.get('x') ?? ''}${body.toString()}` }),
  },
  { method: 'GET', path: '/large', what: 'is much', act: () => ({ body: Buffer.alloc(LARGE) }) },
  {
    method: 'GET',
    path: '/hangs',
    what: 'waits',
    act: () =>
      new Promise((resolve) => {
        hanging++;
        release = () => resolve({ body: 'at last' });
      }),
  },
  {
    method: 'GET',
    path: '/breaks',
    what: 'throws what nobody foresaw',
    act: () => {
      throw new TypeError('\u001b[31mnot an error of ours');
    },
  },
];
const console: Upgrade = async (asked, socket) => {
  if (asked.headers['x-refuse']) throw new KataError('permission_denied', 'not you');
  socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: test\r\n\r\n');
  socket.pipe(socket);
};

const test = suite<Context>('HTTP server of the management socket');

test.before.each(async (context) => {
  context.directory = mkdtempSync(join(tmpdir(), 'kata-http-'));
  context.path = join(context.directory, 's');
  context.log = new KeptLog();
  context.serve = (limits = {}) => {
    context.http = new HttpServer(new Routes(routes, new Map([['/console', console]])), context.log, limits);
  };
  context.serve();
  context.listener = createServer((socket) => context.http.take(socket));
  await new Promise<void>((resolve) => context.listener.listen(context.path, resolve));
});
test.after.each(({ http, listener, directory }) => {
  http.close();
  listener.close();
  rmSync(directory, { recursive: true });
});

/** Everything a connection answers until its end. */
function told(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    socket.on('data', (data: Buffer) => {
      text += data.toString('latin1');
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve(text));
  });
}

function say(path: string, text: string): Promise<string> {
  const socket = connect(path);
  socket.write(text);
  return told(socket);
}

const statusOf = (text: string): string => text.split(' ')[1] ?? '';

test('one request a connection, with any host or none', async ({ path }) => {
  for (const head of ['Host: shim\r\n', 'Host: anything.at:80\r\n', '']) {
    const text = await say(path, `GET /hello HTTP/1.1\r\n${head}\r\nGET /hello HTTP/1.1\r\n\r\n`);
    assert.is(text.match(/HTTP\/1\.1 200 OK/g)?.length, 1);
    assert.match(text, /\r\n\r\nhello$/);
  }
  assert.match(await say(path, 'GET /hello HTTP/1.0\r\n\r\n'), /200 OK[\s\S]*hello$/);
});

test('bodies, by length and in chunks, up to the limit', async ({ path }) => {
  assert.match(await say(path, 'PUT /echo?x=1 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc'), /\r\n1abc$/);
  const chunked = 'PUT /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n';
  assert.match(await say(path, `${chunked}3\r\nabc\r\n0\r\n\r\n`), /\r\nabc$/);
  // As curl asks before it sends much.
  const waiting = connect(path);
  waiting.write('PUT /echo HTTP/1.1\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n');
  const continued = new Promise<Buffer>((resolve) => waiting.once('data', resolve));
  assert.match((await continued).toString(), /^HTTP\/1\.1 100 /);
  waiting.write('abc');
  assert.match(await told(waiting), /\r\nabc$/);
  const full = 'x'.repeat(MAX_BODY);
  assert.ok((await say(path, `PUT /echo HTTP/1.1\r\nContent-Length: ${MAX_BODY}\r\n\r\n${full}`)).endsWith(full));
  const more = MAX_BODY + 1;
  assert.is(statusOf(await say(path, `PUT /echo HTTP/1.1\r\nContent-Length: ${more}\r\n\r\n`)), '413');
  assert.is(statusOf(await say(path, `${chunked}${more.toString(16)}\r\n${full}x\r\n0\r\n\r\n`)), '413');
  assert.is(statusOf(await say(path, `GET /hello HTTP/1.1\r\nContent-Length: 1025\r\n\r\n`)), '413');
});

test('what is no HTTP, and heads that do not end', async ({ path }) => {
  assert.is(statusOf(await say(path, '\0\u0001\u0002\u0003\r\n\r\n')), '400');
  assert.is(
    statusOf(await say(path, 'GET /hello HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n')),
    '400',
  );
  const long = `GET /hello HTTP/1.1\r\nX: ${'x'.repeat(MAX_HEAD_BYTES)}`;
  assert.is(statusOf(await say(path, long)), '431');
  assert.is(statusOf(await say(path, `GET /${'x'.repeat(2 * MAX_HEAD_BYTES)} HTTP/1.1\r\n\r\n`)), '431');
});

test('whoever takes long over a request is told so and let go', async ({ path, serve }) => {
  serve({ askMs: 50 });
  for (const part of [
    '',
    'GET /hel',
    'GET /hello HTTP/1.1\r\nX: y\r\n',
    'PUT /echo HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc',
  ]) {
    const text = await say(path, part);
    assert.is(statusOf(text), '408', JSON.stringify(part));
  }
});

test('slow ones make room for others; those under way do not', async ({ path, serve }) => {
  serve({ maxConnections: 4 });
  const slow = Array.from({ length: 4 }, () => say(path, 'GET /hel'));
  const answer = await request(path, { method: 'GET', path: '/hello' });
  assert.is(answer.body.toString(), 'hello');
  assert.is(await slow[0], '', 'the oldest has gone');
  serve({ maxConnections: 1 });
  const before = hanging;
  const waiting = say(path, 'GET /hangs HTTP/1.1\r\n\r\n');
  await until(() => hanging > before);
  const refused = await request(path, { method: 'GET', path: '/hello' });
  assert.is(refused.status, 503);
  release();
  assert.match(await waiting, /at last$/);
});

test('an answer that nobody takes is given up', async ({ path, serve }) => {
  serve({ answerMs: 100, maxConnections: 1 });
  const socket = connect(path);
  socket.write('GET /large HTTP/1.1\r\n\r\n');
  socket.pause();
  // Once it is given up there is room again.
  for (;;) {
    const { status } = await request(path, { method: 'GET', path: '/hello' });
    if (status === 200) break;
    assert.is(status, 503);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  socket.destroy();
  const answer = await request(path, { method: 'GET', path: '/large', maxBytes: 1000 }).catch(
    (thrown: KataError) => thrown,
  );
  assert.is((answer as KataError).code, 'resource_exhausted');
});

test('what nobody foresaw is an error of that request alone', async ({ path }) => {
  const { status, body } = await request(path, { method: 'GET', path: '/breaks' });
  assert.equal([status, body.toString()], [500, '\\x1b[31mnot an error of ours\n']);
  assert.is((await request(path, { method: 'GET', path: '/hello' })).status, 200);
});

test('a client that goes before its answer comes leaves nothing', async ({ path, serve }) => {
  serve({ maxConnections: 1 });
  const socket = connect(path);
  const before = hanging;
  socket.write('GET /hangs HTTP/1.1\r\n\r\n');
  await until(() => hanging > before);
  socket.destroy();
  await until(async () => (await request(path, { method: 'GET', path: '/hello' })).status === 200);
  release();
  assert.is((await request(path, { method: 'GET', path: '/hello' })).status, 200);
});

test('upgrades: taken over, refused, and not too many', async ({ path, http }) => {
  const ask = (more = ''): string => `GET /console HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: test\r\n${more}\r\n`;
  const refused = await say(path, ask('X-Refuse: 1\r\n'));
  assert.match(refused, /^HTTP\/1\.1 403 [\s\S]*not you\n$/);
  assert.is(statusOf(await say(path, ask().replace('/console', '/hello'))), '404');
  const open: Socket[] = [];
  for (let n = 0; n < MAX_UPGRADED; n++) {
    const socket = connect(path);
    socket.write(ask());
    await new Promise((resolve) => socket.once('data', resolve));
    open.push(socket);
  }
  assert.is(statusOf(await say(path, ask())), '503');
  const [first] = open;
  assert.ok(first);
  const echoed = new Promise<Buffer>((resolve) => first.once('data', resolve));
  first.write('still there');
  assert.is((await echoed).toString(), 'still there');
  const ends = open.map((socket) => told(socket));
  http.close();
  await Promise.all(ends);
});

test('the client: nobody listens, no answer, half an answer', async ({ directory, path }) => {
  const failure = (options: object, socket = path): Promise<KataError> =>
    request(socket, { method: 'GET', path: '/hello', ...options }).then(
      () => assert.unreachable('it did not fail'),
      (thrown: KataError) => thrown,
    ) as Promise<KataError>;
  const absent = await failure({}, join(directory, 'absent'));
  assert.is(absent.code, 'unavailable');
  assert.match(absent.message, /the sandbox has ended/);
  const late = await failure({ path: '/hangs', timeoutMs: 50 });
  assert.is(late.code, 'deadline_exceeded');
  const half = join(directory, 'half');
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.end('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf');
  });
  await new Promise<void>((resolve) => server.listen(half, resolve));
  assert.is((await failure({}, half)).code, 'unavailable');
  server.close();
});

test.run();
