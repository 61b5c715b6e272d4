/** Output that stays in the kernel on its way to the channel: held in pipes, sent in order, and nothing of it kept. */
import { readdirSync, readlinkSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { heldFrame } from '../../../guest/agent/frame.ts';
import { Held, Holder, LARGE_PIPE_BYTES, MAX_HELD } from '../../../guest/agent/held.ts';
import type { Call } from '../../../guest/agent/loop-interface.ts';
import { Outbox } from '../../../guest/agent/outbox.ts';
import { HOLD_BYTES, LARGE_BYTES, OutputStream, SharedFd } from '../../../guest/agent/stream.ts';
import { decode } from '../../../host/proto/codec.ts';
import { ExecProcessRequest, ReadStreamResponse } from '../../../host/proto/messages/agent.ts';
import { Response } from '../../../host/proto/messages/ttrpc.ts';
import { nodeLoop, nodeSys } from './node-sys.ts';

const HEADER_BYTES = 10;

const sys = nodeSys();
// Made when the suite runs, since it takes in every child of the process.
let loop: ReturnType<typeof nodeLoop>;
const held = suite('held output');
held.before(() => {
  loop = nodeLoop(sys);
});
held.after(() => loop.stop());

/** Pipes this process has open. */
function pipes(): number {
  let count = 0;
  for (const fd of readdirSync('/proc/self/fd')) {
    try {
      if (readlinkSync(`/proc/self/fd/${fd}`).startsWith('pipe:')) count++;
    } catch {
      // The listing's own descriptor.
    }
  }
  return count;
}

function filled(bytes: number): [read: number, write: number] {
  const pipe = sys.pipe();
  sys.setPipeSize(pipe[1], LARGE_PIPE_BYTES);
  assert.is(sys.write(pipe[1], Buffer.alloc(bytes, 7)), bytes);
  return pipe;
}

function closeAll(...pipes: readonly (readonly number[])[]): void {
  for (const fd of pipes.flat()) sys.close(fd);
}

held('takes what is there, up to a number of answers, and tells nothing from the end', () => {
  const before = pipes();
  const holder = new Holder(sys);
  const [read, write] = sys.pipe();
  assert.is(holder.take(read, 100), -1);
  sys.write(write, Buffer.alloc(100, 1));
  const first = holder.take(read, 60) as Held;
  assert.ok(first instanceof Held);
  assert.is(first.length, 60);
  sys.write(write, Buffer.alloc(MAX_HELD));
  const more: Held[] = [];
  for (let i = 1; i < MAX_HELD; i++) more.push(holder.take(read, 1) as Held);
  assert.is(holder.take(read, 1), undefined, 'they are read from here on');
  // One that was not sent, one that was.
  holder.release(more.pop() as Held);
  assert.ok(holder.take(read, 1) instanceof Held);
  sys.close(write);
  while (sys.read(read, 1000)?.length);
  first.length = 0;
  holder.release(first);
  assert.is(holder.take(read, 1), 0, 'the end');
  for (const one of more) holder.release(one);
  sys.close(read);
  holder.end();
  // Only the last one taken was never given back.
  assert.is(pipes() - before, 2);
});

held('what is no pipe is left to be read', () => {
  const holder = new Holder(sys);
  const before = pipes();
  const file = sys.open('/proc/self/fd', 0);
  assert.is(holder.take(file, 10), undefined);
  sys.close(file);
  holder.end();
  assert.is(pipes(), before);
});

held('an answer around it is a frame as any other', () => {
  const holder = new Holder(sys);
  const pipe = filled(70_000);
  const taken = holder.take(pipe[0], 70_000) as Held;
  const [head, bytes] = heldFrame(5, ReadStreamResponse, taken) as [Uint8Array, Held];
  assert.is(bytes, taken);
  const frame = Buffer.concat([head, sys.read(taken.pipe[0], 70_000) as Uint8Array]);
  assert.equal([frame.readUInt32BE(0), frame.readUInt32BE(4), frame[8]], [frame.length - HEADER_BYTES, 5, 2]);
  const { payload } = decode(Response, frame.subarray(HEADER_BYTES));
  assert.equal(Buffer.from(decode(ReadStreamResponse, payload).data), Buffer.alloc(70_000, 7));
  assert.throws(() => heldFrame(5, ExecProcessRequest, taken), /only bytes/);
  closeAll(pipe, taken.pipe);
});

held('goes out between other frames, in order, as the peer takes it', async () => {
  const before = pipes();
  const holder = new Holder(sys);
  const channel = sys.pipe();
  let taken = 0;
  const outbox = new Outbox(
    sys,
    loop,
    channel[1],
    holder,
    () => taken++,
    () => assert.unreachable(),
  );
  const source = filled(300_000);
  const expected: Buffer[] = [];
  for (let i = 0; i < 3; i++) {
    outbox.send([Buffer.from(`frame ${i}`), holder.take(source[0], 100_000) as Held, new Uint8Array(0)]);
    expected.push(Buffer.from(`frame ${i}`), Buffer.alloc(100_000, 7));
  }
  assert.ok(outbox.bytes > 200_000, 'the channel holds less');
  const got: Uint8Array[] = [];
  for (let bytes = 0; bytes < 300_021; ) {
    const part = sys.read(channel[0], 30_000);
    if (part) {
      got.push(part);
      bytes += part.length;
    } else await loop.sleep(1);
  }
  assert.ok(Buffer.concat(got).equals(Buffer.concat(expected)));
  assert.is(outbox.bytes, 0);
  assert.ok(taken > 0);
  closeAll(channel, source);
  outbox.end();
  holder.end();
  assert.is(pipes(), before);
});

held('a peer that leaves takes its pipes along', async () => {
  const before = pipes();
  const holder = new Holder(sys);
  const channel = sys.pipe();
  let broken = 0;
  const outbox = new Outbox(
    sys,
    loop,
    channel[1],
    holder,
    () => {},
    () => {
      broken++;
      outbox.end();
    },
  );
  const source = filled(300_000);
  outbox.send([holder.take(source[0], 200_000) as Held]);
  sys.close(channel[0]);
  outbox.send([holder.take(source[0], 1000) as Held]);
  while (broken === 0) await loop.sleep(1);
  outbox.send([holder.take(source[0], 1000) as Held]);
  assert.is(broken, 1);
  closeAll([channel[1]], source);
  holder.end();
  assert.is(pipes(), before);
});

held('a stream is read while it brings little, and held while it brings much', async () => {
  const holder = new Holder(sys);
  const [read, write] = sys.pipe();
  const stream = new OutputStream(sys, loop, new SharedFd(sys, read, 1), true);
  /** One answer: how it came, and its bytes. */
  const answer = async (most: number): Promise<[string, number]> => {
    let one: Held | undefined;
    const call: Call = {
      gone: false,
      hold: (pipe, bytes) => {
        const taken = holder.take(pipe, bytes);
        if (!(taken instanceof Held)) return taken;
        one = taken;
        return taken.length;
      },
    };
    const data = await stream.read(most, call);
    const { length } = one ?? data;
    if (one) {
      sys.read(one.pipe[0], length);
      one.length = 0;
      holder.release(one);
    }
    return [one ? 'held' : 'read', length];
  };
  sys.write(write, new Uint8Array(100));
  assert.equal(await answer(1000), ['read', 100]);
  sys.write(write, new Uint8Array(HOLD_BYTES + 100));
  assert.equal(await answer(HOLD_BYTES), ['read', HOLD_BYTES]);
  assert.equal(await answer(HOLD_BYTES), ['held', 100]);
  sys.write(write, new Uint8Array(5));
  assert.equal(await answer(HOLD_BYTES), ['read', 5]);
  // Once it has brought this much at a time its pipe holds more than the 64 KiB it was made with.
  sys.setPipeSize(write, LARGE_BYTES);
  sys.write(write, new Uint8Array(LARGE_BYTES));
  assert.equal(await answer(LARGE_BYTES), ['read', LARGE_BYTES]);
  assert.is(sys.write(write, new Uint8Array(2 * LARGE_PIPE_BYTES)), LARGE_PIPE_BYTES);
  assert.equal(await answer(2 * LARGE_PIPE_BYTES), ['held', LARGE_PIPE_BYTES]);
  sys.close(write);
  assert.equal(await answer(10), ['read', 0]);
  assert.ok(stream.ended);
  holder.end();
});

held.run();
