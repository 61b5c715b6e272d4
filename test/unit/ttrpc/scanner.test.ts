import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  FAULT_ENVELOPE,
  FAULT_NONE,
  FAULT_OVERSIZE,
  FRAME_HEADER_BYTES,
  FRAME_MAX_DATA_BYTES,
  MAX_RECORDS,
  MEMORY_BYTES,
  RECORD_CODE,
  RECORD_DETAILS,
  RECORD_DETAILS_LENGTH,
  RECORD_FAULT,
  RECORD_FLAGS,
  RECORD_HASH,
  RECORD_METADATA,
  RECORD_METADATA_LENGTH,
  RECORD_METHOD,
  RECORD_METHOD_LENGTH,
  RECORD_PAYLOAD,
  RECORD_PAYLOAD_LENGTH,
  RECORD_SERVICE,
  RECORD_SERVICE_LENGTH,
  RECORD_STREAM,
  RECORD_TEXT,
  RECORD_TEXT_LENGTH,
  RECORD_TIMEOUT_HIGH,
  RECORD_TIMEOUT_LOW,
  RECORD_TYPE,
  STATE_CONSUMED,
  STATE_NEEDED,
  WINDOW_BASE,
  WINDOW_BYTES,
} from '../../../assembly/layout.ts';
import { decode, encode, type MessageType, message, ProtoError } from '../../../host/proto/codec.ts';
import { Request, Response } from '../../../host/proto/messages/ttrpc.ts';
import { hashNames } from '../../../host/ttrpc/frame-scanner.ts';
import type { FrameScanner } from '../../../host/ttrpc/frames.ts';
import { implementations, scan, scanAt } from './implementations.ts';
import { DATA, frame, REQUEST, RESPONSE, request, response } from './wire.ts';

const SEED = 20260102;
const SERVICE = 'containerd.task.v2.Task';

/** A Response as the scanner reads it: what details hold stays unread. */
interface Outer {
  status: { code: number; message: Uint8Array; details: Uint8Array[] } | undefined;
  payload: Uint8Array;
}
const Outer: MessageType<Outer> = message<Outer>('test.Response', () => [
  [
    1,
    'status',
    message('test.Status', () => [
      [1, 'code', 'int32'],
      [2, 'message', 'bytes'],
      [3, 'details', 'bytes', 'repeated'],
    ]),
  ],
  [2, 'payload', 'bytes'],
]);

