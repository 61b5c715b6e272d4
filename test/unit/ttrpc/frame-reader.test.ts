import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  FAULT_OVERSIZE,
  FRAME_HEADER_BYTES,
  RECORD_FAULT,
  RECORD_PAYLOAD,
  RECORD_PAYLOAD_LENGTH,
  RECORD_STREAM,
  WINDOW_BYTES,
} from '../../../assembly/layout.ts';
import { core } from '../../../host/core/core.ts';
import { FrameReader, type PieceTaker } from '../../../host/ttrpc/frame-reader.ts';
import type { FrameScanner } from '../../../host/ttrpc/frames.ts';
import { frameMemory } from '../../../host/ttrpc/memory.ts';
import type { Reads } from '../../../host/ttrpc/socket.ts';
import { MAX_DATA_BYTES } from '../../../host/ttrpc/types.ts';
import { DATA, frame } from './wire.ts';

const SEED = 20260104;
const test = suite('frame reader');

/** What came, in brief: stream and payload's bytes, or the fault. */
class Sink {
  readonly got: string[] = [];
  stopAfter = Number.POSITIVE_INFINITY;
  /** Frames of these streams are taken in pieces once so many of their bytes are there; 0: none are. */
  piecesFrom = 0;
  pieces = 0;
  readonly reader = new FrameReader(
    (scanner, record) => this.#frame(scanner, record),
    (scanner, start, end) => this.#part(scanner, start, end),
  );

  #part({ bytes }: FrameScanner, start: number, end: number): PieceTaker | undefined {
    const stream = bytes[start + 7] as number;
    if (this.piecesFrom === 0 || stream % 2 === 0 || end - start < this.piecesFrom) return undefined;
    const parts: Buffer[] = [];
    this.pieces++;
    return {
      start: start + FRAME_HEADER_BYTES,
      piece: (data) => parts.push(Buffer.from(data)),
      end: () => {
        this.got.push(`${stream}: ${digest(Buffer.concat(parts))}`);
        return this.got.length < this.stopAfter;
      },
    };
  }

  #frame({ records, bytes }: FrameScanner, record: number): boolean {
    const start = records[record + RECORD_PAYLOAD] as number;
    const length = records[record + RECORD_PAYLOAD_LENGTH] as number;
    const oversize = records[record + RECORD_FAULT] === FAULT_OVERSIZE;
    const data = oversize ? `oversize ${length}` : digest(bytes.subarray(start, start + length));
    this.got.push(`${records[record + RECORD_STREAM]}: ${data}`);
    return this.got.length < this.stopAfter;
  }
}

function digest(data: Uint8Array): string {
  let sum = 0;
  for (const byte of data) sum = (sum * 31 + byte) >>> 0;
  return `${data.length}/${sum}`;
}

/** Reads as a socket would: into what the reader offers, asking for the next buffer only after a read was handled. */
class Feed {
  #buffer: Uint8Array;
  constructor(readonly reads: Reads) {
    this.#buffer = reads.buffer();
  }

  push(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      const part = bytes.subarray(at, at + this.#buffer.length);
      this.#buffer.set(part);
      at += part.length;
      this.reads.received(part.length);
      if (this.reads.hasRest) this.reads.handRest?.();
      this.#buffer = this.reads.buffer();
      assert.ok(this.#buffer.length > 0);
    }
  }
}

function payloadFrame(stream: number, size: number): Buffer {
  return frame(stream, DATA, Buffer.alloc(size, stream + 1));
}

function expected(stream: number, size: number): string {
  return `${stream}: ${digest(Buffer.alloc(size, stream + 1))}`;
}

test('connections that share the window, cut anywhere', () => {
  const size = fc.oneof(
    fc.nat(40),
    fc.nat(5000),
    fc.constantFrom(WINDOW_BYTES - 10, WINDOW_BYTES - 9, WINDOW_BYTES + 5),
  );
  const connection = fc.array(size, { minLength: 1, maxLength: 6 });
  const cuts = fc.infiniteStream(
    fc.oneof(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 1, max: 2 * WINDOW_BYTES })),
  );
  fc.assert(
    fc.property(fc.array(connection, { minLength: 1, maxLength: 3 }), cuts, fc.nat(40), (connections, chunks, from) => {
      const peers = connections.map((sizes) => {
        const sink = new Sink();
        sink.piecesFrom = from < FRAME_HEADER_BYTES ? 0 : from;
        const bytes = Buffer.concat(sizes.map((bytes, i) => payloadFrame(i, bytes)));
        return { sizes, sink, feed: new Feed(sink.reader), bytes, at: 0 };
      });
      for (let turn = 0, open = peers; open.length > 0; turn++) {
        const peer = open[turn % open.length] as (typeof peers)[number];
        // Small cuts in the middle of large frames would take for ever.
        const next = Math.max(chunks.next().value as number, peer.bytes.length > 10_000 ? 4000 : 1);
        peer.feed.push(peer.bytes.subarray(peer.at, peer.at + next));
        peer.at += next;
        open = open.filter(({ at, bytes }) => at < bytes.length);
      }
      for (const { sizes, sink } of peers)
        assert.equal(
          sink.got,
          sizes.map((bytes, i) => expected(i, bytes)),
        );
    }),
    { seed: SEED, numRuns: 150 },
  );
});

