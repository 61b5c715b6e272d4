/** Unix sockets in a temporary directory, and a peer that speaks frames by hand. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decode } from '../../../host/proto/codec.ts';
import { Response } from '../../../host/proto/messages/ttrpc.ts';
import { split, type WireFrame } from './wire.ts';

const directory = mkdtempSync(join(tmpdir(), 'kata-ttrpc-'));
process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
let count = 0;

export function socketPath(): string {
  return join(directory, `${count++}.sock`);
}

export async function listen(path: string): Promise<net.Server> {
  const server = net.createServer();
  server.listen(path);
  await once(server, 'listening');
  return server;
}

/** One end of a connection, written and read frame by frame. */
export class RawPeer {
  readonly closed: Promise<void>;
  #bytes = Buffer.alloc(0);
  #frames: WireFrame[] = [];
  #wake: (() => void) | undefined;
  #ended = false;

  constructor(readonly socket: net.Socket) {
    socket.on('data', (chunk) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk]);
      const { frames, end } = split(this.#bytes);
      this.#bytes = this.#bytes.subarray(end);
      this.#frames.push(...frames);
      this.#wake?.();
    });
    socket.on('error', () => {});
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.#ended = true;
        this.#wake?.();
        resolve();
      });
    });
  }

  static async connect(path: string): Promise<RawPeer> {
    const socket = net.connect(path);
    await once(socket, 'connect');
    return new RawPeer(socket);
  }

  write(...frames: Uint8Array[]): void {
    this.socket.write(Buffer.concat(frames));
  }

  /** The next frame. @throws Error once the connection is closed */
  async next(): Promise<WireFrame> {
    for (;;) {
      const frame = this.#frames.shift();
      if (frame) return frame;
      if (this.#ended) throw new Error('closed');
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async response(): Promise<{ stream: number; code: number; text: string; payload: Uint8Array }> {
    const { stream, data } = await this.next();
    const { status, payload } = decode(Response, data);
    return { stream, code: status?.code ?? 0, text: status?.message ?? '', payload };
  }
}

/** Resolves when `condition` holds, looking once a turn of the event loop. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1));
}