for (const { name, scanner } of implementations) {
  const test = suite(`frame scanner: ${name}`);
  const at = (record: number[], word: number, lengthWord: number): Buffer =>
    Buffer.from(
      scanner.bytes.subarray(record[word] as number, (record[word] as number) + (record[lengthWord] as number)),
    );

  test('a request', () => {
    const metadata = [{ key: 'a', value: 'b' }];
    const payload = Buffer.from('payload');
    const bytes = request(7, { service: SERVICE, method: 'Create', payload, timeout_nano: 2 ** 40 + 5, metadata }, 1);
    const [record = []] = scan(scanner, bytes);
    assert.is(record[RECORD_STREAM], 7);
    assert.is(record[RECORD_TYPE], REQUEST);
    assert.is(record[RECORD_FLAGS], 1);
    assert.is(record[RECORD_FAULT], FAULT_NONE);
    assert.is(at(record, RECORD_SERVICE, RECORD_SERVICE_LENGTH).toString(), SERVICE);
    assert.is(at(record, RECORD_METHOD, RECORD_METHOD_LENGTH).toString(), 'Create');
    assert.is(at(record, RECORD_PAYLOAD, RECORD_PAYLOAD_LENGTH).toString(), 'payload');
    assert.is(record[RECORD_TIMEOUT_LOW], 5);
    assert.is(record[RECORD_TIMEOUT_HIGH], 256);
    assert.equal(decode(Request, at(record, RECORD_METADATA, RECORD_METADATA_LENGTH)).metadata, metadata);
    assert.is(record[RECORD_HASH], hashNames(Buffer.from(SERVICE), Buffer.from('Create')));
    assert.is(scanner.state[STATE_CONSUMED], WINDOW_BASE + bytes.length);
  });

  test('the hash of names of every length, four bytes a step and those left over', () => {
    const seen = new Set<number>();
    for (let length = 0; length < 10; length++) {
      for (const [service, method] of [
        ['s'.repeat(length), 'Method'],
        ['service', 'm'.repeat(length)],
      ] as const) {
        const [record = []] = scan(scanner, request(1, { service, method }));
        assert.is(record[RECORD_HASH], hashNames(Buffer.from(service), Buffer.from(method)), service + method);
        seen.add(record[RECORD_HASH] as number);
      }
    }
    assert.is(seen.size, 20);
  });

  test('responses: success, status, negative code', () => {
    const status = { code: 5, message: 'not found', details: [{ type_url: 'x', value: Uint8Array.of(1) }] };
    const bytes = [
      response(1, { payload: Buffer.from('ok') }),
      response(3, { status }),
      response(5, { status: { code: -1 } }),
      response(7, {}),
    ];
    const [ok = [], failed = [], negative = [], empty = []] = scan(scanner, Buffer.concat(bytes));
    assert.is(at(ok, RECORD_PAYLOAD, RECORD_PAYLOAD_LENGTH).toString(), 'ok');
    assert.is(ok[RECORD_CODE], 0);
    assert.is(failed[RECORD_CODE], 5);
    assert.is(at(failed, RECORD_TEXT, RECORD_TEXT_LENGTH).toString(), 'not found');
    const details = decode(Response, at(failed, RECORD_DETAILS, RECORD_DETAILS_LENGTH)).status?.details;
    assert.equal([details?.length, details?.[0]?.type_url], [1, 'x']);
    assert.is(negative[RECORD_CODE], 0xffff_ffff);
    assert.is(negative[RECORD_DETAILS_LENGTH], 0);
    assert.is(empty[RECORD_FAULT], FAULT_NONE);
    assert.is(empty[RECORD_PAYLOAD_LENGTH], 0);
  });

  test('data and reserved types are reported, not read', () => {
    const [data = [], other = []] = scan(
      scanner,
      Buffer.concat([frame(1, DATA, Buffer.from('raw'), 5), frame(3, 9, Buffer.of(255))]),
    );
    assert.is(at(data, RECORD_PAYLOAD, RECORD_PAYLOAD_LENGTH).toString(), 'raw');
    assert.is(data[RECORD_FLAGS], 5);
    assert.is(other[RECORD_TYPE], 9);
    assert.is(other[RECORD_FAULT], FAULT_NONE);
  });

  test('every split point of a batch', () => {
    const frames = [
      request(1, { service: SERVICE, method: 'State', payload: Buffer.alloc(200, 1) }),
      response(1, { payload: Buffer.alloc(3) }),
      frame(3, DATA, Buffer.alloc(0)),
      request(5, { service: 'x', method: 'y' }),
    ];
    const batch = Buffer.concat(frames);
    const whole = scan(scanner, batch);
    assert.is(whole.length, 4);
    for (let cut = 0; cut <= batch.length; cut++) {
      let complete = 0;
      let start = 0;
      while (complete < frames.length && start + (frames[complete] as Buffer).length <= cut) {
        start += (frames[complete++] as Buffer).length;
      }
      scanner.bytes.set(batch, WINDOW_BASE);
      assert.equal(scanAt(scanner, WINDOW_BASE, WINDOW_BASE + cut), whole.slice(0, complete), `cut at ${cut}`);
      assert.is(scanner.state[STATE_CONSUMED], WINDOW_BASE + start);
      const next = cut - start >= FRAME_HEADER_BYTES ? (frames[complete] as Buffer).length : 0;
      assert.is(scanner.state[STATE_NEEDED], next);
      assert.equal(scanAt(scanner, WINDOW_BASE + start, WINDOW_BASE + batch.length), whole.slice(complete));
    }
  });

  test('a frame of the largest size, and one byte more', () => {
    assert.is(scan(scanner, frame(1, REQUEST, Buffer.alloc(5), 0, FRAME_MAX_DATA_BYTES)).length, 0);
    assert.is(scanner.state[STATE_NEEDED], FRAME_HEADER_BYTES + FRAME_MAX_DATA_BYTES);
    for (const length of [FRAME_MAX_DATA_BYTES + 1, 0xffff_ffff]) {
      const batch = Buffer.concat([frame(9, REQUEST, Buffer.alloc(5), 0, length), request(11, {})]);
      const records = scan(scanner, batch);
      assert.is(records.length, 1, 'the scan ends with an oversized frame');
      assert.is(records[0]?.[RECORD_FAULT], FAULT_OVERSIZE);
      assert.is(records[0]?.[RECORD_STREAM], 9);
      assert.is(records[0]?.[RECORD_PAYLOAD_LENGTH], length);
      assert.is(scanner.state[STATE_CONSUMED], WINDOW_BASE + FRAME_HEADER_BYTES);
    }
  });

  test('more frames than records', () => {
    const batch = Buffer.concat(Array.from({ length: MAX_RECORDS + 1 }, (_, i) => frame(i, DATA, Buffer.alloc(0))));
    assert.is(scan(scanner, batch).length, MAX_RECORDS);
    const rest = scanAt(scanner, scanner.state[STATE_CONSUMED] as number, WINDOW_BASE + batch.length);
    assert.equal(
      rest.map((record) => record[RECORD_STREAM]),
      [MAX_RECORDS],
    );
  });

  test('an empty range, and one whose end lies before its start', () => {
    assert.is(scanner.scan(WINDOW_BASE, WINDOW_BASE), 0);
    assert.is(scanner.scan(WINDOW_BASE + 1, WINDOW_BASE), 0);
  });

  test('fields twice, out of order, unknown, and in groups', () => {
    const unknown = [
      0x78, 1, 0x7d, 1, 2, 3, 4, 0x79, 1, 2, 3, 4, 5, 6, 7, 8, 0x7a, 1, 0x0a, 0x7b, 0x7b, 0x78, 1, 0x7c, 0x7c,
    ];
    const data = Buffer.concat([
      encode(Request, { payload: Buffer.from('first'), metadata: [{ key: 'a', value: '1' }] }),
      Buffer.from(unknown),
      encode(Request, { service: 's', method: 'm', metadata: [{ key: 'b', value: '2' }] }),
      encode(Request, { payload: Buffer.from('last') }),
    ]);
    const [record = []] = scan(scanner, frame(1, REQUEST, data));
    assert.is(record[RECORD_FAULT], FAULT_NONE);
    assert.is(at(record, RECORD_PAYLOAD, RECORD_PAYLOAD_LENGTH).toString(), 'last');
    const { metadata } = decode(Request, at(record, RECORD_METADATA, RECORD_METADATA_LENGTH));
    assert.equal(metadata, [
      { key: 'a', value: '1' },
      { key: 'b', value: '2' },
    ]);
  });

  test('a status twice is merged', () => {
    const data = Buffer.concat([
      encode(Response, { status: { code: 5, message: 'one' } }),
      encode(Response, { status: { message: 'two' } }),
    ]);
    const [record = []] = scan(scanner, frame(1, RESPONSE, data));
    assert.is(record[RECORD_CODE], 5);
    assert.is(at(record, RECORD_TEXT, RECORD_TEXT_LENGTH).toString(), 'two');
  });

  const nine = new Array(9).fill(0xff) as number[];
  const malformed: Record<string, number[]> = {
    'a truncated tag': [0x80],
    'a truncated varint': [0x20, 0xff],
    'a varint of 65 bits': [0x20, ...nine, 2],
    'a varint of 11 bytes': [0x20, ...nine, 0x81, 0],
    'a length one past the end': [0x1a, 2, 0],
    'a length that wraps 32 bits': [0x1a, 0xff, 0xff, 0xff, 0xff, 0x0f],
    'a length of 2^32': [0x1a, 0x80, 0x80, 0x80, 0x80, 0x10],
    'a length of 2^64-1': [0x1a, ...nine, 1],
    'an unknown length that wraps': [0x7a, 0xfc, 0xff, 0xff, 0xff, 0x0f],
    'field number 0': [0x02, 0],
    'a tag of more than 32 bits': [0x80, 0x80, 0x80, 0x80, 0x10, 0],
    'wire type 6': [0x7e],
    'wire type 7': [0x7f],
    'an end of no group': [0x7c],
    'an open group': [0x7b],
    'a truncated fixed64': [0x79, 1, 2, 3, 4, 5, 6, 7],
    'a truncated fixed32': [0x7d, 1, 2, 3],
    'a truncated metadata entry': [0x2a, 5, 1],
  };
  for (const [what, data] of Object.entries(malformed)) {
    test(`a request with ${what}`, () => {
      // Bytes behind the frame must not be read as its own.
      const batch = Buffer.concat([frame(1, REQUEST, Buffer.from(data)), frame(3, DATA, Buffer.alloc(16))]);
      const records = scan(scanner, batch);
      assert.equal(
        records.map((record) => record[RECORD_FAULT]),
        [FAULT_ENVELOPE, FAULT_NONE],
      );
      assert.throws(
        () => decode(Request, Uint8Array.from(data)),
        (error: unknown) => error instanceof ProtoError,
      );
    });
  }

  test('a malformed status', () => {
    for (const status of [[0x08], [0x12, 5, 65], [0x7c]]) {
      const [record = []] = scan(scanner, frame(1, RESPONSE, Buffer.from([0x0a, status.length, ...status, 0x12, 0])));
      assert.is(record[RECORD_FAULT], FAULT_ENVELOPE);
    }
  });

  test('100 000 open groups neither recurse nor loop', () => {
    const data = Buffer.alloc(200_000, 0x7c).fill(0x7b, 0, 100_000);
    assert.is(scan(scanner, frame(1, REQUEST, data))[0]?.[RECORD_FAULT], FAULT_NONE);
    assert.is(scan(scanner, frame(1, REQUEST, data.subarray(1)))[0]?.[RECORD_FAULT], FAULT_ENVELOPE);
  });

  test('random envelopes: what protobuf says', () => {
    fc.assert(
      fc.property(fc.constantFrom(REQUEST, RESPONSE), envelope(), (type, data) => {
        const [record = []] = scan(scanner, frame(1, type, data));
        agrees(scanner, record, type, new Uint8Array(data));
      }),
      { seed: SEED, numRuns: 3000 },
    );
  });

  test.run();
}

