/** The table of streams, held against a Map. */
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { LAST_STREAM } from '../../../host/ttrpc/client.ts';
import { StreamTable } from '../../../host/ttrpc/stream-table.ts';

const SEED = 4;

test('what a Map does', () => {
  // Few ids for many steps: chains form, break and close up again.
  const ids = fc
    .oneof(fc.nat(60), fc.constantFrom(LAST_STREAM, LAST_STREAM - 2, 2 ** 31, 2 ** 31 + 1))
    .map((id) => id || 1);
  const step = fc.tuple(fc.boolean(), ids);
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const table = new StreamTable<number>();
      const map = new Map<number, number>();
      for (const [i, [adds, id]] of steps.entries()) {
        if (!adds) assert.is(table.delete(id), map.delete(id));
        else if (!map.has(id)) {
          table.add(id, i);
          map.set(id, i);
        }
        assert.is(table.size, map.size);
        for (const [, known] of steps) {
          assert.is(table.get(known), map.get(known));
          assert.is(table.has(known), map.has(known));
        }
      }
      assert.equal(
        table.take(),
        [...map].sort(([a], [b]) => a - b).map(([, value]) => value),
      );
      assert.is(table.size, 0);
      for (const [, known] of steps) assert.is(table.get(known), undefined);
    }),
    { seed: SEED, numRuns: 300 },
  );
});

test('many more than there were slots at first', () => {
  const table = new StreamTable<string>();
  for (let id = 1; id < 20_000; id += 2) table.add(id, String(id));
  assert.is(table.size, 10_000);
  for (let id = 1; id < 20_000; id += 4) assert.ok(table.delete(id));
  for (let id = 1; id < 20_000; id += 2) assert.is(table.get(id), id % 4 === 1 ? undefined : String(id));
});

test('an id that no stream has', () => {
  const table = new StreamTable<string>();
  assert.not.ok(table.has(0));
  assert.is(table.get(0), undefined);
  assert.not.ok(table.delete(0));
  table.add(1, 'one');
  assert.not.ok(table.has(0));
});

test.run();
