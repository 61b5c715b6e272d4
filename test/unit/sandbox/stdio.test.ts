import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, readFileSync, readSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { AgentClient } from '../../../host/agent/client.ts';
import { BACKLOG_BYTES, SMALL_BYTES } from '../../../host/sandbox/backlog.ts';
import { DISCARD, FifoSink, openSink, openSource } from '../../../host/sandbox/fifo.ts';
import {
  MAX_BACKLOG_READ_BYTES,
  MAX_READ_BYTES,
  MIN_READ_BYTES,
  OutputRelay,
  STDIN_CHUNK_BYTES,
  StdinPump,
  WRITER_GONE_MS,
} from '../../../host/sandbox/stdio.ts';

const PIPE_BYTES = 65536;
/** What a pipe for much output is made to hold. */
const LARGE_PIPE_BYTES = 256 * 1024;
const PIECE_BYTES = 200_000;
const REF = { container_id: 'c', exec_id: 'c' };

const test = suite<{ directory: string; path: string }>('stdio');

test.before.each((context) => {
  context.directory = mkdtempSync(join(tmpdir(), 'kata-stdio-'));
  context.path = join(context.directory, 'fifo');
  execFileSync('mkfifo', [context.path]);
});
test.after.each(({ directory }) => rmSync(directory, { recursive: true }));

function readAll(fd: number): Buffer {
  const parts: Buffer[] = [];
  for (;;) {
    const part = Buffer.alloc(PIPE_BYTES);
    let count = 0;
    try {
      count = readSync(fd, part);
    } catch {
      break;
    }
    if (count === 0) break;
    parts.push(part.subarray(0, count));
  }
  return Buffer.concat(parts);
}

/** Says what it was asked, and answers as told. */
class FakeAgent {
  readonly lengths: number[] = [];
  readonly written: Buffer[] = [];
  closed = 0;
  /** Bytes still to be read. */
  left = 0;
  take = (data: Uint8Array): number => data.length;

  async readPieces(
    _stream: string,
    _process: unknown,
    length: number,
    onPiece: (data: Uint8Array) => void,
  ): Promise<number> {
    this.lengths.push(length);
    await sleep(0);
    const size = Math.min(length, this.left);
    this.left -= size;
    // As a large answer arrives: in several parts, each gone when the next one comes.
    const part = Buffer.alloc(PIECE_BYTES);
    for (let at = 0; at < size; at += PIECE_BYTES) onPiece(part.fill(1).subarray(0, Math.min(PIECE_BYTES, size - at)));
    part.fill(0xee);
    return size;
  }
  async writeStdin(_process: unknown, data: Uint8Array): Promise<number> {
    const taken = this.take(data);
    this.written.push(Buffer.from(data.subarray(0, Math.max(taken, 0))));
    await sleep(0);
    return taken;
  }
  async closeStdin(): Promise<void> {
    this.closed++;
  }
  text(): string {
    return Buffer.concat(this.written).toString();
  }
  client(): AgentClient {
    return this as unknown as AgentClient;
  }
}

async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; tries < 2000 && !condition(); tries++) await sleep(1);
  assert.ok(condition());
}

test('a full pipe stops the reading from the guest, and a reader sets it going again', async ({ path }) => {
  const sink = new FifoSink(path);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const agent = new FakeAgent();
  const size = 8 * 1024 * 1024;
  agent.left = size;
  const relay = new OutputRelay(agent.client(), REF, 'ReadStdout', sink, 2);
  await sleep(20);
  const asked = agent.lengths.length;
  assert.ok(agent.left > size / 2, 'most of it still waits in the guest');
  await sleep(20);
  assert.is(agent.lengths.length, asked, 'nothing more is asked for');
  let received = 0;
  let done = false;
  void relay.done.then(() => {
    done = true;
  });
  while (!done || received < size) {
    received += readAll(reader).length;
    await sleep(0);
  }
  assert.is(received, size);
  assert.is(relay.moved, size);
  assert.is(Math.max(...agent.lengths), MAX_BACKLOG_READ_BYTES);
  assert.is(Math.min(...agent.lengths), MIN_READ_BYTES);
  sink.close();
  closeSync(reader);
});

test('reads grow to the most where nothing waits, and shrink when less comes', async () => {
  const agent = new FakeAgent();
  agent.left = 8 * 1024 * 1024 + 100;
  const relay = new OutputRelay(agent.client(), REF, 'ReadStdout', DISCARD, 2);
  await relay.done;
  assert.is(relay.moved, 8 * 1024 * 1024 + 100);
  assert.is(agent.lengths[0], MIN_READ_BYTES);
  assert.is(Math.max(...agent.lengths), MAX_READ_BYTES);
});

