/** QEMU's control channel: one JSON object a line. https://www.qemu.org/docs/master/interop/qmp-spec.html */
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { KataError, reasonOf } from '../../error.ts';
import { native } from '../../native.ts';

/** Longest line taken from QEMU, bytes; query answers of a large VM stay below 100 KiB. */
export const MAX_LINE_BYTES = 1024 * 1024;
/** Most commands waiting for their turn. */
export const MAX_QUEUED = 64;
/** Most events remembered for a `waitEvent` that comes later. */
export const MAX_EVENTS = 64;
/** Deadline of a command, unless told otherwise, ms. */
export const COMMAND_MS = 10_000;

export interface QmpEvent {
  readonly event: string;
  readonly data: Readonly<Record<string, unknown>>;
}

interface Command {
  readonly id: number;
  readonly line: string;
  readonly name: string;
  readonly fd: number | undefined;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: KataError) => void;
  timer: NodeJS.Timeout | undefined;
}

interface Waiter {
  readonly matches: (event: QmpEvent) => boolean;
  readonly resolve: (event: QmpEvent) => void;
  readonly reject: (error: KataError) => void;
}

/** One session. Commands are sent strictly one after the other, each with a deadline. */
export class Qmp {
  /** Settles with the greeting. */
  readonly #greeted: Promise<void>;
  #greet: (error?: KataError) => void = () => {};
  readonly #stream: Duplex;
  #partial: Buffer[] = [];
  #partialBytes = 0;
  #nextId = 1;
  #running: Command | undefined;
  readonly #queue: Command[] = [];
  readonly #events: QmpEvent[] = [];
  readonly #waiters = new Set<Waiter>();
  #listener: (event: QmpEvent) => void = () => {};
  #failure: KataError | undefined;

