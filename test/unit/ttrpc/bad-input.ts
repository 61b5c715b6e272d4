/**
 * What peers may send that they should not, frame by frame, and what the protocol's answer is: at call level, where one
 * stream id is answered and all others go on, or at connection level. One list; files beside this run it on each build
 * of the core and on its JavaScript twin.
 */
import { once } from 'node:events';
import type net from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { CODES, type Code } from '../../../host/error.ts';
import { decode, encode } from '../../../host/proto/codec.ts';
import { Any } from '../../../host/proto/messages/google.ts';
import { Response } from '../../../host/proto/messages/ttrpc.ts';
import { TtrpcClient } from '../../../host/ttrpc/client.ts';
import { TtrpcServer } from '../../../host/ttrpc/server.ts';
import { StatusError } from '../../../host/ttrpc/status.ts';
import { type ClientStream, MAX_DATA_BYTES, service } from '../../../host/ttrpc/types.ts';
import { failure } from './failure.ts';
import { listen, RawPeer, socketPath, until } from './socket-fixture.ts';
import { DATA, frame, REQUEST, RESPONSE, request, response } from './wire.ts';

const SERVICE = 'test.Bad';
const Methods = {
  Unary: [Any, Any],
  Sum: [Any, Any, 'client'],
  Count: [Any, Any, 'server'],
  Echo: [Any, Any, 'both'],
} as const;

const CLOSED = 1;
const OPEN = 2;
const NO_DATA = 4;
const NONE = Buffer.alloc(0);
const X = Buffer.from(encode(Any, { type_url: 'x' }));
const TEN_FF = new Array(10).fill(0xff) as number[];

function open(stream: number, method: string, flags: number, payload: Uint8Array = NONE): Buffer {
  return request(stream, { service: SERVICE, method, payload }, flags);
}

function call(stream: number): Buffer {
  return open(stream, 'Unary', 0, X);
}

/** An answer: its stream id, and the code of its status, or what a data frame is. */
type Answer = readonly [stream: number, what: Code | 'message' | 'end'];

