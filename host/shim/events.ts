/** Events for containerd: one ordered queue, sent one at a time, never in the way of a reply. */
import type { Socket } from 'node:net';
import { reasonOf } from '../error.ts';
import { encode, type Init, type MessageType } from '../proto/codec.ts';
import {
  TaskCreate,
  TaskDelete,
  TaskExecAdded,
  TaskExecStarted,
  TaskExit,
  TaskOOM,
  TaskPaused,
  TaskResumed,
  TaskStart,
} from '../proto/messages/events.ts';
import { EventsService, EventsServiceName } from '../proto/messages/events_ttrpc.ts';
import type { Log } from '../sandbox/log.ts';
import type { Client } from '../ttrpc/types.ts';
import { timestamp } from './time.ts';

/** Events that wait at most; the oldest is dropped for a new one beyond that. */
export const MAX_QUEUED_EVENTS = 2048;
/** How often an event is given to a containerd that does not take it, before it is dropped. */
export const MAX_TRIES = 5;
/** How long containerd may take to accept one event, ms. */
export const FORWARD_TIMEOUT_MS = 5000;
/** Wait before the n-th repetition: n times this, at most MAX_TRIES times, ms. */
export const RETRY_DELAY_MS = 1000;

/** Messages by name, with containerd's topics for them. */
const EVENTS = {
  TaskCreate: [TaskCreate, '/tasks/create'],
  TaskStart: [TaskStart, '/tasks/start'],
  TaskExecAdded: [TaskExecAdded, '/tasks/exec-added'],
  TaskExecStarted: [TaskExecStarted, '/tasks/exec-started'],
  TaskExit: [TaskExit, '/tasks/exit'],
  TaskDelete: [TaskDelete, '/tasks/delete'],
  TaskOOM: [TaskOOM, '/tasks/oom'],
  TaskPaused: [TaskPaused, '/tasks/paused'],
  TaskResumed: [TaskResumed, '/tasks/resumed'],
} as const;

export type EventName = keyof typeof EVENTS;
type Shape<N extends EventName> = (typeof EVENTS)[N][0] extends MessageType<infer T> ? Init<T> : never;

/** Takes events; what the sandbox and the Task service see of the publisher. */
export interface EventSink {
  publish<N extends EventName>(name: N, event: Shape<N>): void;
}

interface Queued {
  readonly topic: string;
  readonly typeUrl: string;
  readonly value: Uint8Array;
  readonly at: Date;
  tries: number;
}

export interface PublisherOptions {
  readonly namespace: string;
  /** Opens a connection to containerd's ttrpc address; undefined: containerd gave none, events are only logged. */
  readonly connect: (() => Promise<Socket>) | undefined;
  readonly client: (socket: Socket) => Client;
  readonly log: Log;
  /** ms; tests shorten it. */
  readonly retryDelayMs?: number;
}

/** Sends events in order; retries; reconnects when containerd was restarted. */
export class Publisher implements EventSink {
  private readonly queue: Queued[] = [];
  private connection: Client | undefined;
  private sending: Promise<void> | undefined;
  private closed = false;
  private wake: (() => void) | undefined;

  constructor(private readonly options: PublisherOptions) {}

  publish<N extends EventName>(name: N, event: Shape<N>): void {
    const [type, topic] = EVENTS[name] as readonly [MessageType<unknown>, string];
    this.options.log.debug('event', { topic });
    if (!this.options.connect || this.closed) return;
    if (this.queue.length >= MAX_QUEUED_EVENTS) {
      const lost = this.queue.shift();
      this.options.log.warn('event dropped: the queue is full', { topic: lost?.topic });
    }
    const value = encode(type, event as Init<unknown>);
    this.queue.push({ topic, typeUrl: type.name, value, at: new Date(), tries: 0 });
    this.sending ??= this.send().finally(() => {
      this.sending = undefined;
    });
  }

  /** Resolves when everything published so far was sent or dropped, or after `timeoutMs`. */
  async flush(timeoutMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, timeoutMs);
    });
    await Promise.race([this.sending, late]);
    clearTimeout(timer);
  }

  /** Drops what is left and closes the connection. */
  close(): void {
    this.closed = true;
    this.queue.length = 0;
    this.wake?.();
    this.connection?.close('the shim ends');
    this.connection = undefined;
  }

  private async send(): Promise<void> {
    // The head stays in the queue while it is sent, so that order survives a retry; it may be dropped meanwhile.
    let absences = 0;
    for (let head = this.queue[0]; head; head = this.queue[0]) {
      const client = await this.connected();
      const failure = client ? await this.forward(client, head) : undefined;
      if (!client || (failure !== undefined && this.connection === undefined)) {
        // containerd is down, perhaps for long: events wait for it, as many as the queue holds.
        if (this.closed) return;
        absences = Math.min(absences + 1, MAX_TRIES);
        await this.pause(absences);
        continue;
      }
      absences = 0;
      if (this.queue[0] !== head) continue;
      if (failure === undefined) {
        this.queue.shift();
        continue;
      }
      head.tries++;
      if (head.tries < MAX_TRIES) {
        await this.pause(head.tries);
        continue;
      }
      this.queue.shift();
      this.options.log.warn('event dropped', { topic: head.topic, tries: head.tries, error: failure });
    }
  }

  /** Sends one event; returns why it failed. */
  private async forward(client: Client, event: Queued): Promise<string | undefined> {
    try {
      const envelope = {
        timestamp: timestamp(event.at),
        namespace: this.options.namespace,
        topic: event.topic,
        event: { type_url: event.typeUrl, value: event.value },
      };
      await client.call(
        EventsServiceName,
        'Forward',
        EventsService.Forward,
        { envelope },
        { timeoutMs: FORWARD_TIMEOUT_MS },
      );
      return undefined;
    } catch (thrown) {
      return reasonOf(thrown);
    }
  }

  /** undefined: containerd cannot be reached. */
  private async connected(): Promise<Client | undefined> {
    if (this.connection) return this.connection;
    const { connect } = this.options;
    if (!connect || this.closed) return undefined;
    try {
      const client = this.options.client(await connect());
      this.connection = client;
      void client.closed.then(() => {
        if (this.connection === client) this.connection = undefined;
      });
      return client;
    } catch {
      return undefined;
    }
  }

  private pause(times: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, times * (this.options.retryDelayMs ?? RETRY_DELAY_MS));
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
