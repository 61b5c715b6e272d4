/** Bytes to and from a peer that is under test, over a unix socket. */
import { once } from 'node:events';
import net from 'node:net';
import { FAULT_NONE, RECORD_FAULT, RECORD_STREAM, RECORD_WORDS, STATE_CONSUMED } from '../../assembly/layout.ts';
import { JsScanner } from '../../host/ttrpc/frame-scanner.ts';
import type { Random } from './random.ts';

/** How long a peer may take to answer or close, ms; it takes microseconds. */
const PATIENCE_MS = 20_000;
/** Growth of the heap that many cases may leave, bytes. */
export const HEAP_ROOM = 16 * 1024 * 1024;

/** Writes in pieces of any size, with and without turns of the event loop between them. */
export async function writePieces(socket: net.Socket, bytes: Uint8Array, random: Random): Promise<void> {
  for (let at = 0; at < bytes.length && !socket.destroyed; ) {
    const end = random.once(3) ? bytes.length : at + random.size(bytes.length - at);
    socket.write(Uint8Array.prototype.slice.call(bytes, at, end));
    at = end;
    if (at < bytes.length) await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Everything that comes until the peer closes. @throws Error if it does not */
export async function readToEnd(socket: net.Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk) => chunks.push(chunk));
  await within(
    new Promise<void>((resolve) => {
      if (socket.destroyed) resolve();
      else socket.once('close', () => resolve());
    }),
    'the connection is neither served to its end nor closed',
  );
  return Buffer.concat(chunks);
}

/** @throws Error with `complaint` where it takes too long */
export async function within<T>(work: Promise<T>, complaint: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(complaint)), PATIENCE_MS);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The stream ids of whole frames without a fault. @throws Error where they are not */
export function streamsOf(bytes: Buffer): number[] {
  const scanner = new JsScanner(bytes);
  const streams: number[] = [];
  for (let at = 0; at < bytes.length; at = scanner.state[STATE_CONSUMED] as number) {
    const count = scanner.scan(at, bytes.length);
    if (count === 0) throw new Error(`the last ${bytes.length - at} bytes of what was answered are no frame`);
    for (let record = 0; record < count * RECORD_WORDS; record += RECORD_WORDS) {
      if (scanner.records[record + RECORD_FAULT] !== FAULT_NONE) throw new Error('an answer is no ttrpc message');
      streams.push(scanner.records[record + RECORD_STREAM] as number);
    }
  }
  return streams;
}

export async function connect(path: string): Promise<net.Socket> {
  const socket = net.connect(path);
  socket.on('error', () => {});
  await once(socket, 'connect');
  return socket;
}
