/** Pods' names: from a CRI that answers, refuses, hangs or is none. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Http2Server, type ServerHttp2Stream } from 'node:http2';
import { createServer as createPlain, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { KataError } from '../../../host/error.ts';
import { listPods } from '../../../host/monitor/cri.ts';
import type { Found } from '../../../host/monitor/discover.ts';
import { MonitorLog } from '../../../host/monitor/log.ts';
import { ASK_INTERVAL_MS, Pods, UNKNOWN_INTERVAL_MS } from '../../../host/monitor/pods.ts';
import { encode, message } from '../../../host/proto/codec.ts';

interface Context {
  directory: string;
  socket: string;
  close: (() => void)[];
}

const test = suite<Context>('pods from the CRI');
const POD = { name: 'web-0', namespace: 'shop', uid: 'u-1' };

const Metadata = message<{ name: string; uid: string; namespace: string; attempt: number }>('M', () => [
  [1, 'name', 'string'],
  [2, 'uid', 'string'],
  [3, 'namespace', 'string'],
  [4, 'attempt', 'uint32'],
]);
const Item = message<{ id: string; metadata: unknown; state: number; runtime_handler: string }>('I', () => [
  [1, 'id', 'string'],
  [2, 'metadata', Metadata],
  [3, 'state', 'int32'],
  [7, 'runtime_handler', 'string'],
]);
const Reply = message<{ items: unknown[] }>('R', () => [[1, 'items', Item, 'repeated']]);

test.before.each((context) => {
  context.directory = mkdtempSync(join(tmpdir(), 'kata-cri-'));
  context.socket = join(context.directory, 'cri.sock');
  context.close = [];
});
test.after.each(({ directory, close }) => {
  for (const each of close) each();
  rmSync(directory, { recursive: true, force: true });
});

/** Serves gRPC; returns the requests that came. */
async function serve(context: Context, answer: (stream: ServerHttp2Stream) => void): Promise<Buffer[]> {
  const requests: Buffer[] = [];
  const server: Http2Server = createServer();
  server.on('session', (session) => {
    session.on('error', () => {});
    context.close.push(() => session.destroy());
  });
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    assert.is(headers[':path'], '/runtime.v1.RuntimeService/ListPodSandbox');
    stream.on('data', (part: Buffer) => requests.push(part));
    stream.on('end', () => answer(stream));
  });
  context.close.push(() => server.close());
  await new Promise<void>((resolve) => server.listen(context.socket, resolve));
  return requests;
}

function reply(
  stream: ServerHttp2Stream,
  body: Uint8Array,
  trailers: Record<string, string> = { 'grpc-status': '0' },
): void {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers(trailers));
  stream.end(body);
}

function framed(items: unknown[]): Buffer {
  const bytes = encode(Reply, { items } as never);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

const ITEMS = [{ id: 'aaaa', metadata: { ...POD, attempt: 3 }, state: 0, runtime_handler: 'kata' }, { id: 'bare' }];

async function code(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (thrown) {
    return (thrown as KataError).code;
  }
  throw new Error('it did not fail');
}

test('pods that are ready are asked for and read', async (context) => {
  const requests = await serve(context, (stream) => reply(stream, framed(ITEMS)));
  assert.equal([...(await listPods(context.socket))], [['aaaa', POD]]);
  assert.is(Buffer.concat(requests).toString('hex'), '00000000040a021200');
});

test('a refusal, rubbish, silence and absence are errors', async (context) => {
  let answer: (stream: ServerHttp2Stream) => void = () => {};
  await serve(context, (stream) => answer(stream));
  answer = (stream) => reply(stream, Buffer.alloc(0), { 'grpc-status': '12', 'grpc-message': 'unknown service' });
  assert.is(await code(listPods(context.socket)), 'unavailable');
  answer = (stream) => reply(stream, framed(ITEMS), {});
  assert.is(await code(listPods(context.socket)), 'unavailable');
  answer = (stream) => reply(stream, framed(ITEMS).subarray(0, 9));
  assert.is(await code(listPods(context.socket)), 'unavailable');
  answer = (stream) => reply(stream, Buffer.from([0, 0, 0, 0, 2, 0x0a, 0xff]));
  assert.is(await code(listPods(context.socket)), 'data_loss');
  answer = () => {};
  assert.is(await code(listPods(context.socket, 50)), 'deadline_exceeded');
  assert.is(await code(listPods(`${context.socket}.none`)), 'unavailable');
});

test('a server that is no CRI is an error', async (context) => {
  const sockets: Socket[] = [];
  const server: Server = createPlain((socket) => {
    socket.on('error', () => {});
    sockets.push(socket);
    socket.write('HTTP/1.1 400 Bad Request\r\n\r\n');
  });
  context.close.push(
    () => server.close(),
    () => void sockets.map((socket) => socket.destroy()),
  );
  await new Promise<void>((resolve) => server.listen(context.socket, resolve));
  assert.is(await code(listPods(context.socket, 500)), 'unavailable');
});

function found(id: string, pod?: typeof POD): Found {
  return { id, pod, key: id, socket: '', timeline: undefined };
}

test('the CRI is asked seldom, and not at all for sandboxes that know their pod', async (context) => {
  let now = 0;
  const requests = await serve(context, (stream) => reply(stream, framed(ITEMS)));
  const pods = new Pods(context.socket, new MonitorLog('panic'), () => now);
  const ask = async (...sandboxes: Found[]) => Object.fromEntries(await pods.namesOf(sandboxes));
  assert.equal(await ask(found('own', POD)), { own: POD });
  assert.is(requests.length, 0);
  assert.equal(await ask(found('aaaa')), { aaaa: POD });
  assert.equal(await ask(found('aaaa'), found('none')), { aaaa: POD });
  assert.is(requests.length, 1, 'it was asked just now');
  now += ASK_INTERVAL_MS;
  await ask(found('aaaa'), found('none'));
  assert.is(requests.length, 2);
  now += ASK_INTERVAL_MS * 3;
  await ask(found('aaaa'), found('none'));
  assert.is(requests.length, 2, 'it does not know this one');
  now += UNKNOWN_INTERVAL_MS;
  await ask(found('aaaa'), found('none'));
  assert.is(requests.length, 3);
});

test('a CRI that does not answer costs names, and one line of the log', async ({ socket }) => {
  let now = 0;
  const lines: string[] = [];
  const pods = new Pods(socket, new MonitorLog('info', (line) => lines.push(line)), () => now);
  for (let i = 0; i < 5; i++) {
    assert.is((await pods.namesOf([found('aaaa')])).size, 0);
    now += ASK_INTERVAL_MS;
  }
  assert.is(lines.length, 1);
  assert.match(lines[0] as string, 'level=warn');
});

test.run();