test('a frame in pieces: nothing is kept of it, and what follows in the same read comes after it', () => {
  const sink = new Sink();
  sink.piecesFrom = 20;
  const feed = new Feed(sink.reader);
  const frames = [payloadFrame(1, MAX_DATA_BYTES), payloadFrame(2, 30), payloadFrame(3, 100), payloadFrame(4, 1)];
  const bytes = Buffer.concat(frames);
  feed.push(bytes.subarray(0, 19));
  assert.is(sink.pieces, 0);
  feed.push(bytes.subarray(19, 20));
  assert.is(sink.pieces, 1);
  const { buffer } = core().window;
  assert.is(sink.reader.buffer().buffer, buffer);
  assert.is(sink.reader.buffer().length, WINDOW_BYTES);
  feed.push(bytes.subarray(20));
  assert.equal(sink.got, [expected(1, MAX_DATA_BYTES), expected(2, 30), expected(3, 100), expected(4, 1)]);
});

test('nothing of a frame in pieces is delivered after a refusal or close', () => {
  const refusing = new Sink();
  refusing.piecesFrom = 20;
  refusing.stopAfter = 1;
  const bytes = Buffer.concat([payloadFrame(1, 1000), payloadFrame(2, 10)]);
  const feed = new Feed(refusing.reader);
  feed.push(bytes.subarray(0, 500));
  feed.push(bytes.subarray(500));
  assert.equal(refusing.got, [expected(1, 1000)]);
  const closed = new Sink();
  closed.piecesFrom = 20;
  const other = new Feed(closed.reader);
  other.push(bytes.subarray(0, 500));
  closed.reader.close();
  other.push(bytes.subarray(500));
  assert.equal(closed.got, []);
});

test('a large batch is handed over in halves', () => {
  for (const frames of [31, 32, 33, 1023, 1024, 1500]) {
    const sink = new Sink();
    const batch = Buffer.concat(Array.from({ length: frames }, (_, i) => payloadFrame(i, 3)));
    sink.reader.buffer().set(batch);
    sink.reader.received(batch.length);
    // Of a scan that found more than its records hold, only the next one's are halved.
    const [whole, halved] = frames < 1024 ? [0, frames] : [1024, frames - 1024];
    assert.is(sink.reader.hasRest, halved >= 32);
    assert.is(sink.got.length, whole + (halved >= 32 ? halved >>> 1 : halved));
    sink.reader.handRest();
    sink.reader.handRest();
    assert.not(sink.reader.hasRest);
    assert.equal(
      sink.got,
      Array.from({ length: frames }, (_, i) => expected(i, 3)),
    );
  }
});

test('an oversized frame at the end of a large batch', () => {
  const sink = new Sink();
  const feed = new Feed(sink.reader);
  feed.push(Buffer.concat([...Array.from({ length: 40 }, (_, i) => payloadFrame(i, 3)), oversized()]));
  feed.push(Buffer.alloc(MAX_DATA_BYTES + 1));
  feed.push(payloadFrame(1, 5));
  assert.equal(sink.got.slice(-2), [`9: oversize ${MAX_DATA_BYTES + 1}`, expected(1, 5)]);
});

function oversized(): Buffer {
  return frame(9, DATA, Buffer.alloc(0), 0, MAX_DATA_BYTES + 1);
}

test('the second half of a batch is nothing after a refusal, and keeps what is behind it', () => {
  const batch = Buffer.concat(Array.from({ length: 40 }, (_, i) => payloadFrame(i, 3)));
  const refusing = new Sink();
  refusing.stopAfter = 30;
  new Feed(refusing.reader).push(batch);
  assert.is(refusing.got.length, 30);
  const closed = new Sink();
  closed.reader.buffer().set(batch);
  closed.reader.received(batch.length);
  closed.reader.close();
  closed.reader.handRest();
  assert.is(closed.got.length, 20);
  const cut = new Sink();
  const feed = new Feed(cut.reader);
  feed.push(batch.subarray(0, -5));
  assert.is(cut.got.length, 39);
  feed.push(batch.subarray(-5));
  assert.is(cut.got.length, 40);
});

