/**
 * The one file that touches net's private handles: sockets whose bytes libuv reads straight into memory of ours.
 *
 * `onread` is public for outgoing connections only. For accepted ones the listening handle's `onconnection` is taken
 * over, for sockets somebody else made their handle is wrapped anew. Where a handle is not what we know (Node 12 to 26),
 * 'data' events are copied instead.
 */
import net from 'node:net';
import { linger } from './linger.ts';

/** Takes what a socket reads. */
export interface Reads {
  /** Where the next read goes; never empty. */
  buffer(): Uint8Array;
  /** So many bytes have been read into the last buffer. What it throws closes the socket. */
  received(length: number): void;
  /**
   * True when only half of that has been worked on: `handRest` is called once everything the first half has led to is done,
   * and before anything else is read into the same memory. `buffer` may be asked for before that.
   */
  readonly hasRest?: boolean;
  handRest?(): void;
}

/** A connection that was accepted and has no socket yet. */
export interface Accepted {
  /** Descriptor, for peer credentials; -1 if unknown. */
  readonly fd: number;
  /** Makes the socket; it reads at once. */
  open(reads: Reads): net.Socket;
  refuse(): void;
}

interface Handle {
  readonly fd?: number;
  reading?: boolean;
  readStop(): number;
  close(): void;
}

interface ListeningHandle {
  onconnection: (status: number, handle: Handle | undefined) => void;
}

type WithHandle = { _handle: Handle | null };
type OnRead = { buffer: () => Uint8Array; callback: (length: number) => boolean };

/** Hands over every connection that a listening server accepts from now on. */
export function acceptConnections(server: net.Server, each: (accepted: Accepted) => void): void {
  const listening = (server as unknown as { _handle: ListeningHandle | null })._handle;
  if (typeof listening?.onconnection === 'function') {
    listening.onconnection = (status, handle) => {
      if (status !== 0 || !handle) return;
      each({
        fd: handle.fd ?? -1,
        open: (reads) => wrap(handle, reads),
        refuse: () => handle.close(),
      });
    };
    return;
  }
  server.on('connection', (socket) => {
    each({
      fd: (socket as unknown as Partial<WithHandle>)._handle?.fd ?? -1,
      open: (reads) => takeOver(socket, reads),
      refuse: () => socket.destroy(),
    });
  });
}

/** Connects to a unix socket. The result is still connecting. */
export function connectTo(path: string, reads: Reads): net.Socket {
  // @types/node knows a fixed buffer only.
  const onread = onRead(reads, (error) => socket.destroy(error));
  const socket = net.connect({ path, onread } as unknown as net.SocketConstructorOpts & net.IpcNetConnectOpts);
  return socket.resume();
}

/**
 * Makes a connected socket's bytes go to `reads`. Use the result instead of `socket`, which ends with it.
 * Bytes that `socket` has buffered are delivered first.
 */
export function takeOver(socket: net.Socket, reads: Reads): net.Socket {
  const owner = socket as unknown as Partial<WithHandle>;
  const handle = owner._handle;
  const untouched = !socket.destroyed && !socket.connecting && !socket.readableEnded;
  if (
    untouched &&
    socket.readableLength === 0 &&
    socket.writableLength === 0 &&
    typeof handle?.readStop === 'function'
  ) {
    handle.readStop();
    handle.reading = false;
    owner._handle = null;
    const taken = wrap(handle, reads);
    taken.once('close', () => socket.destroy());
    socket.once('close', () => taken.destroy());
    return taken;
  }
  copyInto(socket, reads);
  return socket;
}

/** Delivers 'data' events by copying: the fallback. */
export function copyInto(socket: net.Socket, reads: Reads): void {
  socket.on('data', (chunk: Buffer) => {
    for (let at = 0; at < chunk.length; ) {
      // Such data comes at any time, and is put into the same memory.
      handRest?.();
      const room = reads.buffer();
      const part = chunk.subarray(at, at + room.length);
      room.set(part);
      at += part.length;
      if (!delivered(reads, part.length, (error) => socket.destroy(error))) return;
    }
  });
}

function wrap(handle: Handle, reads: Reads): net.Socket {
  const onread = onRead(reads, (error) => socket.destroy(error));
  const socket = new net.Socket({ handle, onread } as unknown as net.SocketConstructorOpts);
  // Without resume() neither 'end' nor 'close' would come.
  return socket.resume();
}

function onRead(reads: Reads, onError: (error: Error) => void): OnRead {
  return {
    buffer: () => reads.buffer(),
    callback: (length) => delivered(reads, length, onError),
  };
}

/** Nothing that a peer sends may end the process, whatever it brings to light: such an error ends its connection. */
function delivered(reads: Reads, length: number, onError: (error: Error) => void): boolean {
  return guarded(onError, () => {
    reads.received(length);
    linger()?.received(length);
    if (reads.hasRest) handRestLater(() => guarded(onError, () => reads.handRest?.()));
  });
}

function guarded(onError: (error: Error) => void, work: () => void): boolean {
  try {
    work();
    return true;
  } catch (thrown) {
    onError(thrown instanceof Error ? thrown : new Error(String(thrown)));
    return false;
  }
}

/** Hands over the rest of the last read, if it has one: all connections read into one memory. */
let handRest: (() => void) | undefined;

function handRestLater(hand: () => void): void {
  const now = (): void => {
    if (handRest !== now) return;
    handRest = undefined;
    hand();
  };
  handRest = now;
  // Behind all microtasks, and behind the ticks that these have asked for; no read comes between.
  queueMicrotask(() => process.nextTick(() => process.nextTick(now)));
}
