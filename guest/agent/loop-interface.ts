/** What the container services need of the agent's event loop, and what a handler is. loop.ts implements `Loop`. */
import type { Init, MessageType } from '../../host/proto/codec.ts';

export const POLLIN = 1;
export const POLLPRI = 2;
export const POLLOUT = 4;
/** Reported without being asked for. */
export const POLLERR = 8;
/** Reported without being asked for. */
export const POLLHUP = 16;

export interface Loop {
  /**
   * Calls back each time `fd` is ready (level-triggered) for `events`, POLLERR or POLLHUP, until the returned function is called.
   * Several watches of one descriptor are independent. The callback may end this watch and any other, and close the descriptor
   * after that. A callback that throws is logged and its watch ended; it never ends the loop.
   */
  watch(fd: number, events: number, callback: (revents: number) => void): () => void;
  /** Resolves after `ms` milliseconds. */
  sleep(ms: number): Promise<void>;
  /**
   * Resolves with the exit status (128 + signal) of a child, own or adopted (container processes are born as grandchildren).
   * Also when it was reaped before this call: statuses nobody has asked for are kept (the last 4096), and handed out once.
   * Two calls for one pid that still runs both get the status.
   */
  exited(pid: number): Promise<number>;
}

/** What a handler may know of its call. */
export interface Call {
  /** True once the caller can no longer be answered: its connection has closed or its deadline has passed. */
  readonly gone: boolean;
  /**
   * Moves up to `most` bytes out of a pipe; they become the only `bytes` field of this call's answer, and never pass through the agent's
   * memory. The bytes moved; 0: the end; -1: nothing there yet; undefined: not possible (now), they have to be read.
   */
  hold?(pipe: number, most: number): number | undefined;
}

/** Serves one method. `bytes` fields of the request must be copied to be kept. */
export type Handler<Req, Res> = (request: Req, call?: Call) => Promise<Init<Res>> | Init<Res>;

/** Handlers for some or all methods of a generated `…Service` table; a missing one answers `unimplemented`. */
export type Handlers<T> = {
  readonly [K in keyof T]?: T[K] extends readonly [MessageType<infer Req>, MessageType<infer Res>]
    ? Handler<Req, Res>
    : never;
};