const together = suite('frame scanners together');

together('mutated batches: the same records, and progress to the end', () => {
  fc.assert(
    fc.property(batches(), (batch) => {
      const results = implementations.map(({ scanner }) => drain(scanner, batch));
      for (const result of results.slice(1)) assert.equal(result, results[0]);
    }),
    { seed: SEED, numRuns: 2000 },
  );
});

together('memory is what it was', () => {
  for (const { name, scanner } of implementations) {
    const size = name === 'JavaScript' ? WINDOW_BASE + WINDOW_BYTES : MEMORY_BYTES;
    assert.is(scanner.bytes.buffer.byteLength, size, name);
  }
});

together.run();

/** All records of a batch, oversized frames skipped as a reader would; a faulty frame's other words are unspecified. */
function drain(scanner: FrameScanner, batch: Uint8Array): number[][] {
  scanner.bytes.set(batch, WINDOW_BASE);
  const end = WINDOW_BASE + batch.length;
  const out: number[][] = [];
  for (let start = WINDOW_BASE; start < end; ) {
    const records = scanAt(scanner, start, end);
    const consumed = scanner.state[STATE_CONSUMED] as number;
    assert.ok(consumed >= start && consumed <= end);
    if (records.length === 0) break;
    assert.ok(consumed > start, 'a scan that reports frames consumes them');
    out.push(...records.map((record) => (record[RECORD_FAULT] === FAULT_ENVELOPE ? record.slice(0, 4) : record)));
    const last = records.at(-1) as number[];
    const skip = last[RECORD_FAULT] === FAULT_OVERSIZE ? (last[RECORD_PAYLOAD_LENGTH] as number) : 0;
    start = consumed + skip;
  }
  out.push([scanner.state[STATE_NEEDED] as number]);
  return out;
}

