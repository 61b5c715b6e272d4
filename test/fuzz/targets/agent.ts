/**
 * The guest agent's own ttrpc server: whatever its channel brings, in whatever pieces, is answered with whole frames,
 * or the connection ends; nothing is thrown into the event loop.
 */
import { ok, strictEqual } from 'node:assert/strict';
import { FRAME_HEADER_BYTES, FRAME_MAX_DATA_BYTES, TYPE_DATA, TYPE_REQUEST } from '../../../assembly/layout.ts';
import type { EventLoop } from '../../../guest/agent/loop.ts';
import { POLLIN, POLLOUT } from '../../../guest/agent/loop-interface.ts';
import { servicesOf } from '../../../guest/agent/service-table.ts';
import type { Sys } from '../../../guest/agent/sys.ts';
import { Connection } from '../../../guest/agent/ttrpc.ts';
import { encode, type MessageType } from '../../../host/proto/codec.ts';
import { AgentServiceService, AgentServiceServiceName } from '../../../host/proto/messages/agent.ts';
import { HealthServiceName } from '../../../host/proto/messages/health.ts';
import { Request } from '../../../host/proto/messages/ttrpc.ts';
import { Random } from '../random.ts';
import type { Target } from '../target.ts';
import { makeBatch, type Template } from '../traffic.ts';
import { streamsOf } from '../wire.ts';

const FD = 3;
/** Steps of the event loop that a case may take: it has fewer bytes, and fewer answers. */
const MAX_STEPS = 20_000;

const requests = [
  ...Object.entries(AgentServiceService).map(([method, [type]]) =>
    requestOf(AgentServiceServiceName, method, type as MessageType<unknown>),
  ),
  ...['Check', 'Version'].map((method) => requestOf(HealthServiceName, method, undefined)),
];

const services = servicesOf(
  { Check: () => ({ status: 1 }), Version: () => Promise.resolve({ grpc_version: '1', agent_version: '2' }) },
  {},
  {},
  {},
  {
    StatsContainer: ({ container_id }) => ({ network_stats: [{ name: container_id }] }),
    ReadStdout: ({ len }) => ({ data: new Uint8Array(Math.min(len, 9000)) }),
    SignalProcess: () => {
      throw new Error('no such process');
    },
    WaitProcess: () => new Promise(() => {}),
  },
);

export function agentTarget(): Target {
  return {
    name: 'agent',
    room: 16 * 1024,
    generate: (buffer, random) => {
      buffer.append(Uint8Array.of(random.u32()));
      makeBatch(buffer, random, requests);
    },
    async check(input) {
      const control = input[0] ?? 0;
      const channel = new Channel(input.subarray(1), new Random(control + 256 * input.length));
      let ended = false;
      const onEnd = (): void => {
        ended = true;
      };
      new Connection(channel.sys, channel.loop, FD, services, (control & 1) === 1, onEnd);
      for (let step = 0; channel.turn(); step++) {
        ok(step < MAX_STEPS, 'the channel is neither read to its end nor closed');
        // Answers that are promises.
        if (step % 8 === 0) await Promise.resolve();
      }
      for (let i = 0; i < 8; i++) await Promise.resolve();
      while (channel.turn());
      ok(!ended, 'the connection ended before its channel did');
      checkAnswers(streamsOf(Buffer.concat(channel.written)), answersTo(input.subarray(1)));
      channel.hangUp();
      while (channel.turn());
      ok(ended, 'the end of the channel is not noticed');
      strictEqual(channel.watched, 0, 'descriptors that are still watched');
      strictEqual(channel.logged, 0, 'nothing was wrong with the channel');
    },
  };
}

/** A channel whose bytes come and go in pieces of any size, and the event loop that says so. */
class Channel {
  readonly written: Buffer[] = [];
  logged = 0;
  readonly #bytes: Uint8Array;
  readonly #random: Random;
  readonly #watches = new Set<{ events: number; callback: (revents: number) => void }>();
  #at = 0;
  #hungUp = false;