/** Frames that a client sends to a server, and all that it is answered. */
const TO_SERVER: Readonly<Record<string, { frames: readonly Buffer[]; answers: readonly Answer[] }>> = {
  'an oversized request': {
    frames: [frame(1, REQUEST, Buffer.alloc(MAX_DATA_BYTES + 1))],
    answers: [[1, 'resource_exhausted']],
  },
  'an oversized message ends its stream': {
    frames: [open(1, 'Echo', OPEN), frame(1, DATA, Buffer.alloc(MAX_DATA_BYTES + 1)), frame(1, DATA, X)],
    answers: [
      [1, 'resource_exhausted'],
      [1, 'invalid_argument'],
    ],
  },
  'an oversized frame of a reserved type': {
    frames: [frame(1, 9, Buffer.alloc(MAX_DATA_BYTES + 1))],
    answers: [[1, 'resource_exhausted']],
  },
  'reserved types are for later versions': {
    frames: [frame(1, 0, X), frame(1, 4, X), frame(1, 255, X), frame(1, RESPONSE, X), frame(1, RESPONSE, NONE)],
    answers: [],
  },
  'reserved flags too': {
    frames: [open(1, 'Unary', 0xf8, X), open(3, 'Echo', 0xf8 | OPEN), frame(3, DATA, X, 0xf8)],
    answers: [
      [1, 'ok'],
      [3, 'message'],
    ],
  },
  "a server's stream ids": {
    frames: [call(2), call(0), frame(4, DATA, X), frame(6, 77, X)],
    answers: [
      [2, 'invalid_argument'],
      [0, 'invalid_argument'],
      [4, 'invalid_argument'],
      [6, 'invalid_argument'],
    ],
  },
  'stream ids twice, and falling': {
    frames: [call(5), call(5), call(3)],
    answers: [
      [5, 'ok'],
      [5, 'invalid_argument'],
      [3, 'invalid_argument'],
    ],
  },
  'the id of a stream that is open ends it': {
    frames: [open(1, 'Echo', OPEN), call(1), frame(1, DATA, X)],
    answers: [
      [1, 'invalid_argument'],
      [1, 'invalid_argument'],
    ],
  },
  'messages for no stream, for a call, and behind the end': {
    frames: [frame(1, DATA, X), call(1), frame(1, DATA, X)],
    answers: [
      [1, 'invalid_argument'],
      [1, 'ok'],
      [1, 'invalid_argument'],
    ],
  },
  'a message behind the last one': {
    frames: [open(1, 'Sum', OPEN), frame(1, DATA, NONE, CLOSED | NO_DATA), frame(1, DATA, X)],
    answers: [[1, 'invalid_argument']],
  },
  'the end twice': {
    frames: [open(1, 'Sum', OPEN), frame(1, DATA, NONE, CLOSED | NO_DATA), frame(1, DATA, NONE, CLOSED | NO_DATA)],
    answers: [[1, 'invalid_argument']],
  },
  'a message for a stream whose request was the last': {
    frames: [open(1, 'Echo', CLOSED, X), frame(1, DATA, X)],
    answers: [[1, 'invalid_argument']],
  },
  'a message that says it is none': {
    frames: [open(1, 'Echo', OPEN), frame(1, DATA, X, NO_DATA)],
    answers: [[1, 'invalid_argument']],
  },
  'a last message that is one': {
    frames: [open(1, 'Echo', OPEN), frame(1, DATA, X, CLOSED)],
    answers: [
      [1, 'message'],
      [1, 'end'],
    ],
  },
  'a frame without data that is not the last': {
    frames: [open(1, 'Echo', OPEN), frame(1, DATA, NONE, NO_DATA), frame(1, DATA, X)],
    answers: [[1, 'message']],
  },
  'a stream for a method that is none': {
    frames: [open(1, 'Unary', OPEN, X), frame(1, DATA, X)],
    answers: [
      [1, 'unimplemented'],
      [1, 'invalid_argument'],
    ],
  },
  'a call of a method that streams': {
    frames: [open(1, 'Sum', 0, X), open(3, 'Echo', 0, X), open(5, 'Count', 0, X)],
    answers: [
      [1, 'ok'],
      [3, 'message'],
      [3, 'end'],
      [5, 'message'],
      [5, 'end'],
    ],
  },
  'interleaved streams': {
    frames: [
      open(1, 'Echo', OPEN),
      open(3, 'Sum', OPEN),
      frame(1, DATA, X),
      frame(3, DATA, X),
      call(5),
      frame(3, DATA, NONE, CLOSED | NO_DATA),
      frame(1, DATA, NONE, CLOSED | NO_DATA),
    ],
    answers: [
      [5, 'ok'],
      [1, 'message'],
      [3, 'ok'],
      [1, 'end'],
    ],
  },
  'a varint of more than 10 bytes': {
    frames: [frame(1, REQUEST, Buffer.from([0x20, ...TEN_FF, 0]))],
    answers: [[1, 'invalid_argument']],
  },
  'a length beyond the frame': {
    frames: [frame(1, REQUEST, Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]))],
    answers: [[1, 'invalid_argument']],
  },
  'nested groups': {
    frames: [
      frame(1, REQUEST, Buffer.concat([encodeCall(), Buffer.alloc(100_000, 0x7b), Buffer.alloc(100_000, 0x7c)])),
      frame(3, REQUEST, Buffer.concat([encodeCall(), Buffer.alloc(100_000, 0x7b)])),
      frame(5, REQUEST, Buffer.concat([encodeCall(), Buffer.of(0x7c)])),
    ],
    answers: [
      [1, 'ok'],
      [3, 'invalid_argument'],
      [5, 'invalid_argument'],
    ],
  },
  'a message that is not of its type': {
    frames: [
      open(1, 'Unary', 0, Buffer.of(0xff)),
      open(3, 'Echo', OPEN),
      frame(3, DATA, Buffer.from([0x0a, 5, 1])),
      open(5, 'Count', CLOSED, Buffer.from([0x0a, ...TEN_FF, 1])),
    ],
    answers: [
      [1, 'invalid_argument'],
      [3, 'invalid_argument'],
      [5, 'invalid_argument'],
    ],
  },
};

function encodeCall(): Buffer {
  return call(1).subarray(10);
}

interface Ends {
  path: string;
  peer: RawPeer;
}

/** What a client has under way while its server misbehaves: a call (stream id 1), and streams 3, 5 and 7. */
interface ClientEnds extends Ends {
  client: TtrpcClient;
  listener: net.Server;
  unary: Promise<Any>;
  sum: ClientStream<Any, Any>;
  count: ClientStream<Any, Any>;
  echo: ClientStream<Any, Any>;
}

