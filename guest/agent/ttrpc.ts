/**
 * The ttrpc server: one `Connection` per byte stream. Many requests are in flight, answers leave in any order.
 * https://github.com/containerd/ttrpc/blob/main/PROTOCOL.md
 */
import { decode, ProtoError } from '../../host/proto/codec.ts';
import { Request } from '../../host/proto/messages/ttrpc.ts';
import { AgentError, CODES, reasonOf } from './error.ts';
import {
  FLAG_REMOTE_OPEN,
  HEADER_BYTES,
  heldFrame,
  MAX_DATA_BYTES,
  responseFrame,
  statusFrame,
  TYPE_DATA,
  TYPE_REQUEST,
} from './frame.ts';
import { Held, Holder } from './held.ts';
import type { EventLoop } from './loop.ts';
import { type Call, POLLIN } from './loop-interface.ts';
import { type Chunk, Outbox } from './outbox.ts';
import { type Repeated, RepeatedRequests } from './repeated.ts';
import type { Method, Services } from './service-table.ts';
import type { Sys } from './sys.ts';

/** Requests unanswered at once; waits and stream reads of a full pod stay far below. */
export const MAX_IN_FLIGHT = 4096;
/** Bytes of answers the peer has not taken, above which no further requests are read. */
export const MAX_QUEUED_BYTES = 8 * 1024 * 1024;
/** The receive buffer between large frames, bytes. */
const RECEIVE_BYTES = 64 * 1024;
/** Longest deadline that is kept, milliseconds; a longer one is no deadline. */
const MAX_DEADLINE_MS = 0x7fff_ffff;

export class Connection {
  private buffer = new Uint8Array(RECEIVE_BYTES);
  private used = 0;
  /** Bytes still to be thrown away of a frame that is too large. */
  private discarding = 0;
  private lastStream = 0;
  private readonly inFlight = new Map<number, InFlight>();
  private unwatchRead: (() => void) | undefined;
  private readonly holder: Holder;
  private readonly outbox: Outbox;
  private readonly repeated: RepeatedRequests;
  private ended = false;

  /**
   * Serves at once.
   * @param fd non-blocking; stays the caller's to close, after `onEnd`
   * @param sessions whether stream 1 may come again: a serial port whose host end was replaced shows no more than that
   */
  constructor(
    private readonly sys: Sys,
    private readonly loop: EventLoop,
    private readonly fd: number,
    private readonly services: Services,
    private readonly sessions: boolean,
    private readonly onEnd: () => void,
  ) {
    this.holder = new Holder(sys);
    this.repeated = new RepeatedRequests(sys);
    const onTaken = () => {
      if (this.outbox.bytes <= MAX_QUEUED_BYTES / 2) this.listen();
    };
    this.outbox = new Outbox(sys, loop, fd, this.holder, onTaken, () => this.end());
    this.listen();
  }

  /** Forgets the peer; unanswered calls learn that they are gone. */
  private end(): void {
    if (this.ended) return;
    this.ended = true;
    this.unwatchRead?.();
    this.forgetCalls();
    this.outbox.end();
    this.holder.end();
    this.onEnd();
  }

  private forgetCalls(): void {
    for (const call of this.inFlight.values()) {
      call.gone = true;
      call.cancelDeadline?.();
    }
    this.inFlight.clear();
  }

  // ---- receiving ----

  private listen(): void {
    this.unwatchRead ??= this.loop.watch(this.fd, POLLIN, () => this.receive());
  }

  private receive(): void {
    let count: number;
    try {
      count = this.sys.readInto(this.fd, this.buffer.subarray(this.used));
    } catch (error) {
      this.sys.log(`agent: reading the channel failed: ${reasonOf(error)}`);
      this.end();
      return;
    }
    if (count === 0) this.end();
    if (count <= 0) return;
    this.used += count;
    this.scan();
  }

  /** Takes every complete frame out of the buffer. */
  private scan(): void {
    let at = 0;
    while (!this.ended) {
      const skipped = Math.min(this.discarding, this.used - at);
      this.discarding -= skipped;
      at += skipped;
      if (this.used - at < HEADER_BYTES) break;
      const view = new DataView(this.buffer.buffer, this.buffer.byteOffset + at, HEADER_BYTES);
      const length = view.getUint32(0);
      const stream = view.getUint32(4);
      if (length > MAX_DATA_BYTES) {
        this.discarding = length;
        at += HEADER_BYTES;
        const text = `a message of ${length} bytes exceeds the limit of ${MAX_DATA_BYTES}`;
        this.fail(stream, CODES.resource_exhausted, text);
        continue;
      }
      const end = at + HEADER_BYTES + length;
      if (end > this.used) {
        this.makeRoom(at, HEADER_BYTES + length);
        return;
      }
      // A copy: requests live longer than the buffer, and the bytes in them are views.
      const data = this.buffer.slice(at + HEADER_BYTES, end);
      at = end;
      this.frame(stream, view.getUint8(8), view.getUint8(9), data);
    }
    this.makeRoom(at, HEADER_BYTES);
  }

  /** Moves what begins at `at` to the front of a buffer that holds `needed` bytes. */
  private makeRoom(at: number, needed: number): void {
    const rest = this.used - at;
    const size = Math.max(needed, RECEIVE_BYTES);
    if (size > this.buffer.length || (this.buffer.length > RECEIVE_BYTES && size === RECEIVE_BYTES)) {
      const next = new Uint8Array(Math.max(size, rest));
      next.set(this.buffer.subarray(at, this.used));
      this.buffer = next;
    } else if (at > 0) {
      this.buffer.copyWithin(0, at, this.used);
    }
    this.used = rest;
  }