test('after release a reader that is gone ends the stream', async ({ path }) => {
  const sink = new FifoSink(path);
  const rest = sink.write(Buffer.alloc(LARGE_PIPE_BYTES + PIPE_BYTES));
  assert.ok(rest, 'it does not fit');
  sink.release();
  await rest;
  assert.is(sink.write(Buffer.alloc(LARGE_PIPE_BYTES + PIPE_BYTES)), undefined, 'thrown away from here on');
  sink.close();
  sink.close();
});

test('what was written for a reader that is away waits for it, and so does the end', async ({ path }) => {
  const sink = new FifoSink(path);
  assert.is(sink.write(Buffer.from('before ')), undefined);
  sink.release();
  assert.is(sink.write(Buffer.from('and after')), undefined);
  sink.end();
  await sleep(5);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  let text = '';
  // -1: nothing there, and the end is not told yet.
  for (let count = -1; count !== 0; await sleep(5)) {
    const buffer = Buffer.alloc(100);
    try {
      count = readSync(reader, buffer);
    } catch (thrown) {
      assert.is((thrown as NodeJS.ErrnoException).code, 'EAGAIN');
      continue;
    }
    text += buffer.subarray(0, count).toString();
  }
  assert.is(text, 'before and after');
  closeSync(reader);
});

test('a reader that is there sees the end at once; one that never comes is not waited for at the close', ({ path }) => {
  const first = new FifoSink(path);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  first.release();
  assert.is(first.write(Buffer.from('x')), undefined);
  first.end();
  assert.is(readAll(reader).toString(), 'x');
  assert.is(readSync(reader, Buffer.alloc(1)), 0);
  closeSync(reader);
  const second = new FifoSink(path);
  second.write(Buffer.from('y'));
  second.release();
  second.end();
  second.close();
  assert.throws(() => openSync(path, constants.O_WRONLY | constants.O_NONBLOCK), /ENXIO/);
});

test('the reader sees the end when the sink closes', ({ path }) => {
  const sink = new FifoSink(path);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  assert.is(sink.write(Buffer.from('all of it')), undefined);
  sink.close();
  assert.is(readAll(reader).toString(), 'all of it');
  closeSync(reader);
});

test('addresses of streams', ({ directory, path }) => {
  const file = join(directory, 'deep', 'er', 'log');
  for (const text of ['one ', 'two']) {
    const sink = openSink(`file://${file}`);
    sink.write(Buffer.from(text));
    sink.close();
  }
  assert.is(readFileSync(file, 'utf8'), 'one two', 'appended to');
  openSink(`fifo://${path}`).close();
  assert.is(openSink('').write(Buffer.from('x')), undefined);
  assert.is(openSource(''), undefined);
  for (const uri of ['relative', 'http://x/y', 'binary-v2://x', '/a\0b']) assert.throws(() => openSink(uri), /stream/);
  assert.throws(() => openSource('/no/such/fifo'), /no\/such\/fifo/);
});

test('input: in pieces, in order, to its end', async ({ path }) => {
  const pump = new StdinPump(path, () => true);
  const agent = new FakeAgent();
  agent.take = (data) => Math.min(data.length, 1000);
  const text = 'abcdefghij'.repeat(5000);
  const writer = openSync(path, constants.O_WRONLY);
  writeFileSync(writer, text);
  pump.start(agent.client(), REF, false, false);
  await until(() => agent.text().length === text.length);
  assert.is(agent.closed, 0, 'the writer is still there');
  closeSync(writer);
  await until(() => agent.closed === 1);
  assert.is(agent.text(), text);
  assert.ok(agent.written.every(({ length }) => length <= STDIN_CHUNK_BYTES));
});

test('inputs share the memory they are read into: each sends its own bytes, also what was taken in part', async ({
  path,
}) => {
  const whole = new StdinPump(path, () => true);
  const other = `${path}-other`;
  execFileSync('mkfifo', [other]);
  const parts = new StdinPump(other, () => true);
  const [first, second] = [new FakeAgent(), new FakeAgent()];
  second.take = (data) => Math.ceil(data.length / 2);
  const [text, text2] = ['whole input '.repeat(5000), 'Taken in part '.repeat(4000)];
  const writers = [openSync(path, constants.O_WRONLY), openSync(other, constants.O_WRONLY)] as const;
  writeFileSync(writers[0], text);
  writeFileSync(writers[1], text2);
  whole.start(first.client(), REF, false, true);
  parts.start(second.client(), REF, false, false);
  for (const writer of writers) closeSync(writer);
  await until(() => first.closed + second.closed === 2);
  assert.is(first.text(), text);
  assert.is(second.text(), text2);
});

