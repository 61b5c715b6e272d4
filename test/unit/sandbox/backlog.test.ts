import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BACKLOG_BYTES, Backlog, MAX_SPARES, SMALL_BYTES } from '../../../host/sandbox/backlog.ts';

const SEED = 20261122;
const test = suite('backlog');

test('any mix of what comes and goes: every byte once, in order, and none changes while it is out', () => {
  const size = fc.oneof(
    fc.nat(50),
    fc.constantFrom(SMALL_BYTES, SMALL_BYTES + 1, BACKLOG_BYTES - 1, BACKLOG_BYTES + 1),
  );
  const step = fc.oneof(size, fc.constant(-1));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const backlog = new Backlog();
      const all: Buffer[] = [];
      const got: Buffer[] = [];
      let out: { view: Uint8Array; copy: Buffer } | undefined;
      let count = 0;
      for (const bytes of [...steps, ...steps.map(() => -1), ...steps.map(() => -1), -1]) {
        if (bytes >= 0) {
          const data = Buffer.alloc(bytes, ++count);
          all.push(Buffer.from(data));
          backlog.add(data);
          data.fill(0xee);
        } else if (out) {
          assert.ok(out.copy.equals(out.view));
          got.push(out.copy);
          assert.is(backlog.taken(), out.copy.length);
          out = undefined;
        } else {
          const view = backlog.next();
          if (view) out = { view, copy: Buffer.from(view) };
        }
        assert.is(backlog.bytes, length(all) - length(got));
      }
      while (backlog.bytes > 0) {
        const view = out?.view ?? (backlog.next() as Uint8Array);
        out = undefined;
        got.push(Buffer.from(view));
        backlog.taken();
      }
      assert.ok(Buffer.concat(got).equals(Buffer.concat(all)));
      backlog.clear();
    }),
    { seed: SEED, numRuns: 200 },
  );
});

test('little waits in little memory, much in buffers that are used again', () => {
  const backlog = new Backlog();
  backlog.add(Buffer.alloc(SMALL_BYTES));
  assert.is(backlog.next()?.buffer.byteLength, SMALL_BYTES);
  backlog.clear();
  const used = () => {
    const buffers: ArrayBufferLike[] = [];
    backlog.add(Buffer.alloc(BACKLOG_BYTES * (MAX_SPARES + 2)));
    while (backlog.bytes > 0) {
      buffers.push((backlog.next() as Uint8Array).buffer);
      backlog.taken();
    }
    return buffers;
  };
  const first = used();
  const second = used();
  assert.is(first.length, MAX_SPARES + 2);
  assert.is(second.filter((buffer) => first.includes(buffer)).length, MAX_SPARES);
});

function length(parts: readonly Buffer[]): number {
  return parts.reduce((sum, part) => sum + part.length, 0);
}

test.run();
