/** Bytes through stdin and stdout: none lost, none added, an end that is seen. */
import { createHash } from 'node:crypto';
import { PassThrough, Readable } from 'node:stream';
import * as assert from 'uvu/assert';
import { eachContainerd } from '../harness/containerd.ts';

const MIB = 1024 * 1024;
const OUTPUT_MIB = 256;
const INPUT_MIB = 64;
/** Milliseconds for a slow guest to move that much. */
const BULK_MS = 300_000;

eachContainerd('stdio', (test) => {
  test(`${OUTPUT_MIB} MiB of stdout arrive to the byte`, async ({ containers }) => {
    const wanted = createHash('sha256');
    const block = Buffer.from('kata-edge counts bytes\n'.repeat(64 * 1024)).subarray(0, MIB);
    for (let i = 0; i < OUTPUT_MIB; i++) wanted.update(block);
    const script = `yes 'kata-edge counts bytes' | head -c ${MIB} >/tmp/block; i=0; while [ $i -lt ${OUTPUT_MIB} ]; do cat /tmp/block; i=$((i+1)); done`;
    const got = createHash('sha256');
    let bytes = 0;
    const onStdout = (chunk: Buffer) => {
      bytes += chunk.length;
      got.update(chunk);
    };
    const done = await containers.run(['sh', '-c', script], { onStdout, timeoutMs: BULK_MS });
    assert.is(bytes, OUTPUT_MIB * MIB);
    assert.is(got.digest('hex'), wanted.digest('hex'));
    assert.is(done.code, 0);
  });

  test(`${INPUT_MIB} MiB pass through cat and end`, async ({ containers }) => {
    const sent = createHash('sha256');
    const got = createHash('sha256');
    const onStdout = (chunk: Buffer) => {
      got.update(chunk);
    };
    const done = await containers.run(['cat'], { stdin: randomInput(sent), onStdout, timeoutMs: BULK_MS });
    assert.is(done.code, 0);
    assert.is(got.digest('hex'), sent.digest('hex'));
  });

  test('a stdin that ends without a byte is an end', async ({ containers }) => {
    // Not before the container runs: ctr itself loses an end that comes earlier.
    const stdin = new PassThrough();
    let shown = '';
    const onStdout = (chunk: Buffer) => {
      shown += chunk.toString();
      if (shown.includes('ready')) stdin.end();
    };
    const done = await containers.run(['sh', '-c', 'echo ready; cat; echo end'], { stdin, onStdout });
    assert.equal([shown, done.code], ['ready\nend\n', 0]);
  });

  test('output written just before the end is not lost', async ({ containers }) => {
    const id = await containers.detached(['sleep', '1000']);
    for (let round = 0; round < 5; round++) {
      const done = await containers.exec(id, ['sh', '-c', 'seq 20000; seq 20000 >&2']);
      const wanted = `${Array.from({ length: 20000 }, (_, i) => i + 1).join('\n')}\n`;
      assert.is(done.stdout, wanted);
      assert.is(done.stderr, wanted);
    }
    await containers.remove(id);
  });

  test('a reader that is slow stops the writer, and then gets everything', async ({ containers, daemon }) => {
    const args = containers.runArgs(['--rm'], ['sh', '-c', `head -c ${32 * MIB} /dev/zero; echo done >&2`]);
    const child = daemon.spawnCtr(args, ['ignore', 'pipe', 'pipe']);
    assert.ok(child.stdout && child.stderr);
    const [stdout, stderr] = [child.stdout, child.stderr];
    let finished = '';
    stderr.on('data', (chunk: Buffer) => {
      finished += chunk.toString();
    });
    let bytes = 0;
    await new Promise<void>((resolve) => {
      stdout.once('data', (chunk: Buffer) => {
        bytes += chunk.length;
        stdout.pause();
        setTimeout(resolve, 3000);
      });
    });
    assert.is(finished, '', 'the writer went on without a reader');
    const code = new Promise((resolve) => child.on('close', resolve));
    stdout.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    stdout.resume();
    assert.is(await code, 0);
    assert.is(bytes, 32 * MIB);
    assert.is(finished, 'done\n');
  });
});

/** Bytes that compress to nothing and repeat nowhere, hashed as they go. */
function randomInput(hash: ReturnType<typeof createHash>): Readable {
  let state = createHash('sha512').update('kata-edge').digest();
  let left = INPUT_MIB;
  return new Readable({
    read() {
      if (left-- === 0) return void this.push(null);
      const block = Buffer.alloc(MIB);
      for (let offset = 0; offset < MIB; offset += state.length) {
        state.copy(block, offset);
        if (offset % 4096 === 0) state = createHash('sha512').update(state).digest();
      }
      hash.update(block);
      this.push(block);
    },
  });
}