test('input goes on after a writer has left: containerd is away, or it is a terminal', async ({ path }) => {
  for (const terminal of [false, true]) {
    const pump = new StdinPump(path, () => terminal);
    const agent = new FakeAgent();
    pump.start(agent.client(), REF, terminal, true);
    let expected = '';
    for (const words of ['before', ' and after', ' and again']) {
      const writer = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
      writeFileSync(writer, words);
      closeSync(writer);
      expected += words;
      await until(() => agent.text() === expected);
      await sleep(WRITER_GONE_MS + 50);
      assert.is(agent.closed, 0, words);
    }
    pump.close();
    if (!terminal) await until(() => agent.closed === 1);
    pump.stop();
  }
});

test('input from a file ends with the file', async ({ directory }) => {
  const file = `${directory}/input`;
  writeFileSync(file, 'all of it', { mode: 0o400 });
  const agent = new FakeAgent();
  new StdinPump(file, () => true).start(agent.client(), REF, false, true);
  await until(() => agent.closed === 1);
  assert.is(agent.text(), 'all of it');
});

test('CloseIO with the writer still there: what was written arrives, then the end', async ({ path }) => {
  for (const early of [true, false]) {
    const pump = new StdinPump(path, () => true);
    const agent = new FakeAgent();
    const writer = openSync(path, constants.O_WRONLY);
    writeFileSync(writer, 'the last words');
    if (early) pump.close();
    pump.start(agent.client(), REF, false, true);
    pump.close();
    await until(() => agent.closed === 1);
    assert.is(agent.text(), 'the last words');
    pump.close();
    closeSync(writer);
  }
});

test("a terminal's input is never closed", async ({ path }) => {
  const pump = new StdinPump(path, () => true);
  const agent = new FakeAgent();
  const writer = openSync(path, constants.O_WRONLY);
  pump.start(agent.client(), REF, true, true);
  writeFileSync(writer, 'x');
  await until(() => agent.text() === 'x');
  closeSync(writer);
  pump.close();
  await sleep(20);
  assert.is(agent.closed, 0);
});

test('an agent that miscounts is not asked again', async ({ path }) => {
  for (const [answer, whole] of [
    [0, false],
    [-1, false],
    [1_000_000, false],
    [0, true],
    [1, true],
    [3, true],
  ] as const) {
    const pump = new StdinPump(path, () => true);
    const agent = new FakeAgent();
    let asked = 0;
    agent.take = () => {
      asked++;
      return answer;
    };
    const writer = openSync(path, constants.O_WRONLY);
    writeFileSync(writer, 'xy');
    pump.start(agent.client(), REF, false, whole);
    await until(() => asked === 1);
    await sleep(5);
    assert.is(asked, 1);
    closeSync(writer);
    pump.stop();
  }
});

test('a stalled pipe keeps what it was given, in memory of its own', async ({ path }) => {
  const sink = new FifoSink(path);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const shared = Buffer.alloc(PIECE_BYTES);
  const waits: (Promise<void> | undefined)[] = [];
  // Sizes on both sides of what shares a buffer; each piece is gone when the next one is written.
  const sizes = [LARGE_PIPE_BYTES, 1, SMALL_BYTES, SMALL_BYTES + 1, PIECE_BYTES, BACKLOG_BYTES + 1];
  const expected: Buffer[] = [];
  for (const [index, size] of sizes.entries()) {
    const piece = size > shared.length ? Buffer.alloc(size, index) : shared.subarray(0, size).fill(index);
    expected.push(Buffer.from(piece));
    waits.push(sink.write(piece));
    shared.fill(0xee);
  }
  assert.is(waits[0], undefined, 'it was made larger');
  assert.ok(waits.slice(1).every((wait) => wait));
  let done = false;
  void Promise.all(waits).then(() => {
    done = true;
  });
  const received: Buffer[] = [];
  while (!done) {
    received.push(readAll(reader));
    await sleep(0);
  }
  received.push(readAll(reader));
  assert.ok(Buffer.concat(received).equals(Buffer.concat(expected)));
  sink.close();
  closeSync(reader);
});

test.run();
