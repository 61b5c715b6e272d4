import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { OUTPUT_BASE, OUTPUT_BYTES, STATE_FRAME_END } from '../../../assembly/layout.ts';
import { encode } from '../../../host/proto/codec.ts';
import { Status } from '../../../host/proto/messages/rpc_status.ts';
import { JsWriter } from '../../../host/ttrpc/frame-writer.ts';
import {
  DataFrame,
  encodeMetadata,
  encodeNames,
  type Frame,
  RequestFrame,
  ResponseFrame,
  StatusFrame,
} from '../../../host/ttrpc/outgoing.ts';
import { MAX_DATA_BYTES } from '../../../host/ttrpc/types.ts';
import { implementations } from './implementations.ts';
import { DATA, request, response, frame as wireFrame } from './wire.ts';

const SEED = 20260103;
const LIMIT = OUTPUT_BASE + OUTPUT_BYTES;
const stream = fc.nat(0xffff_ffff);
const bytes = fc.uint8Array({ maxLength: 20_000 });
const details = fc.array(fc.record({ type_url: fc.string(), value: fc.uint8Array({ maxLength: 300 }) }), {
  maxLength: 4,
});

for (const { name, writer } of implementations) {
  const test = suite(`frame writer: ${name}`);

  /** The frame's bytes, after checking that it needs exactly as much room as it takes and no more than it claims. */
  const written = (frame: Frame): Buffer => {
    const end = frame.put(writer, OUTPUT_BASE, LIMIT);
    assert.ok(end > OUTPUT_BASE && end - OUTPUT_BASE <= frame.bytes);
    assert.is(frame.put(writer, OUTPUT_BASE, end - 1), 0);
    assert.is(frame.put(writer, OUTPUT_BASE, end), end);
    return Buffer.from(writer.bytes.subarray(OUTPUT_BASE, end));
  };

  test('responses', () => {
    fc.assert(
      fc.property(stream, bytes, (id, payload) => {
        assert.is(Buffer.compare(written(new ResponseFrame(id, payload)), response(id, { payload })), 0);
      }),
      { seed: SEED, numRuns: 300 },
    );
  });

  test('statuses', () => {
    fc.assert(
      fc.property(
        stream,
        fc.nat(200),
        fc.string({ unit: 'binary', maxLength: 400 }),
        details,
        (id, code, message, any) => {
          const encoded = encode(Status, { details: any });
          const frame = written(new StatusFrame(id, { code, message, details: encoded }));
          assert.is(Buffer.compare(frame, response(id, { status: { code, message, details: any } })), 0);
        },
      ),
      { seed: SEED, numRuns: 300 },
    );
  });

  test('data frames', () => {
    fc.assert(
      fc.property(stream, fc.nat(255), bytes, (id, flags, payload) => {
        assert.is(Buffer.compare(written(new DataFrame(id, flags, payload)), wireFrame(id, DATA, payload, flags)), 0);
      }),
      { seed: SEED, numRuns: 300 },
    );
  });

  test('requests', () => {
    const text = fc.string({ unit: 'binary', maxLength: 200 });
    const pairs = fc.uniqueArray(fc.tuple(fc.stringMatching(/^[a-z-]{1,9}$/), text), {
      selector: ([key]) => key,
      maxLength: 5,
    });
    fc.assert(
      fc.property(
        stream,
        fc.nat(255),
        text,
        text,
        bytes,
        fc.maxSafeNat(),
        pairs,
        (id, flags, service, method, payload, timeout, metadata) => {
          const fields = encodeMetadata(Object.fromEntries(metadata));
          const frame = written(new RequestFrame(id, flags, encodeNames(service, method), payload, timeout, fields));
          const entries = metadata.map(([key, value]) => ({ key, value }));
          const value = { service, method, payload, timeout_nano: timeout, metadata: entries };
          const expected = request(id, value, flags);
          assert.is(Buffer.compare(frame, expected), 0);
        },
      ),
      { seed: SEED, numRuns: 300 },
    );
  });

  test('a timeout beyond 2^63 is written as its two words', () => {
    const payload = writer.request(OUTPUT_BASE, LIMIT, 1, 0, 0, 0, 0xffff_ffff, 0xffff_ffff, 0);
    const end = writer.state[STATE_FRAME_END] as number;
    const frame = Buffer.from(writer.bytes.subarray(OUTPUT_BASE, end));
    assert.is(payload, OUTPUT_BASE + 10);
    assert.is(Buffer.compare(frame, request(1, { timeout_nano: -1 })), 0);
  });

  test('data of the largest size, and one byte more', () => {
    // Far enough behind that only the protocol's limit counts; nothing but the header is touched.
    const far = 0xffff_fff0;
    const overhead =
      encode({ name: 'x', fields: () => [[1, 'a', 'bytes']] }, { a: new Uint8Array(300_000) }).length - 300_000;
    const most = MAX_DATA_BYTES - overhead - 1;
    assert.ok(writer.response(OUTPUT_BASE, far, 1, most) > 0);
    assert.is(writer.response(OUTPUT_BASE, far, 1, most + 1), 0);
    assert.is(writer.data(OUTPUT_BASE, far, 1, 0, MAX_DATA_BYTES), OUTPUT_BASE + 10);
    for (const huge of [MAX_DATA_BYTES + 1, 0xffff_ffff]) {
      assert.is(writer.response(OUTPUT_BASE, far, 1, huge), 0);
      assert.is(writer.status(OUTPUT_BASE, far, 1, 5, huge, 0), 0);
      assert.is(writer.status(OUTPUT_BASE, far, 1, 5, 0, huge), 0);
      assert.is(writer.data(OUTPUT_BASE, far, 1, 0, huge), 0);
      assert.is(writer.request(OUTPUT_BASE, far, 1, 0, huge, 0, 0, 0, 0), 0);
      assert.is(writer.request(OUTPUT_BASE, far, 1, 0, 0, huge, 0, 0, 0), 0);
      assert.is(writer.request(OUTPUT_BASE, far, 1, 0, 0, 0, 0, 0, huge), 0);
    }
  });

  test('no room at all', () => {
    assert.is(writer.response(OUTPUT_BASE, OUTPUT_BASE, 1, 0), 0);
    assert.is(writer.response(OUTPUT_BASE + 1, OUTPUT_BASE, 1, 0), 0);
  });

  test.run();
}

const heap = suite('frame writer: heap');

heap('a buffer of the size a frame claims holds it', () => {
  const frame = new ResponseFrame(1, new Uint8Array(MAX_DATA_BYTES - 48));
  const writer = new JsWriter(new Uint8Array(frame.bytes));
  assert.ok(frame.put(writer, 0, frame.bytes) > 0);
});

heap.run();