function agrees(scanner: FrameScanner, record: number[], type: number, data: Uint8Array): void {
  const span = (word: number, lengthWord: number): Uint8Array =>
    scanner.bytes.slice(record[word] as number, (record[word] as number) + (record[lengthWord] as number));
  let failed = false;
  try {
    if (type === REQUEST) {
      const expected = decode(Names, data);
      assert.equal(span(RECORD_SERVICE, RECORD_SERVICE_LENGTH), new Uint8Array(expected.service));
      assert.equal(span(RECORD_METHOD, RECORD_METHOD_LENGTH), new Uint8Array(expected.method));
      assert.equal(span(RECORD_PAYLOAD, RECORD_PAYLOAD_LENGTH), new Uint8Array(expected.payload));
      const timeout =
        (BigInt(record[RECORD_TIMEOUT_HIGH] as number) << 32n) | BigInt(record[RECORD_TIMEOUT_LOW] as number);
      assert.is(BigInt.asIntN(64, timeout), BigInt(expected.timeout_nano));
      const metadata = span(RECORD_METADATA, RECORD_METADATA_LENGTH);
      assert.equal(decode(Names, metadata).metadata, expected.metadata);
    } else {
      const expected = decode(Outer, data);
      assert.is((record[RECORD_CODE] as number) | 0, expected.status?.code ?? 0);
      assert.equal(span(RECORD_TEXT, RECORD_TEXT_LENGTH), new Uint8Array(expected.status?.message ?? []));
      const details = decode(Outer, span(RECORD_DETAILS, RECORD_DETAILS_LENGTH)).status?.details ?? [];
      assert.equal(details, expected.status?.details ?? []);
      assert.equal(span(RECORD_PAYLOAD, RECORD_PAYLOAD_LENGTH), new Uint8Array(expected.payload));
    }
  } catch (error) {
    if (!(error instanceof ProtoError)) throw error;
    failed = true;
  }
  assert.is(record[RECORD_FAULT], failed ? FAULT_ENVELOPE : FAULT_NONE);
}