/** Frames at connection level: everything under way fails with `unavailable`, and the connection is closed. */
const CLOSES: Readonly<Record<string, Buffer>> = {
  'a request': frame(1, REQUEST, NONE),
  'type 0': frame(1, 0, NONE),
  'type 4': frame(1, 4, NONE),
  'type 255': frame(7, 255, NONE),
  'reserved flags of a response': frame(1, RESPONSE, NONE, 8),
  'reserved flags of a message': frame(7, DATA, NONE, 0x80),
  "a server's stream id": frame(2, RESPONSE, NONE),
  'a message with stream id 0': frame(0, DATA, NONE),
  'a response that is none': frame(1, RESPONSE, Buffer.of(0xff)),
  'a varint of more than 10 bytes': frame(1, RESPONSE, Buffer.from([0x0a, 12, 0x08, ...TEN_FF, 0])),
  'an open group': frame(1, RESPONSE, Buffer.alloc(100_000, 0x7b)),
  'a message for a call': frame(1, DATA, X),
  'a message where one response was expected': frame(3, DATA, X),
  'a message that says it is none': frame(7, DATA, X, NO_DATA),
};

export function badInput(build: string): void {
  toServer(build);
  toClient(build);
}

function toServer(build: string): void {
  const test = suite<Ends & { server: TtrpcServer }>(`bad input for a ttrpc server: ${build}`);

  test.before.each(async (context) => {
    context.path = socketPath();
    context.server = new TtrpcServer([
      service(SERVICE, Methods, {
        Unary: (value) => value,
        Sum: async (stream) => {
          let count = 0;
          for await (const _ of stream) count++;
          // Later than what follows in the same read.
          await new Promise((resolve) => setImmediate(resolve));
          return { type_url: String(count) };
        },
        Count: async (stream) => stream.send((await stream.receive()) ?? {}),
        Echo: async (stream) => {
          for await (const message of stream) {
            await new Promise((resolve) => setImmediate(resolve));
            await stream.send(message);
          }
        },
      }),
    ]);
    context.server.adopt(await listen(context.path));
    context.peer = await RawPeer.connect(context.path);
  });

  test.after.each(async ({ server, peer }) => {
    peer.socket.destroy();
    await server.close();
  });

  for (const [what, { frames, answers }] of Object.entries(TO_SERVER)) {
    test(what, async ({ peer }) => {
      peer.write(...frames);
      const got: string[] = [];
      for (let i = 0; i < answers.length; i++) got.push(await described(peer));
      assert.equal(got.sort(), answers.map(([stream, answer]) => `${stream} ${answer}`).sort());
      peer.write(call(101));
      assert.is(await described(peer), '101 ok', 'the connection goes on');
    });
  }

  test('a truncated header, a truncated frame, and the end', async ({ path, server }) => {
    for (const cut of [1, 9, 10, 11]) {
      const peer = await RawPeer.connect(path);
      peer.write(call(1), call(3).subarray(0, cut));
      assert.is(await described(peer), '1 ok');
      peer.socket.end();
      await peer.closed;
    }
    await until(() => server.connections === 1);
  });

  test('a length of 2^32-1 is answered at once, and its bytes are taken for nothing else', async ({ peer }) => {
    peer.write(frame(1, REQUEST, NONE, 0, 0xffff_ffff), call(3), call(5));
    assert.is(await described(peer), '1 resource_exhausted');
    const silence = Symbol('silence');
    const next = peer.next().catch(() => silence);
    assert.is(await Promise.race([next, new Promise((resolve) => setTimeout(resolve, 50, silence))]), silence);
  });

  test('byte by byte', async ({ peer }) => {
    for (const byte of Buffer.concat([open(1, 'Echo', OPEN), frame(1, DATA, X), call(3)])) {
      peer.write(Buffer.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal([await described(peer), await described(peer)].sort(), ['1 message', '3 ok']);
  });

  test.run();
}

function toClient(build: string): void {
  const test = suite<ClientEnds>(`bad input for a ttrpc client: ${build}`);

  test.before.each(async (context) => {
    context.path = socketPath();
    context.listener = await listen(context.path);
    const accepted = once(context.listener, 'connection') as Promise<[net.Socket]>;
    context.client = await TtrpcClient.connect(context.path);
    context.peer = new RawPeer((await accepted)[0]);
    const { client } = context;
    context.unary = client.call(SERVICE, 'Unary', Methods.Unary, {});
    // Some tests look at it late.
    context.unary.catch(() => {});
    context.sum = client.stream(SERVICE, 'Sum', Methods.Sum);
    context.count = client.stream(SERVICE, 'Count', Methods.Count, { request: { type_url: 'x' } });
    context.echo = client.stream(SERVICE, 'Echo', Methods.Echo);
    const flags = [];
    for (let i = 0; i < 4; i++) flags.push((await context.peer.next()).flags);
    assert.equal(flags, [0, OPEN, CLOSED, OPEN]);
  });

  test.after.each(({ client, peer, listener }) => {
    client.close();
    peer.socket.destroy();
    listener.close();
  });

  for (const [what, bytes] of Object.entries(CLOSES)) {
    test(`${what} closes the connection`, async ({ client, peer, unary, sum, count, echo }) => {
      peer.write(bytes, response(1, {}), response(3, {}));
      for (const pending of [unary, sum.receive(), count.receive(), echo.receive()])
        assert.is((await failure(pending)).code, 'unavailable');
      assert.match((await client.closed)?.message ?? '', 'violates the protocol');
      await peer.closed;
    });
  }

  test('oversized frames end what they are for', async ({ client, peer, unary, sum, count, echo }) => {
    const big = Buffer.alloc(MAX_DATA_BYTES + 1);
    peer.write(frame(1, RESPONSE, big), frame(3, RESPONSE, big), frame(5, DATA, big), frame(99, DATA, big));
    for (const pending of [unary, sum.receive(), count.receive()])
      assert.is((await failure(pending)).code, 'resource_exhausted');
    peer.write(frame(7, DATA, X));
    assert.is((await echo.receive())?.type_url, 'x');
    assert.equal([client.inFlight, client.unmatched], [1, 1]);
  });

  test('what comes behind the end of a stream is dropped', async ({ client, peer, count, echo, sum }) => {
    const end = frame(7, DATA, NONE, CLOSED | NO_DATA);
    peer.write(frame(7, DATA, X), end, end, frame(7, DATA, X), response(7, { payload: X }));
    peer.write(response(5, { status: { code: CODES.aborted, message: 'no' } }), frame(5, DATA, X));
    peer.write(response(3, { payload: X }), response(3, { payload: X }));
    assert.is((await echo.receive())?.type_url, 'x');
    assert.is(await echo.receive(), undefined);
    assert.is((await failure(count.receive())).code, 'aborted');
    assert.is((await sum.receive())?.type_url, 'x');
    assert.is(await sum.receive(), undefined);
    await until(() => client.unmatched === 5);
  });

  test('ends that other servers write', async ({ peer, count, echo, sum }) => {
    // A last message with the flag, a response that is a last message, an empty one.
    peer.write(frame(7, DATA, X, CLOSED), response(5, { payload: X }), response(3, {}));
    for (const stream of [echo, count]) {
      assert.is((await stream.receive())?.type_url, 'x');
      assert.is(await stream.receive(), undefined);
    }
    assert.is((await sum.receive())?.type_url, '', 'an empty response is one');
    assert.is(await sum.receive(), undefined);
  });

  test('an empty response ends a stream of messages', async ({ peer, echo }) => {
    peer.write(frame(7, DATA, NONE, NO_DATA), frame(7, DATA, X), response(7, {}));
    assert.is((await echo.receive())?.type_url, 'x');
    assert.is(await echo.receive(), undefined);
  });

  test('a message that is not of its type ends its stream', async ({ client, peer, echo, unary }) => {
    peer.write(frame(7, DATA, Buffer.of(0xff)), frame(7, DATA, X), response(1, { payload: X }));
    assert.is((await failure(echo.receive())).code, 'internal');
    assert.is((await failure(echo.receive())).code, 'internal');
    assert.is((await unary).type_url, 'x');
    assert.is(client.inFlight, 2);
  });

  test('details that are none leave the status what it is', async ({ peer, unary }) => {
    // Field 3 of the status with an Any that is cut off.
    peer.write(frame(1, RESPONSE, Buffer.from([0x0a, 9, 0x08, 5, 0x12, 2, 65, 66, 0x1a, 1, 0x0a])));
    const error = await failure(unary);
    assert.equal([error.code, error.message], ['not_found', 'AB']);
    assert.ok(error instanceof StatusError);
    assert.equal(error.details, []);
  });

  test('a truncated frame, and the end', async ({ client, peer, unary, echo }) => {
    peer.write(response(1, { payload: X }).subarray(0, 12));
    peer.socket.end();
    for (const pending of [unary, echo.receive()]) assert.is((await failure(pending)).code, 'unavailable');
    assert.ok(await client.closed);
  });

  test.run();
}

/** The peer's next frame: its stream id, and what it is. */
async function described(peer: RawPeer): Promise<string> {
  const { stream, type, flags, data } = await peer.next();
  if (type === RESPONSE) return `${stream} ${codeOf(data)}`;
  assert.is(type, DATA);
  return `${stream} ${(flags & CLOSED) === 0 ? 'message' : 'end'}`;
}

function codeOf(data: Uint8Array): string {
  const code = decode(Response, data).status?.code ?? 0;
  return Object.entries(CODES).find(([, number]) => number === code)?.[0] ?? String(code);
}
