/** Moves a process's output from the guest to its sinks, and its input the other way, with backpressure both ways. */
import { closeSync } from 'node:fs';
import { type OnReadOpts, Socket, type SocketConstructorOpts } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import type { AgentClient, ProcessRef } from '../agent/client.ts';
import { openSource, readNow, type Sink, type Source } from './fifo.ts';

/** Output asked for at once, bytes: from the least, doubled while answers come back full, to the most. */
export const MIN_READ_BYTES = 32 * 1024;
export const MAX_READ_BYTES = 1024 * 1024;
/** The most while the reader is slower than the guest, bytes: all of it may have to wait here. */
export const MAX_BACKLOG_READ_BYTES = 512 * 1024;
/** Input sent at once, bytes. */
export const STDIN_CHUNK_BYTES = 64 * 1024;
/** How long after the last writer's end it is looked whether that was containerd's own, ms: its connections end a moment later. */
export const WRITER_GONE_MS = 300;

/** One stream of output. */
export class OutputRelay {
  /** Settles (never rejects) when the guest has no more, or cannot be asked. */
  readonly done: Promise<void>;
  /** Bytes that came from the guest. */
  private given = 0;
  private length = MIN_READ_BYTES;
  private ended = false;
  /** Settles when the sink has taken what it has been given. */
  private backlog: Promise<void> | undefined;

  /**
   * @param readsInFlight more than one only for an agent that answers reads of a stream in their order
   */
  constructor(
    private readonly agent: AgentClient,
    private readonly process: ProcessRef,
    private readonly stream: 'ReadStdout' | 'ReadStderr',
    private readonly sink: Sink,
    readsInFlight: number,
  ) {
    this.done = Promise.all(Array.from({ length: readsInFlight }, () => this.pump())).then(() => {});
  }

  /** Bytes moved so far; tells a slow reader from a stuck one. */
  get moved(): number {
    return this.given - this.sink.waiting;
  }

  /** Asks for nothing more; what was asked for is thrown away. */
  stop(): void {
    this.ended = true;
  }

  private async pump(): Promise<void> {
    try {
      while (!this.ended) {
        const { length } = this;
        const size = await this.agent.readPieces(this.stream, this.process, length, this.take);
        if (size === 0) this.ended = true;
        this.adapt(size, length);
        // A full pipe stops the asking.
        if (this.backlog) await this.backlog;
      }
    } catch {
      // The process is unknown by now, or the guest is gone: the same as an end, and reported by whoever waits for it.
      this.ended = true;
    }
  }

  private readonly take = (data: Uint8Array): void => {
    if (this.ended) return;
    this.given += data.length;
    this.backlog = this.sink.write(data);
  };

  private adapt(size: number, length: number): void {
    if (size === length) {
      this.length = Math.min(length * 2, MAX_READ_BYTES);
      keepHeapSmall();
    } else if (size < length / 4) this.length = Math.max(MIN_READ_BYTES, this.length / 2);
    if (this.backlog) this.length = Math.min(this.length, MAX_BACKLOG_READ_BYTES);
  }
}

let input: Buffer | undefined;

/** What every process's input is read into: a request has its own copy of it, in the memory it is sent from, before the next read. */
function inputBuffer(): Buffer {
  input ??= Buffer.allocUnsafeSlow(STDIN_CHUNK_BYTES);
  return input;
}

let kept = false;

/**
 * From the first stream of much output on V8's young generation does not grow any more: what each answer leaves behind for it would make
 * it several MiB larger for good, although little of that lives. Not before: compiled code is taken over only while the flags are as
 * they were when it was compiled.
 */
function keepHeapSmall(): void {
  if (kept) return;
  kept = true;
  setFlagsFromString('--semi-space-growth-factor=1');
}

/**
 * A process's input. Opened before the process starts, so that a writer is never kept waiting for a reader.
 *
 * It ends by CloseIO, or when the last writer has left and nobody else came. Two departures are no end: that of a containerd which
 * is started anew, and that of a client which detaches from a terminal.
 */
export class StdinPump {
  private source: Source | undefined;
  private departure: NodeJS.Timeout | undefined;
  private socket: Socket | undefined;
  private running:
    | { readonly agent: AgentClient; readonly process: ProcessRef; readonly terminal: boolean; readonly whole: boolean }
    | undefined;
  private sending = false;
  private closing = false;
  private finished = false;