test('pieces of a frame come behind the second half of the batch before it', () => {
  for (const size of [1000, MAX_DATA_BYTES]) {
    const sink = new Sink();
    sink.piecesFrom = 20;
    const batch = Array.from({ length: 40 }, (_, i) => payloadFrame(2 * i, 3));
    const last = payloadFrame(81, size);
    sink.reader.buffer().set(Buffer.concat([...batch, last.subarray(0, 500)]));
    sink.reader.received(40 * 13 + 500);
    assert.ok(sink.reader.hasRest);
    assert.is(sink.pieces, 0);
    const next = sink.reader.buffer();
    sink.reader.handRest();
    next.set(last.subarray(500, 900));
    sink.reader.received(400);
    assert.is(sink.pieces, 1);
    new Feed(sink.reader).push(last.subarray(900));
    assert.is(sink.got.length, 41);
    assert.is(sink.got[40], expected(81, size));
  }
});

test('a frame that arrives byte by byte is scanned at its beginning and its end, not at each byte', () => {
  const { scanner } = frameMemory() as { scanner: { scan: FrameScanner['scan'] } };
  const { scan } = scanner;
  let scans = 0;
  scanner.scan = (start, end) => {
    scans++;
    return scan(start, end);
  };
  try {
    const sink = new Sink();
    const feed = new Feed(sink.reader);
    for (const byte of payloadFrame(2, 10_000)) feed.push(Uint8Array.of(byte));
    assert.equal(sink.got, [expected(2, 10_000)]);
    assert.ok(scans < 100, `${scans} scans`);
  } finally {
    scanner.scan = scan;
  }
});

test('byte by byte', () => {
  const sink = new Sink();
  const feed = new Feed(sink.reader);
  for (const byte of Buffer.concat([payloadFrame(1, 20), payloadFrame(2, 0), payloadFrame(3, 300)]))
    feed.push(Uint8Array.of(byte));
  assert.equal(sink.got, [expected(1, 20), expected(2, 0), expected(3, 300)]);
});

test('the largest frame, between small ones', () => {
  const sink = new Sink();
  new Feed(sink.reader).push(Buffer.concat([payloadFrame(1, 3), payloadFrame(2, MAX_DATA_BYTES), payloadFrame(3, 3)]));
  assert.equal(sink.got, [expected(1, 3), expected(2, MAX_DATA_BYTES), expected(3, 3)]);
});

test('an oversized frame is skipped, wherever its bytes are cut', () => {
  const bytes = Buffer.concat([payloadFrame(1, 3), payloadFrame(2, MAX_DATA_BYTES + 1), payloadFrame(3, 3)]);
  for (const cut of [13, 23, 24, 1000, WINDOW_BYTES, bytes.length - 13, bytes.length - 14, bytes.length]) {
    const sink = new Sink();
    const feed = new Feed(sink.reader);
    feed.push(bytes.subarray(0, cut));
    feed.push(bytes.subarray(cut));
    assert.equal(sink.got, [expected(1, 3), `2: oversize ${MAX_DATA_BYTES + 1}`, expected(3, 3)], `cut at ${cut}`);
  }
});

test('nothing is delivered after a refusal', () => {
  const sink = new Sink();
  sink.stopAfter = 2;
  const feed = new Feed(sink.reader);
  feed.push(Buffer.concat([1, 2, 3, 4].map((stream) => payloadFrame(stream, 5))));
  feed.push(payloadFrame(5, 5));
  assert.is(sink.got.length, 2);
});

test('nothing is delivered after close', () => {
  const sink = new Sink();
  const feed = new Feed(sink.reader);
  feed.push(payloadFrame(1, 5).subarray(0, 12));
  sink.reader.close();
  feed.push(payloadFrame(1, 5).subarray(12));
  assert.equal(sink.got, []);
});

test('a connection between frames reads into the whole window', () => {
  const sink = new Sink();
  const feed = new Feed(sink.reader);
  feed.push(payloadFrame(1, 100).subarray(0, 50));
  assert.is(sink.reader.buffer().length, WINDOW_BYTES - 50);
  feed.push(payloadFrame(1, 100).subarray(50));
  assert.is(sink.reader.buffer(), core().window);
});

test('a frame larger than the window is read in place, up to its end', () => {
  const sink = new Sink();
  const bytes = payloadFrame(1, WINDOW_BYTES + 100);
  const feed = new Feed(sink.reader);
  feed.push(bytes.subarray(0, 1000));
  const room = sink.reader.buffer();
  assert.is(room.length, bytes.length - 1000);
  assert.is.not(room.buffer, core().memory.buffer);
});

test('random bytes neither throw nor stop', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 400 }), { maxLength: 20 }), (chunks) => {
      const feed = new Feed(new Sink().reader);
      // A first byte of 0 makes lengths that are allowed.
      for (const chunk of chunks) feed.push(Buffer.concat([Buffer.alloc(2), chunk]));
    }),
    { seed: SEED, numRuns: 1000 },
  );
});

test.run();
