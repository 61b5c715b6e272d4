import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { MAX_CPU, MAX_LIST_LENGTH, parseList, VcpuPinning } from '../../../host/resources/pinning.ts';

interface Context {
  placed: string[];
  told: string[];
  /** Threads that run vCPUs. */
  threads: number[];
  fails: boolean;
  pinning: VcpuPinning;
}

const pins = suite<Context>('vCPUs on CPUs');

pins.before.each((context) => {
  Object.assign(context, { placed: [], told: [], threads: [101, 102], fails: false });
  context.pinning = new VcpuPinning({
    threads: async () => context.threads,
    log: { info: (message) => context.told.push(message), warn: (message) => context.told.push(`warning: ${message}`) },
    place: async (thread, cpus) => {
      if (context.fails) throw new Error('no such CPU');
      context.placed.push(`${thread} on ${cpus}`);
    },
  });
});

pins('each has one where there are as many', async ({ pinning, placed, told }) => {
  await pinning.set('a', '7,3');
  assert.equal(placed, ['101 on 3', '102 on 7']);
  assert.equal(told, ['vCPUs are pinned']);
});

pins('they share them where there are not, and are looked at again when a container changes', async (context) => {
  const { pinning, placed } = context;
  await pinning.set('a', '2');
  assert.equal(placed.splice(0), ['101 on 2', '102 on 2']);
  await pinning.set('b', '4');
  assert.equal(placed.splice(0), ['101 on 2', '102 on 4']);
  await pinning.set('b', '4-6');
  assert.equal(placed.splice(0), ['101 on 2,4,5,6', '102 on 2,4,5,6']);
  await pinning.remove('a');
  assert.equal(placed.splice(0), ['101 on 4,5,6', '102 on 4,5,6']);
  await pinning.set('b', '4-5');
  assert.equal(placed.splice(0), ['101 on 4', '102 on 5']);
  await pinning.set('c', '4-5');
  await pinning.remove('nobody');
  assert.equal(placed, []);
});

pins('a container without a set has no say', async ({ pinning, placed, told }) => {
  await pinning.set('a', '');
  assert.equal(placed, []);
  await pinning.set('b', '1-2');
  await pinning.set('a', '');
  assert.equal(placed, ['101 on 1', '102 on 2']);
  assert.equal(told, ['vCPUs are pinned']);
});

pins('what cannot be done is told, and tried again with the next change', async (context) => {
  const { pinning, placed, told } = context;
  context.fails = true;
  await pinning.set('a', '1-2');
  await pinning.set('a', 'all');
  assert.equal(told, ['warning: vCPUs cannot be pinned', 'warning: a CPU set is no list; vCPUs stay where they are']);
  context.fails = false;
  await pinning.set('a', '1-2');
  assert.equal(placed, ['101 on 1', '102 on 2']);
});

pins('changes are followed in their order', async ({ pinning, placed }) => {
  await Promise.all([pinning.set('a', '1,2'), pinning.set('a', '3,4'), pinning.set('a', '5,6')]);
  assert.equal(placed.slice(-2), ['101 on 5', '102 on 6']);
});

pins('real threads are placed', async () => {
  const children: ChildProcess[] = [0, 1].map(() => spawn('sleep', ['60'], { stdio: 'ignore' }));
  try {
    const allowed = (pid: number | undefined): string =>
      /^Cpus_allowed_list:\s*(\S+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '';
    const cpus = parseList(allowed(process.pid)) ?? [];
    const pinning = new VcpuPinning({
      threads: async () => children.map(({ pid }) => pid ?? 0),
      log: { info: () => {}, warn: (message, fields) => assert.unreachable(`${message}: ${fields?.error}`) },
    });
    const two = [cpus[0] ?? 0, cpus[1] ?? cpus[0] ?? 0];
    await pinning.set('a', two.join(','));
    assert.equal(
      children.map(({ pid }) => allowed(pid)),
      two.map(String),
    );
  } finally {
    for (const child of children) child.kill('SIGKILL');
  }
});

pins('lists as the kernel writes them, and nothing else', () => {
  for (const [list, cpus] of [
    ['', []],
    ['0', [0]],
    ['0-3,8', [0, 1, 2, 3, 8]],
    [' 5-5\n', [5]],
    [`${MAX_CPU}`, [MAX_CPU]],
    [`${MAX_CPU + 1}`, undefined],
    ['3-1', undefined],
    ['1,', undefined],
    ['-1', undefined],
    ['1-2-3', undefined],
    ['0x1', undefined],
    [
      Array(MAX_LIST_LENGTH / 2 + 1)
        .fill('0')
        .join(','),
      undefined,
    ],
  ] as const) {
    assert.equal(parseList(list), cpus, list.slice(0, 20));
  }
});

pins.run();
