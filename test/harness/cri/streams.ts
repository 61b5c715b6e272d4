/**
 * Exec, Attach and PortForward: a call gives a URL, a WebSocket to it carries channels. Every message begins with its channel's
 * number (subprotocol v4.channel.k8s.io). The protocol has no end of stdin but the end of the connection.
 */
import { WebSocket } from 'ws';
import type { NodeNetwork } from './node-network.ts';

const PROTOCOL = 'v4.channel.k8s.io';
const STDIN = 0;
const STDOUT = 1;
const STDERR = 2;
const STATUS = 3;
const RESIZE = 4;
/** Bytes of a forwarded port's number, little endian, that begin each of its channels. */
const PORT_BYTES = 2;
/** Bytes not yet sent at which writers wait. */
const HIGH_WATER = 1024 * 1024;

/** What a command did: as far as it is known, also when the connection ended early. */
export interface Ended {
  readonly stdout: string;
  readonly stderr: string;
  /** Exit code; undefined: the server did not say. */
  readonly code: number | undefined;
  /** The server's words when it is neither success nor an exit code. */
  readonly failure: string | undefined;
}

export interface SessionOptions {
  /** Takes stdout piece by piece instead of it being kept. */
  readonly onStdout?: (chunk: Buffer) => void;
}

/** Opens the WebSocket of `url` in the daemon's network namespace. */
export async function openSocket(url: string, network: NodeNetwork, more = ''): Promise<WebSocket> {
  const { hostname, port } = new URL(url);
  const connection = await network.connect(hostname, Number(port));
  const socket = new WebSocket(url.replace(/^http/, 'ws') + more, [PROTOCOL], {
    createConnection: () => connection.resume(),
    perMessageDeflate: false,
  });
  return socket;
}

/** An Exec or an Attach. */
export class Session {
  #stdout: Buffer[] = [];
  #stderr: Buffer[] = [];
  #status = '';
  readonly #listeners = new Set<() => void>();
  /** Settles when the connection has ended, whoever ended it. */
  readonly ended: Promise<Ended>;

