/**
 * A live server: whatever a connection brings, in whatever pieces, is answered with whole frames or closed, costs no memory
 * that stays, and the next connection is served.
 */
import { ok, strictEqual } from 'node:assert/strict';
import { TYPE_DATA, TYPE_REQUEST, TYPE_RESPONSE } from '../../../assembly/layout.ts';
import { KataError } from '../../../host/error.ts';
import { decode, encode, type Init } from '../../../host/proto/codec.ts';
import { Any } from '../../../host/proto/messages/google.ts';
import { TaskService, TaskServiceName } from '../../../host/proto/messages/task_v2.ts';
import { Request, Response } from '../../../host/proto/messages/ttrpc.ts';
import { TtrpcServer } from '../../../host/ttrpc/server.ts';
import { type ServerStream, type Service, service } from '../../../host/ttrpc/types.ts';
import { listen, socketPath } from '../../unit/ttrpc/socket-fixture.ts';
import { bytesInUse } from '../heap.ts';
import { Random } from '../random.ts';
import type { Target } from '../target.ts';
import { makeBatch, REQUESTS, type Template } from '../traffic.ts';
import { connect, HEAP_ROOM, readToEnd, streamsOf, writePieces } from '../wire.ts';

const NAME = 'test.Fuzz';
/** Cases before the heap is looked at for the first time: what is made once is made by then. */
const WARM_UP = 512;
/** One case in so many is followed by a call that must succeed. */
const CALL_EVERY = 4;
/** An answer of which two fill a socket, so that the server has to wait for its peer. */
const LARGE = 'large';
const LARGE_BYTES = 150_000;
/** How long a peer that takes its time does not read, turns of the event loop. */
const SLOW_TURNS = 20;
const FLAG_REMOTE_OPEN = 2;
const FLAG_NO_DATA = 4;

const methods = {
  Echo: [Any, Any],
  Later: [Any, Any],
  Never: [Any, Any],
  Fail: [Any, Any],
  Large: [Any, Any],
  Collect: [Any, Any, 'client'],
  Repeat: [Any, Any, 'server'],
  Talk: [Any, Any, 'both'],
} as const;

const calls = (Object.keys(methods) as (keyof typeof methods)[]).flatMap((method): Template[] => {
  const payload = encode(Any, { type_url: method, value: new Uint8Array(40) });
  const data = encode(Request, { service: NAME, method, payload, timeout_nano: method === 'Never' ? 2e6 : 0 });
  const isStream = methods[method].length === 3;
  const again = { type: TYPE_DATA, flags: 0, data: payload };
  const last = { type: TYPE_DATA, flags: 1 | FLAG_NO_DATA, data: new Uint8Array(0) };
  return [{ type: TYPE_REQUEST, flags: isStream ? FLAG_REMOTE_OPEN : 0, data }, ...(isStream ? [again, last] : [])];
});
const templates: readonly Template[] = [...calls, ...calls, ...REQUESTS.slice(0, calls.length)];

function services(): Service[] {
  const own = service(NAME, methods, {
    Echo: (value) => value,
    Later: (value) => new Promise((resolve) => setImmediate(resolve, value)),
    Never: () => new Promise<Init<Any>>(() => {}),
    Fail: () => {
      throw new KataError('not_found', 'no such thing');
    },
    Large: ({ value }) => ({ type_url: LARGE, value: new Uint8Array(LARGE_BYTES).fill(value[0] ?? 0) }),
    Collect: async (stream) => {
      let count = 0;
      for await (const message of stream) count += message.value.length;
      return { type_url: String(count) };
    },
    Repeat: async (stream) => {
      for (let i = 0; i < 3; i++) await stream.send({ type_url: String(i) });
    },
    Talk: async (stream: ServerStream<Any, Any>) => {
      for await (const message of stream) await stream.send(message);
    },
  });
  return [own, service(TaskServiceName, TaskService, { Connect: ({ id }) => ({ version: id }), Delete: () => ({}) })];
}

export async function serverTarget(): Promise<Target> {
  const server = new TtrpcServer(services());
  const path = socketPath();
  server.adopt(await listen(path));
  let cases = 0;
  let before = 0;

  async function exchange(bytes: Uint8Array, random: Random, isSlow: boolean): Promise<Buffer> {
    const socket = await connect(path);
    let answers = isSlow ? undefined : readToEnd(socket);
    await writePieces(socket, bytes, random);
    for (let i = 0; isSlow && i < SLOW_TURNS; i++) await new Promise((resolve) => setImmediate(resolve));
    answers ??= readToEnd(socket);
    socket.end();
    return answers;
  }

  /** A call that must succeed whatever else goes on. */
  async function call(method: string, first: number): Promise<void> {
    const socket = await connect(path);
    const payload = encode(Any, { type_url: method, value: Uint8Array.of(first) });
    const answered = readToEnd(socket);
    socket.write(whole({ type: TYPE_REQUEST, flags: 0, data: encode(Request, { service: NAME, method, payload }) }));
    // The rest of a large answer comes after the end of ours.
    await Promise.race([answered, new Promise((resolve) => socket.once('data', resolve))]);
    socket.end();
    const answer = await answered;
    const response = decode(Response, answer.subarray(10));
    const { value } = decode(Any, response.payload);
    ok(value.length > 0 && value.every((byte) => byte === first), 'the next connection is served something else');
  }

  return {
    name: 'server',
    room: 8 * 1024,
    generate: (buffer, random) => {
      buffer.append(Uint8Array.of(random.u32()));
      makeBatch(buffer, random, templates);
    },
    async check(input) {
      const control = input[0] ?? 0;
      const random = new Random(control + 256 * input.length);
      const answers = exchange(input.slice(1), random, control % 8 === 0);
      // Beside it, not behind it: both want the region that answers are written in.
      const other = ++cases % CALL_EVERY === 0 ? call(control % 8 === 0 ? 'Large' : 'Echo', control) : undefined;
      checkAnswers(await answers);
      await other;
      if (cases === WARM_UP) before = bytesInUse();
    },
    async finish() {
      for (let i = 0; server.connections > 0 && i < 1000; i++) await new Promise((resolve) => setTimeout(resolve, 1));
      strictEqual(server.connections, 0, 'connections that are never closed');
      await server.close();
      if (cases <= WARM_UP) return;
      const grown = bytesInUse() - before;
      ok(grown < HEAP_ROOM, `${cases} cases left ${grown} bytes behind`);
    },
  };
}

/** Whole frames, and of large answers the bytes that were asked for. */
function checkAnswers(bytes: Buffer): void {
  streamsOf(bytes);
  for (let at = 0; at < bytes.length; at += 10 + bytes.readUInt32BE(at)) {
    const length = bytes.readUInt32BE(at);
    if (length < LARGE_BYTES || bytes[at + 8] !== TYPE_RESPONSE) continue;
    const { payload } = decode(Response, bytes.subarray(at + 10, at + 10 + length));
    const { value } = decode(Any, payload);
    ok(
      value.every((byte) => byte === value[0]),
      'a large answer is not what the handler returned',
    );
  }
}

function whole({ type, flags, data }: Template): Buffer {
  const frame = Buffer.alloc(10);
  frame.writeUInt32BE(data.length, 0);
  frame.writeUInt32BE(1, 4);
  frame[8] = type;
  frame[9] = flags;
  return Buffer.concat([frame, data]);
}