  constructor(bytes: Uint8Array, random: Random) {
    this.#bytes = bytes;
    this.#random = random;
  }

  get watched(): number {
    return this.#watches.size;
  }

  /** What the connection uses of Sys; anything else it asked for would be a TypeError. */
  get sys(): Sys {
    const calls: Partial<Sys> = {
      readInto: (_fd, into) => {
        const left = this.#bytes.length - this.#at;
        if (left === 0) return this.#hungUp ? 0 : -1;
        const count = Math.min(left, into.length, this.#random.size(left));
        into.set(this.#bytes.subarray(this.#at, this.#at + count));
        this.#at += count;
        return count;
      },
      writev: (_fd, chunks) => {
        const all = Buffer.concat(chunks as readonly Uint8Array[]);
        const count = this.#random.once(2) ? all.length : this.#random.below(all.length + 1);
        this.written.push(all.subarray(0, count));
        return count;
      },
      same: (a, b) => Buffer.compare(a, b) === 0,
      log: () => {
        this.logged++;
      },
    };
    return calls as Sys;
  }

  get loop(): EventLoop {
    const calls: Partial<EventLoop> = {
      watch: (_fd, events, callback) => {
        const watch = { events, callback };
        this.#watches.add(watch);
        return () => void this.#watches.delete(watch);
      },
      after: () => () => {},
    };
    return calls as EventLoop;
  }

  hangUp(): void {
    this.#hungUp = true;
  }

  /** Calls back what is ready. @returns false if nothing is */
  turn(): boolean {
    const readable = this.#hungUp || this.#at < this.#bytes.length ? POLLIN : 0;
    const ready = [...this.#watches].filter(({ events }) => events & (readable | POLLOUT));
    for (const watch of ready) if (this.#watches.has(watch)) watch.callback(watch.events & (readable | POLLOUT));
    return ready.length > 0;
  }
}

interface Answers {
  /** By stream id: how many there must and may be. */
  readonly least: Map<number, number>;
  readonly most: Map<number, number>;
}

/** A request is answered once or, if nobody waits any more, not at all; what may not be sent is refused once. */
function answersTo(bytes: Uint8Array): Answers {
  const least = new Map<number, number>();
  const most = new Map<number, number>();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at + FRAME_HEADER_BYTES <= bytes.length; ) {
    const length = view.getUint32(at);
    const stream = view.getUint32(at + 4);
    const type = view.getUint8(at + 8);
    const isOversize = length > FRAME_MAX_DATA_BYTES;
    at += FRAME_HEADER_BYTES + length;
    if (at > bytes.length && !isOversize) break;
    if (isOversize || type === TYPE_DATA) least.set(stream, (least.get(stream) ?? 0) + 1);
    if (isOversize || type === TYPE_DATA || type === TYPE_REQUEST) most.set(stream, (most.get(stream) ?? 0) + 1);
  }
  return { least, most };
}

function checkAnswers(streams: readonly number[], { least, most }: Answers): void {
  const found = new Map<number, number>();
  for (const stream of streams) found.set(stream, (found.get(stream) ?? 0) + 1);
  for (const [stream, count] of found) ok(count <= (most.get(stream) ?? 0), `${count} answers on stream ${stream}`);
  for (const [stream, count] of least) ok((found.get(stream) ?? 0) >= count, `no answer on stream ${stream}`);
}

function requestOf(service: string, method: string, type: MessageType<unknown> | undefined): Template {
  const fields = type?.fields() ?? [];
  const values = fields.filter(([, , kind]) => kind === 'string').map(([, name]) => [name, name]);
  const payload = type ? encode(type, Object.fromEntries(values) as never) : new Uint8Array(0);
  const data = encode(Request, { service, method, payload, timeout_nano: 1e9 });
  return { type: TYPE_REQUEST, flags: 0, data };
}