  constructor(
    readonly socket: WebSocket,
    readonly options: SessionOptions = {},
  ) {
    socket.on('message', (message: Buffer) => this.#take(message));
    this.ended = new Promise((resolve, reject) => {
      socket.on('close', () => resolve(this.#result()));
      socket.on('error', reject);
    });
    this.ended.catch(() => {});
  }

  /** Resolves once the server has answered. @throws Error with what it said instead */
  async opened(): Promise<this> {
    if (this.socket.readyState === WebSocket.CONNECTING) {
      await new Promise((resolve, reject) => {
        this.socket.once('open', resolve);
        this.socket.once('error', reject);
      });
    }
    return this;
  }

  /** What has come on stdout until now. */
  get stdout(): string {
    return Buffer.concat(this.#stdout).toString();
  }

  get stderr(): string {
    return Buffer.concat(this.#stderr).toString();
  }

  /** Sends to stdin; resolves when more may be sent. */
  async write(data: string | Uint8Array): Promise<void> {
    await this.#send(STDIN, typeof data === 'string' ? Buffer.from(data) : data);
  }

  async resize(columns: number, rows: number): Promise<void> {
    await this.#send(RESIZE, Buffer.from(JSON.stringify({ Width: columns, Height: rows })));
  }

  /** Ends the connection, and with it stdin. */
  close(): void {
    this.socket.close();
  }

  /** Waits until stdout has `text`. @throws Error when the connection ends before */
  async until(text: string): Promise<void> {
    if (this.stdout.includes(text)) return;
    await new Promise<void>((resolve, reject) => {
      const look = () => {
        if (!this.stdout.includes(text)) return;
        this.#listeners.delete(look);
        resolve();
      };
      this.#listeners.add(look);
      this.ended.then(
        (ended) => reject(new Error(`ended without ${JSON.stringify(text)}: ${JSON.stringify(ended)}`)),
        reject,
      );
    });
  }

  #send(channel: number, data: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      const bytes = Buffer.concat([Buffer.from([channel]), data]);
      const wait = this.socket.bufferedAmount > HIGH_WATER;
      this.socket.send(bytes, (error) => (error ? reject(error) : resolve()));
      if (!wait) resolve();
    });
  }

  #take(message: Buffer): void {
    const data = message.subarray(1);
    if (message[0] === STDOUT) {
      if (this.options.onStdout) this.options.onStdout(data);
      else this.#stdout.push(data);
    } else if (message[0] === STDERR) this.#stderr.push(data);
    else if (message[0] === STATUS) this.#status += data.toString();
    for (const listener of this.#listeners) listener();
  }

  #result(): Ended {
    const { stdout, stderr } = this;
    return { stdout, stderr, ...meaning(this.#status) };
  }
}

/** A connection to a port in a pod, through the daemon. */
export class ForwardedPort {
  #data: Buffer[] = [];
  #bytes = 0;
  #error = '';
  /** Bytes of each channel's beginning that are still to be skipped. */
  readonly #skip = [PORT_BYTES, PORT_BYTES];
  readonly #listeners = new Set<() => void>();
  /** Settles when the connection has ended. */
  readonly ended: Promise<void>;

  /** @param keep whether what comes is kept; otherwise only counted */
  constructor(
    readonly socket: WebSocket,
    readonly keep = true,
  ) {
    socket.on('message', (message: Buffer) => this.#take(message));
    this.ended = new Promise((resolve, reject) => {
      socket.on('close', () => resolve());
      socket.on('error', reject);
    });
    this.ended.catch(() => {});
  }

  /** What has come until now. */
  get data(): string {
    return this.raw.toString();
  }

  get raw(): Buffer {
    if (this.#data.length > 1) this.#data = [Buffer.concat(this.#data)];
    return this.#data[0] ?? Buffer.alloc(0);
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** What the daemon says has gone wrong; empty: nothing. */
  get error(): string {
    return this.#error;
  }

  async opened(): Promise<this> {
    if (this.socket.readyState === WebSocket.CONNECTING) {
      await new Promise((resolve, reject) => {
        this.socket.once('open', resolve);
        this.socket.once('error', reject);
      });
    }
    return this;
  }

  write(data: string | Uint8Array): Promise<void> {
    const bytes = Buffer.concat([Buffer.from([0]), Buffer.from(data)]);
    return new Promise((resolve, reject) => {
      this.socket.send(bytes, (error) => (error ? reject(error) : resolve()));
    });
  }

  /** Waits for data or an error that `condition` accepts; also ends with the connection. */
  async until(condition: (port: ForwardedPort) => boolean): Promise<void> {
    if (condition(this)) return;
    let look: () => void = () => {};
    const held = new Promise<void>((resolve) => {
      look = () => {
        if (condition(this)) resolve();
      };
      this.#listeners.add(look);
    });
    await Promise.race([held, this.ended]);
    this.#listeners.delete(look);
  }

  close(): void {
    this.socket.close();
  }

  #take(message: Buffer): void {
    const channel = message[0] ?? 0;
    let data = message.subarray(1);
    const skip = Math.min(this.#skip[channel] ?? 0, data.length);
    this.#skip[channel] = (this.#skip[channel] ?? 0) - skip;
    data = data.subarray(skip);
    if (channel === 1) this.#error += data.toString();
    else {
      this.#bytes += data.length;
      if (this.keep) this.#data.push(data);
    }
    for (const listener of this.#listeners) listener();
  }
}

interface Status {
  status?: string;
  message?: string;
  details?: { causes?: { reason?: string; message?: string }[] };
}

function meaning(text: string): { code: number | undefined; failure: string | undefined } {
  if (text === '') return { code: undefined, failure: undefined };
  const status = JSON.parse(text) as Status;
  if (status.status === 'Success') return { code: 0, failure: undefined };
  const code = status.details?.causes?.find(({ reason }) => reason === 'ExitCode')?.message;
  return code === undefined
    ? { code: undefined, failure: status.message ?? text }
    : { code: Number(code), failure: undefined };
}
