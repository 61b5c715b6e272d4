/** Limits of streams and processes, over plain pipes. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { InputStream, MAX_PENDING_WRITE_BYTES } from '../../../guest/agent/input.ts';
import { handles, MAX_WAITERS, Process } from '../../../guest/agent/process.ts';
import { MAX_PENDING_READS, MAX_READ_BYTES, OutputStream, SharedFd } from '../../../guest/agent/stream.ts';
import { nodeLoop, nodeSys } from './node-sys.ts';
import { refused } from './refused.ts';

const sys = nodeSys();
// Made when the suite runs, since it takes in every child of the process.
let loop: ReturnType<typeof nodeLoop>;
const streams = suite('streams');
streams.before(() => {
  loop = nodeLoop(sys);
});
streams.after(() => loop.stop());

function output(): { stream: OutputStream; write: number } {
  const [read, write] = sys.pipe();
  return { stream: new OutputStream(sys, loop, new SharedFd(sys, read, 1)), write };
}

function input(): { stream: InputStream; read: number } {
  const [read, write] = sys.pipe();
  return { stream: new InputStream(sys, loop, new SharedFd(sys, write, 1), false), read };
}

streams('reads are bounded in number, not answered with nothing, and end together', async () => {
  const { stream, write } = output();
  const reads = Array.from({ length: MAX_PENDING_READS }, () => stream.read(10));
  await refused(() => stream.read(10), 'resource_exhausted', /64 reads wait/);
  await refused(() => stream.read(0), 'invalid_argument', /at least 1/);
  sys.close(write);
  for (const read of reads) assert.is((await read).length, 0);
  assert.ok(stream.ended);
  assert.is((await stream.read(5)).length, 0);
});

streams('a read of more than a pipe can hold is cut, and a caller who left gets nothing that is lost', async () => {
  const { stream, write } = output();
  const call = { gone: false };
  const left = stream.read(10, call);
  call.gone = true;
  sys.write(write, new TextEncoder().encode('kept'));
  assert.is((await left).length, 0);
  assert.is((await stream.read(MAX_READ_BYTES * 100)).length, 4);
  sys.close(write);
  stream.close();
  stream.close();
});

streams('output in many small writes is gathered, whole, in order, and to its end', async () => {
  const { stream, write } = output();
  const expected: number[] = [];
  const got: number[] = [];
  const sizes: number[] = [];
  const reading = (async () => {
    for (;;) {
      const data = await stream.read(65536);
      if (data.length === 0) return;
      sizes.push(data.length);
      for (const byte of data) got.push(byte);
    }
  })();
  for (let i = 0; i < 200; i++) {
    const chunk = new Uint8Array(2048).fill(i);
    expected.push(...chunk);
    while ((sys.write(write, chunk) as number) === 0) await loop.sleep(1);
    if (i % 2 === 0) await loop.sleep(0);
  }
  sys.close(write);
  await reading;
  assert.equal(Buffer.from(got), Buffer.from(expected));
  assert.ok(stream.ended);
});

streams('what a process wrote last is not waited for', async () => {
  const { stream, write } = output();
  for (let i = 0; i < 4; i++) {
    sys.write(write, new Uint8Array(4096));
    while ((await stream.read(4096)).length < 4096);
  }
  sys.write(write, new Uint8Array(100));
  const last = stream.read(4096);
  stream.processEnded();
  assert.is((await last).length, 100);
  sys.close(write);
  assert.is((await stream.read(1)).length, 0);
});

streams('a child that never stops writing does not keep a dead process\u2019s stream open', async () => {
  const { stream, write } = output();
  const chunk = new Uint8Array(32 * 1024);
  stream.processEnded();
  let total = 0;
  for (;;) {
    sys.write(write, chunk);
    const { length } = await stream.read(chunk.length);
    if (length === 0) break;
    total += length;
    await loop.sleep(1);
  }
  assert.ok(total >= MAX_READ_BYTES, `${total}`);
  sys.close(write);
});

streams('writes wait for the reader, in order, up to a limit', async () => {
  const { stream, read } = input();
  const big = new Uint8Array(300_000).fill(7);
  const first = stream.write(big);
  const second = stream.write(new Uint8Array([1, 2, 3]));
  await refused(
    () => stream.write(new Uint8Array(MAX_PENDING_WRITE_BYTES)),
    'resource_exhausted',
    /bytes of stdin wait/,
  );
  // The caller's buffer may change at once.
  big.fill(9);
  stream.close();
  const got: number[] = [];
  while (got.length < 300_003) {
    const data = sys.read(read, 100_000);
    if (data) got.push(...data);
    else await loop.sleep(1);
  }
  await Promise.all([first, second]);
  assert.equal(got.slice(-4), [7, 1, 2, 3]);
  assert.not.ok(got.includes(9));
  assert.is(sys.read(read, 1)?.length, 0);
  await refused(() => stream.write(new Uint8Array(1)), 'internal', /stdin is closed/);
  sys.close(read);
});

streams('a reader that goes fails the write clearly', async () => {
  const { stream, read } = input();
  const waiting = stream.write(new Uint8Array(300_000));
  sys.close(read);
  await refused(() => waiting, 'internal', /EPIPE: Broken pipe/);
  await refused(() => stream.write(new Uint8Array(1)), 'internal', /stdin is closed/);
});

streams('waits are bounded; sizes fit 16 bits; signals to the gone succeed', async () => {
  const [, stdin] = sys.pipe();
  const [stdout] = sys.pipe();
  const [stderr] = sys.pipe();
  const pid = sys.spawn({ argv: ['/bin/sleep', '100'], env: [], stdio: [-1, -1, -1] });
  const process = new Process(sys, loop, 'p', pid, { terminal: false, stdin, stdout, stderr });
  const waits = Array.from({ length: MAX_WAITERS }, () => process.wait());
  await refused(() => process.wait(), 'resource_exhausted', /256 waits/);
  await refused(() => process.resize(1, 1), 'unavailable', /no tty/);
  process.signal(9);
  assert.ok((await Promise.all(waits)).every((status) => status === 137));
  process.signal(9);
  await refused(() => process.stdin.write(new Uint8Array(1)), 'internal', /stdin is closed/);
  process.close();
});

streams('which signals a process handles', () => {
  // Node catches SIGINT's kin only when asked; SIGPIPE it ignores.
  assert.ok(handles(sys, process.pid, 13));
  assert.not.ok(handles(sys, process.pid, 60));
  assert.ok(handles(sys, 0x7fffffff, 60), 'unknown: taken as handled, so that nothing is upgraded');
});

streams.run();