  private frame(stream: number, type: number, flags: number, data: Uint8Array): void {
    if (type === TYPE_DATA) {
      this.fail(stream, CODES.invalid_argument, `stream ${stream} takes no data: the agent's methods are unary`);
      return;
    }
    if (type !== TYPE_REQUEST) return;
    if (this.sessions && stream === 1 && this.lastStream !== 0) {
      this.forgetCalls();
      this.lastStream = 0;
    }
    if (stream % 2 === 0 || stream <= this.lastStream) {
      this.fail(stream, CODES.invalid_argument, `stream id ${stream} must be odd and above ${this.lastStream}`);
      return;
    }
    this.lastStream = stream;
    if (flags & FLAG_REMOTE_OPEN) this.fail(stream, CODES.unimplemented, 'streaming requests are not served');
    else this.request(stream, data);
  }

  private request(stream: number, data: Uint8Array): void {
    if (this.inFlight.size >= MAX_IN_FLIGHT) {
      this.fail(stream, CODES.resource_exhausted, `more than ${MAX_IN_FLIGHT} requests are unanswered`);
      return;
    }
    const known = this.repeated.find(data);
    if (known) {
      this.call(stream, known.method, known.request, known);
      return;
    }
    let request: Request;
    try {
      request = decode(Request, data);
    } catch (error) {
      this.fail(stream, CODES.invalid_argument, `not a ttrpc request: ${reasonOf(error)}`);
      return;
    }
    const service = this.services.get(request.service);
    const method = service?.get(request.method);
    if (!method?.handler) {
      const missing = service ? `method ${request.method}` : `service ${request.service}`;
      this.fail(stream, CODES.unimplemented, missing);
    } else {
      this.call(stream, method, request, data);
    }
  }

  // ---- calling ----

  /** @param from the request's bytes, or what is known of them */
  private call(stream: number, method: Method, request: Request, from: Uint8Array | Repeated): void {
    const call = new InFlight(this.holder);
    this.inFlight.set(stream, call);
    this.setDeadline(stream, call, request);
    try {
      const message = from instanceof Uint8Array ? this.decoded(from, method, request) : from.message;
      const result = method.handler?.(message, call);
      if (result instanceof Promise) {
        result.then(
          (value) => this.answer(stream, call, method, value),
          (error: unknown) => this.answerError(stream, call, error),
        );
      } else {
        this.answer(stream, call, method, result);
      }
    } catch (error) {
      this.answerError(stream, call, error);
    }
  }

  private decoded(data: Uint8Array, method: Method, request: Request): unknown {
    const message = decode(method.request, request.payload);
    this.repeated.add({ data, request, method, message });
    return message;
  }

  private setDeadline(stream: number, call: InFlight, request: Request): void {
    const ms = Number(request.timeout_nano) / 1_000_000;
    if (ms <= 0 || ms > MAX_DEADLINE_MS) return;
    call.cancelDeadline = this.loop.after(ms, () => {
      const text = `${request.service}.${request.method} did not end within ${Math.round(ms)} ms`;
      this.settle(stream, call, () => statusFrame(stream, CODES.deadline_exceeded, text));
      call.gone = true;
    });
  }

  private answer(stream: number, call: InFlight, method: Method, value: unknown): void {
    try {
      const { held } = call;
      this.settle(stream, call, () =>
        held ? heldFrame(stream, method.response, held) : responseFrame(stream, method.response, value ?? {}),
      );
    } catch (error) {
      this.answerError(stream, call, error);
    }
  }

  private answerError(stream: number, call: InFlight, error: unknown): void {
    const code =
      error instanceof AgentError ? error.code : error instanceof ProtoError ? CODES.invalid_argument : CODES.internal;
    this.settle(stream, call, () => statusFrame(stream, code, reasonOf(error)));
  }

  /** Sends a call's answer, once, and to nobody but its caller. */
  private settle(stream: number, call: InFlight, frame: () => Chunk[]): void {
    if (call.gone) {
      if (call.held) this.holder.release(call.held);
      call.held = undefined;
      return;
    }
    const chunks = frame();
    call.cancelDeadline?.();
    if (this.inFlight.get(stream) === call) this.inFlight.delete(stream);
    this.send(chunks);
  }

  private fail(stream: number, code: number, text: string): void {
    this.send(statusFrame(stream, code, text));
  }

  // ---- sending ----

  private send(chunks: readonly Chunk[]): void {
    this.outbox.send(chunks);
    if (this.outbox.bytes > MAX_QUEUED_BYTES) {
      this.unwatchRead?.();
      this.unwatchRead = undefined;
    }
  }
}

/** A call that is under way. */
class InFlight implements Call {
  gone = false;
  cancelDeadline: (() => void) | undefined;
  /** What its answer consists of, where that is in the kernel. */
  held: Held | undefined;

  constructor(private readonly holder: Holder) {}

  hold(pipe: number, most: number): number | undefined {
    if (this.held) return undefined;
    const taken = this.holder.take(pipe, most);
    if (!(taken instanceof Held)) return taken;
    this.held = taken;
    return taken.length;
  }
}
