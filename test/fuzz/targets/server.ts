/**
 * A live server: whatever a connection brings, in whatever pieces, is answered with whole frames or closed, costs no memory
 * that stays, and the next connection is served.
 */
import { ok, strictEqual } from 'node:assert/strict';
import { TYPE_DATA, TYPE_REQUEST } from '../../../assembly/layout.ts';
import { KataError } from '../../../host/error.ts';
import { encode, type Init } from '../../../host/proto/codec.ts';
import { Any } from '../../../host/proto/messages/google.ts';
import { TaskService, TaskServiceName } from '../../../host/proto/messages/task_v2.ts';
import { Request } from '../../../host/proto/messages/ttrpc.ts';
import { TtrpcServer } from '../../../host/ttrpc/server.ts';
import { type ServerStream, type Service, service } from '../../../host/ttrpc/types.ts';
import { listen, socketPath } from '../../unit/ttrpc/socket-fixture.ts';
import { bytesInUse } from '../heap.ts';
import { Random } from '../random.ts';
import type { Target } from '../target.ts';
import { makeBatch, REQUESTS, type Template } from '../traffic.ts';
import { connect, HEAP_ROOM, readToEnd, streamsOf, within, writePieces } from '../wire.ts';

const NAME = 'test.Fuzz';
/** Cases before the heap is looked at for the first time: what is made once is made by then. */
const WARM_UP = 512;
/** One case in so many is followed by a call that must succeed. */
const CALL_EVERY = 4;
const FLAG_REMOTE_OPEN = 2;
const FLAG_NO_DATA = 4;

const methods = {
  Echo: [Any, Any],
  Later: [Any, Any],
  Never: [Any, Any],
  Fail: [Any, Any],
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

  async function exchange(bytes: Uint8Array, random: Random): Promise<Buffer> {
    const socket = await connect(path);
    const answers = readToEnd(socket);
    await writePieces(socket, bytes, random);
    socket.end();
    return answers;
  }

  return {
    name: 'server',
    room: 8 * 1024,
    generate: (buffer, random) => {
      buffer.append(Uint8Array.of(random.u32()));
      makeBatch(buffer, random, templates);
    },
    async check(input) {
      const random = new Random((input[0] ?? 0) + 256 * input.length);
      streamsOf(await exchange(input.slice(1), random));
      if (++cases % CALL_EVERY === 0) {
        const socket = await connect(path);
        const first = new Promise<Buffer>((resolve) => socket.once('data', resolve));
        socket.write(whole(calls[0] as Template));
        strictEqual(streamsOf(await within(first, 'the next connection is not served'))[0], 1);
        socket.destroy();
      }
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

function whole({ type, flags, data }: Template): Buffer {
  const frame = Buffer.alloc(10);
  frame.writeUInt32BE(data.length, 0);
  frame.writeUInt32BE(1, 4);
  frame[8] = type;
  frame[9] = flags;
  return Buffer.concat([frame, data]);
}