  /** @param stream connected to QEMU's monitor in control mode */
  constructor(stream: Duplex) {
    this.#stream = stream;
    this.#greeted = new Promise((resolve, reject) => {
      this.#greet = (error) => (error ? reject(error) : resolve());
    });
    this.#greeted.catch(() => {});
    stream.on('data', (chunk: Buffer) => this.#read(chunk));
    stream.on('error', (error) => this.#fail(new KataError('unavailable', `QMP: ${reasonOf(error)}`)));
    stream.on('close', () => this.#fail(new KataError('unavailable', 'QMP: QEMU closed the connection')));
    stream.on('end', () => this.#fail(new KataError('unavailable', 'QMP: QEMU closed the connection')));
  }

  /**
   * Waits for the greeting and leaves negotiation mode.
   * @throws KataError `deadline_exceeded`, or `unavailable` when QEMU has closed the connection
   */
  async ready(timeoutMs: number): Promise<void> {
    await within(this.#greeted, timeoutMs, 'QMP: no greeting from QEMU');
    await this.execute('qmp_capabilities', undefined, timeoutMs);
  }

  /**
   * Runs one command.
   * @param fd a descriptor that goes with it (`getfd`); the caller's stays open
   * @returns its `return` value
   * @throws KataError `internal` with QEMU's text, `deadline_exceeded`, `unavailable`, `resource_exhausted` (queue full)
   */
  execute(
    name: string,
    args?: Readonly<Record<string, unknown>>,
    timeoutMs: number = COMMAND_MS,
    fd?: number,
  ): Promise<unknown> {
    if (this.#failure) return Promise.reject(this.#failure);
    if (this.#queue.length >= MAX_QUEUED) {
      return Promise.reject(new KataError('resource_exhausted', `QMP: ${MAX_QUEUED} commands wait; try again later`));
    }
    const id = this.#nextId++;
    const line = `${JSON.stringify({ execute: name, ...(args && { arguments: args }), id })}\n`;
    return new Promise((resolve, reject) => {
      const command: Command = { id, line, name, fd, resolve, reject, timer: undefined };
      // The deadline counts from now: waiting for one's turn is part of it.
      command.timer = setTimeout(() => this.#expire(command, timeoutMs), timeoutMs);
      this.#queue.push(command);
      this.#next();
    });
  }

  /**
   * Waits for an event; one that came earlier and was not waited for counts.
   * @throws KataError `deadline_exceeded`, `unavailable`
   */
  async waitEvent(name: string, matches: (data: QmpEvent['data']) => boolean, timeoutMs: number): Promise<QmpEvent> {
    const wanted = (event: QmpEvent): boolean => event.event === name && matches(event.data);
    const seen = this.#events.findIndex(wanted);
    const [event] = seen < 0 ? [] : this.#events.splice(seen, 1);
    if (event) return event;
    if (this.#failure) throw this.#failure;
    let waiter: Waiter | undefined;
    const arrived = new Promise<QmpEvent>((resolve, reject) => {
      waiter = { matches: wanted, resolve, reject };
      this.#waiters.add(waiter);
    });
    try {
      return await within(arrived, timeoutMs, `QMP: no event ${name}`);
    } finally {
      if (waiter) this.#waiters.delete(waiter);
    }
  }

  /** Has every event told, beside those who wait for it. */
  listen(listener: (event: QmpEvent) => void): void {
    this.#listener = listener;
  }

  /** Ends the session; whatever is pending fails with `unavailable`. Idempotent. */
  close(reason = 'QMP: the session was closed'): void {
    this.#fail(new KataError('unavailable', reason));
  }

  #read(chunk: Buffer): void {
    let rest = chunk;
    for (let end = rest.indexOf(10); end >= 0 && !this.#failure; end = rest.indexOf(10)) {
      const line = Buffer.concat([...this.#partial, rest.subarray(0, end)]);
      this.#partial = [];
      this.#partialBytes = 0;
      rest = rest.subarray(end + 1);
      this.#line(line);
    }
    if (this.#failure || rest.length === 0) return;
    this.#partial.push(rest);
    this.#partialBytes += rest.length;
    if (this.#partialBytes > MAX_LINE_BYTES) {
      this.#fail(new KataError('internal', `QMP: a line exceeds ${MAX_LINE_BYTES} bytes`));
    }
  }

  #line(line: Buffer): void {
    if (line.length > MAX_LINE_BYTES) {
      this.#fail(new KataError('internal', `QMP: a line exceeds ${MAX_LINE_BYTES} bytes`));
      return;
    }
    if (line.length === 0 || (line.length === 1 && line[0] === 13)) return;
    const message = parseObject(line);
    if (!message) this.#fail(new KataError('internal', 'QMP: QEMU sent a line that is not a JSON object'));
    else if (typeof message.event === 'string') this.#event({ event: message.event, data: asObject(message.data) });
    else if ('QMP' in message) this.#greet();
    else this.#answer(message);
  }

  #answer(message: Readonly<Record<string, unknown>>): void {
    const command = this.#running;
    // An answer whose command has passed its deadline is dropped.
    if (!command || message.id !== command.id) return;
    this.#finish(command);
    if ('return' in message) {
      command.resolve(message.return);
      return;
    }
    const { desc } = asObject(message.error);
    command.reject(new KataError('internal', `QMP: ${command.name}: ${typeof desc === 'string' ? desc : 'failed'}`));
  }

  #event(event: QmpEvent): void {
    this.#listener(event);
    for (const waiter of this.#waiters) {
      if (!waiter.matches(event)) continue;
      this.#waiters.delete(waiter);
      waiter.resolve(event);
      return;
    }
    this.#events.push(event);
    if (this.#events.length > MAX_EVENTS) this.#events.shift();
  }

  #next(): void {
    if (this.#running || this.#failure) return;
    this.#running = this.#queue.shift();
    if (this.#running?.fd !== undefined) this.#sendWith(this.#running, this.#running.fd);
    else if (this.#running) this.#stream.write(this.#running.line);
  }

  /** Past the stream, which knows no descriptors: nothing is queued in it, since the command before was answered. */
  #sendWith(command: Command, fd: number): void {
    try {
      native().sendDescriptor(descriptorOf(this.#stream), fd, command.line);
    } catch (thrown) {
      this.#finish(command);
      command.reject(new KataError('unavailable', `QMP: ${command.name}: ${reasonOf(thrown)}`, { cause: thrown }));
    }
  }

  #finish(command: Command): void {
    clearTimeout(command.timer);
    if (this.#running === command) this.#running = undefined;
    this.#next();
  }

  #expire(command: Command, timeoutMs: number): void {
    const waiting = this.#queue.indexOf(command);
    if (waiting >= 0) this.#queue.splice(waiting, 1);
    this.#finish(command);
    command.reject(new KataError('deadline_exceeded', `QMP: ${command.name} was not answered within ${timeoutMs} ms`));
  }

  #fail(error: KataError): void {
    if (this.#failure) return;
    this.#failure = error;
    this.#greet(error);
    for (const command of [this.#running, ...this.#queue]) {
      if (!command) continue;
      clearTimeout(command.timer);
      command.reject(error);
    }
    this.#running = undefined;
    this.#queue.length = 0;
    for (const waiter of this.#waiters) waiter.reject(error);
    this.#waiters.clear();
    this.#partial = [];
    this.#stream.destroy();
  }
}

async function within<T>(promise: Promise<T>, timeoutMs: number, failure: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const expired = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new KataError('deadline_exceeded', `${failure} within ${timeoutMs} ms`)),
      timeoutMs,
    );
  });
  try {
    return await Promise.race([promise, expired]);
  } finally {
    clearTimeout(timer);
  }
}

/** @throws Error `EBADF` for a stream that is no open socket */
function descriptorOf(stream: Duplex): number {
  const { _handle: handle } = stream as Socket & { readonly _handle?: { readonly fd?: number } | null };
  return handle?.fd ?? -1;
}

function parseObject(line: Buffer): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line.toString('utf8'));
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

function asObject(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
