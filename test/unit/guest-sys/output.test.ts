/** Output from processes of the true agent to FIFOs of the host: what goes through the kernel there arrives to the byte here. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream, existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { AgentClient } from '../../../host/agent/client.ts';
import { openSink } from '../../../host/sandbox/fifo.ts';
import { OutputRelay } from '../../../host/sandbox/stdio.ts';
import { TtrpcClient } from '../../../host/ttrpc/client.ts';
import { ROOT } from '../../../setup/paths.ts';
import { buildProgram, type Program } from './program.ts';

const MIB = 1024 * 1024;
const READS_IN_FLIGHT = 2;

const output = suite('output of the agent as a process');
let program: Program;
let child: ChildProcess;
let client: TtrpcClient;
let agent: AgentClient;

output.before(async () => {
  program = await buildProgram(join(ROOT, 'test', 'unit', 'guest-sys', 'streamer.ts'));
  const path = join(program.directory, 'agent.sock');
  child = spawn(program.path, ['--listen', `unix://${path}`], { stdio: 'inherit' });
  while (!existsSync(path)) await sleep(5);
  client = await TtrpcClient.connect(path);
  agent = new AgentClient(client);
  // Bytes that repeat nowhere near: one that is lost, doubled or out of place changes the digest.
  const block = Buffer.alloc(3 * MIB + 12_345);
  for (let i = 0; i + 4 <= block.length; i += 4) block.writeUInt32LE(Math.imul(i, 2654435761) >>> 0, i);
  writeFileSync(join(program.directory, 'block'), block);
});

output.after(async () => {
  client.close();
  child.kill('SIGKILL');
  await once(child, 'exit');
  await program.remove();
});

/** Runs a program; its output through a FIFO, read with a pause of so many milliseconds after each 64 KiB of the first `slow`. */
async function run(id: string, args: readonly string[], slow = 0): Promise<{ bytes: number; digest: string }> {
  const path = join(program.directory, `fifo-${id}`);
  execFileSync('mkfifo', [path]);
  const sink = openSink(path);
  const digest = createHash('sha256');
  let bytes = 0;
  const reading = (async () => {
    for await (const part of createReadStream(path, { highWaterMark: 64 * 1024 })) {
      digest.update(part);
      bytes += part.length;
      if (bytes < slow) await sleep(2);
    }
  })();
  const ref = { container_id: '', exec_id: id };
  await agent.execProcess({ ...ref, process: { Args: [...args] } });
  const relay = new OutputRelay(agent, ref, 'ReadStdout', sink, READS_IN_FLIGHT);
  await relay.done;
  assert.is(await agent.wait(ref), 0);
  sink.end();
  await reading;
  assert.is(relay.moved, bytes);
  return { bytes, digest: digest.digest('hex') };
}

function expected(copies: number): { bytes: number; digest: string } {
  const digest = createHash('sha256');
  const block = execFileSync('cat', [join(program.directory, 'block')], { maxBuffer: 16 * MIB });
  for (let i = 0; i < copies; i++) digest.update(block);
  return { bytes: copies * block.length, digest: digest.digest('hex') };
}

function copies(count: number, by: string): string[] {
  const file = join(program.directory, 'block');
  return ['sh', '-c', `i=0; while [ $i -lt ${count} ]; do ${by} ${file}; i=$((i+1)); done`];
}

output('much of it, read as fast as it comes', async () => {
  assert.equal(await run('fast', copies(20, 'cat')), expected(20));
});

output('in writes of odd sizes', async () => {
  assert.equal(await run('odd', ['sh', '-c', `dd bs=77777 if=${program.directory}/block status=none`]), expected(1));
  assert.equal(await run('small', ['sh', '-c', `dd bs=701 if=${program.directory}/block status=none`]), expected(1));
});

output('one reader that is slow, beside one that is not', async () => {
  const slow = run('slow', copies(6, 'cat'), 8 * MIB);
  const fast = await run('beside', copies(10, 'cat'));
  assert.equal(fast, expected(10));
  assert.equal(await slow, expected(6));
});

output('many at once', async () => {
  const all = await Promise.all(Array.from({ length: 12 }, (_, i) => run(`many-${i}`, copies(2, 'cat'))));
  for (const one of all) assert.equal(one, expected(2));
});

output.run();
