import type { Socket } from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { KataError } from '../../../host/error.ts';
import { copyOf, POOL_BYTES } from '../../../host/ttrpc/copy.ts';
import { Inbox } from '../../../host/ttrpc/inbox.ts';
import {
  MAX_WAITING_BYTES,
  MESSAGE_OVERHEAD_BYTES,
  RESUME_WAITING_BYTES,
  ReadGate,
} from '../../../host/ttrpc/read-gate.ts';
import { failure } from './failure.ts';

interface Setup {
  /** Whether the connection reads. */
  reads: boolean[];
  gate: ReadGate;
  inbox: Inbox<number>;
}

const test = suite<Setup>('inbox');

test.before.each((context) => {
  context.reads = [];
  const socket = { pause: () => context.reads.push(false), resume: () => context.reads.push(true) };
  context.gate = new ReadGate(socket as unknown as Socket);
  context.inbox = new Inbox(context.gate, (data) => {
    if (data[0] === 255) throw new KataError('data_loss', 'no');
    return data[0] ?? -1;
  });
});

test('messages in order, before and after they are asked for', async ({ inbox, gate }) => {
  const early = inbox.take();
  inbox.put(Uint8Array.of(1));
  assert.is(await early, 1);
  for (let i = 0; i < 200; i++) inbox.put(Uint8Array.of(i));
  for (let i = 0; i < 200; i++) assert.is(await inbox.take(), i);
  assert.is(gate.waiting, 0);
  inbox.put(Uint8Array.of(7));
  inbox.end();
  inbox.put(Uint8Array.of(8));
  assert.is(await inbox.take(), 7);
  assert.is(await inbox.take(), undefined);
  assert.is(await inbox.take(), undefined);
});

test('an error behind what had come', async ({ inbox }) => {
  inbox.put(Uint8Array.of(1));
  inbox.end(new KataError('aborted', 'x'));
  inbox.end();
  assert.is(await inbox.take(), 1);
  assert.is((await failure(inbox.take())).code, 'aborted');
});

test('whoever waits is told of the end', async ({ inbox }) => {
  const waiting = failure(inbox.take());
  inbox.end(new KataError('aborted', 'x'));
  assert.is((await waiting).code, 'aborted');
});

test('what cannot be read', async ({ inbox }) => {
  const early = failure(inbox.take());
  inbox.put(Uint8Array.of(255));
  assert.is((await early).code, 'data_loss');
  inbox.put(Uint8Array.of(255));
  inbox.put(Uint8Array.of(2));
  assert.is((await failure(inbox.take())).code, 'data_loss');
  assert.is(await inbox.take(), 2);
});

test('the end of all is told once', async ({ gate }) => {
  const told: string[] = [];
  const box = (name: string): Inbox<number> =>
    new Inbox(
      gate,
      (data) => data[0] as number,
      () => told.push(name),
    );
  const [none, taken, dropped, both] = [box('none'), box('taken'), box('dropped'), box('both')];
  none.end();
  none.end();
  for (const full of [taken, dropped, both]) full.put(Uint8Array.of(1));
  taken.end();
  dropped.drop(new KataError('aborted', 'x'));
  both.end();
  assert.equal(told, ['none', 'dropped']);
  await taken.take();
  await taken.take();
  both.drop(new KataError('aborted', 'x'));
  both.drop(new KataError('aborted', 'y'));
  assert.equal(told, ['none', 'dropped', 'taken', 'both']);
  assert.is((await failure(both.take())).message, 'x');
});

test('dropping frees the store', async ({ inbox, gate }) => {
  for (let i = 0; i < 5; i++) inbox.put(new Uint8Array(100));
  await inbox.take();
  assert.is(gate.waiting, 4 * (100 + MESSAGE_OVERHEAD_BYTES));
  inbox.drop(new KataError('cancelled', 'x'));
  assert.is(gate.waiting, 0);
  assert.is((await failure(inbox.take())).code, 'cancelled');
  inbox.put(new Uint8Array(100));
  assert.is(gate.waiting, 0);
});

test('a stream that ended well and was taken to its end stays so', async ({ inbox }) => {
  inbox.end();
  inbox.drop(new KataError('cancelled', 'x'));
  assert.is(await inbox.take(), undefined);
});

test('reading stops and goes on', async ({ inbox, gate, reads }) => {
  const size = 1000;
  const most = Math.floor(MAX_WAITING_BYTES / (size + MESSAGE_OVERHEAD_BYTES));
  for (let i = 0; i < most; i++) inbox.put(new Uint8Array(size));
  assert.equal(reads, []);
  inbox.put(new Uint8Array(size));
  inbox.put(new Uint8Array(size));
  assert.equal(reads, [false]);
  while (gate.waiting >= RESUME_WAITING_BYTES) {
    assert.equal(reads, [false]);
    await inbox.take();
  }
  assert.equal(reads, [false, true]);
});

test('messages without bytes count, too', ({ inbox, reads }) => {
  for (let i = 0; i <= MAX_WAITING_BYTES / MESSAGE_OVERHEAD_BYTES; i++) inbox.put(new Uint8Array(0));
  assert.equal(reads, [false]);
});

test('two reasons not to read', ({ inbox, gate, reads }) => {
  gate.stall(true);
  inbox.put(new Uint8Array(MAX_WAITING_BYTES));
  gate.stall(false);
  assert.equal(reads, [false, false, false]);
  inbox.drop(new KataError('cancelled', 'x'));
  assert.equal(reads, [false, false, false, true]);
});

test('copies: their own bytes, in shared buffers or not', () => {
  const memory = Uint8Array.from({ length: POOL_BYTES * 2 }, (_, i) => i);
  const sizes = [0, 1, 7, 8, 100, 5000, POOL_BYTES / 2, POOL_BYTES / 2 + 1, POOL_BYTES + 1];
  const copies = sizes.flatMap((size) => [size, size, size]).map((size) => copyOf(memory, 3, 3 + size));
  for (const copy of copies) assert.equal(copy, memory.subarray(3, 3 + copy.length));
  for (const copy of copies) copy.fill(0);
  assert.is(memory[3], 3);
  const [one, other] = [copyOf(memory, 1, 4), copyOf(memory, 5, 8)];
  one.fill(99);
  assert.equal(other, Uint8Array.of(5, 6, 7));
});

test.run();