/** A Request as the scanner reads it: strings and metadata entries stay bytes. */
interface Names {
  service: Uint8Array;
  method: Uint8Array;
  payload: Uint8Array;
  timeout_nano: number | bigint;
  metadata: Uint8Array[];
}
const Names: MessageType<Names> = message<Names>('test.Request', () => [
  [1, 'service', 'bytes'],
  [2, 'method', 'bytes'],
  [3, 'payload', 'bytes'],
  [4, 'timeout_nano', 'int64'],
  [5, 'metadata', 'bytes', 'repeated'],
]);

/** Bytes that are often nearly an envelope. */
function envelope(): fc.Arbitrary<Uint8Array> {
  const tag = fc.constantFrom(0x0a, 0x12, 0x1a, 0x20, 0x2a, 0x08, 0x78, 0x7a, 0x79, 0x7d, 0x7b, 0x7c);
  const field = fc.oneof(
    fc.tuple(tag, fc.uint8Array({ maxLength: 12 })).map(([first, rest]) => Uint8Array.of(first, rest.length, ...rest)),
    fc.tuple(tag, fc.uint8Array({ maxLength: 12 })).map(([first, rest]) => Uint8Array.of(first, ...rest)),
    fc.nat(0x7f).map((value) => Uint8Array.of(0x20, value)),
    fc
      .tuple(fc.nat(0x7f), fc.string({ maxLength: 9 }))
      .map(([code, text]) =>
        encode(Response, { status: { code, message: text, details: code % 3 === 0 ? [{ type_url: text }] : [] } }),
      ),
  );
  return fc.array(field, { maxLength: 8 }).map((fields) => Buffer.concat(fields));
}

/** Batches of frames with some bytes changed, inserted or cut. */
function batches(): fc.Arbitrary<Uint8Array> {
  const valid = fc.oneof(
    fc
      .tuple(fc.nat(0xffff_ffff), fc.string({ maxLength: 30 }), fc.uint8Array({ maxLength: 300 }), fc.maxSafeNat())
      .map(([stream, name, payload, timeout]) =>
        request(stream, {
          service: name,
          method: 'm',
          payload,
          timeout_nano: timeout,
          metadata: [{ key: 'k', value: name }],
        }),
      ),
    fc
      .tuple(fc.nat(99), fc.nat(20), fc.uint8Array({ maxLength: 300 }))
      .map(([stream, code, payload]) => response(stream, { status: { code, message: 'text' }, payload })),
    fc
      .tuple(fc.nat(9), fc.nat(255), fc.nat(255), envelope())
      .map(([stream, type, flags, data]) => frame(stream, type, data, flags)),
  );
  const change = fc.tuple(fc.nat(0xffff), fc.nat(255));
  return fc
    .tuple(fc.array(valid, { maxLength: 12 }), fc.array(change, { maxLength: 6 }), fc.nat(40))
    .map(([frames, changes, cut]) => {
      const batch = Buffer.concat(frames);
      for (const [where, byte] of changes) if (batch.length > 0) batch[where % batch.length] = byte;
      return batch.subarray(0, Math.max(0, batch.length - (cut > 20 ? 0 : cut)));
    });
}