  /**
   * @param uri empty: no input; the process reads end of file at once
   * @param attended whether containerd is there
   * @throws KataError `invalid_argument` when it cannot be opened
   */
  constructor(
    private readonly uri: string,
    private readonly attended: () => boolean,
  ) {
    this.source = openSource(uri);
  }

  /**
   * The process runs: from here on it gets its input.
   * @param whole the agent answers when the process has taken all it was sent, never before: it need not be kept here
   */
  start(agent: AgentClient, process: ProcessRef, terminal: boolean, whole: boolean): void {
    if (this.finished || this.running) return;
    this.running = { agent, process, terminal, whole };
    const { source } = this;
    if (!source) {
      this.finish();
      return;
    }
    if (this.closing || !source.fifo) {
      void this.drain();
      return;
    }
    this.listen(source);
  }

  /** CloseIO: what is in the pipe by now still goes to the process, then it sees the end. Never waits. */
  close(): void {
    if (this.closing || this.finished) return;
    this.closing = true;
    if (this.running && !this.sending) void this.drain();
  }

  /** The process has ended. Idempotent. */
  stop(): void {
    if (this.finished) return;
    this.finished = true;
    this.release();
  }

  private listen({ fd }: Source): void {
    const bytes = inputBuffer();
    const options: SocketConstructorOpts & { onread: OnReadOpts } = {
      fd,
      readable: true,
      writable: false,
      onread: { buffer: bytes, callback: (count) => this.arrived(bytes.subarray(0, count)) },
    };
    this.socket = new Socket(options);
    this.socket.on('end', () => this.departed());
    this.socket.on('error', () => this.finish());
    this.socket.resume();
  }

  /** The last writer has left: the pipe is opened anew, for those who may come. */
  private departed(): void {
    if (this.finished) return;
    this.release();
    try {
      this.source = openSource(this.uri);
    } catch {
      this.source = undefined;
    }
    if (!this.source || this.closing) {
      this.finish();
      return;
    }
    this.listen(this.source);
    this.departure = setTimeout(() => {
      if (this.attended() && !this.running?.terminal) this.finish();
    }, WRITER_GONE_MS);
  }

  /** Returns false: the socket reads on when the guest has taken this. */
  private arrived(data: Uint8Array): boolean {
    clearTimeout(this.departure);
    if (this.finished) return false;
    void this.send(data).then(() => {
      if (this.finished) return;
      if (this.closing) void this.drain();
      else this.socket?.resume();
    });
    return false;
  }

  private async send(data: Uint8Array): Promise<void> {
    if (!this.running) return;
    this.sending = true;
    const { agent, process, whole } = this.running;
    // What an agent has not taken is sent again.
    const kept = whole ? data : new Uint8Array(data);
    const { length } = data;
    try {
      let sent = 0;
      while (sent < length && !this.finished) {
        const taken = await agent.writeStdin(process, kept.subarray(sent));
        // An agent that takes nothing, or more than it was given, is not asked again.
        if (taken <= 0 || taken > length - sent || (whole && taken < length))
          throw new Error('the guest agent miscounts input');
        sent += taken;
      }
    } catch {
      this.stop();
    }
    this.sending = false;
  }

  /** Sends what is there without waiting for more, then ends. Every byte written before CloseIO is in the pipe by now. */
  private async drain(): Promise<void> {
    const { source } = this;
    if (!source || this.sending || this.finished) return;
    this.socket?.pause();
    const bytes = inputBuffer();
    for (let count = readNow(source.fd, bytes); count > 0; count = readNow(source.fd, bytes)) {
      await this.send(bytes.subarray(0, count));
      if (this.finished) return;
    }
    this.finish();
  }

  private finish(): void {
    if (this.finished) return;
    this.finished = true;
    this.release();
    const { running } = this;
    // Closing a terminal's input would close the terminal itself, and the last of its output with it.
    if (!running || running.terminal) return;
    // An error means that the process is gone.
    running.agent.closeStdin(running.process).catch(() => {});
  }

  private release(): void {
    clearTimeout(this.departure);
    if (this.socket) this.socket.destroy();
    else if (this.source) closeSync(this.source.fd);
    this.socket = undefined;
    this.source = undefined;
  }
}
