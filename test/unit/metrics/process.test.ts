/** /proc of processes that are odd, gone, or have more than anybody should. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  MAX_CHILDREN,
  MAX_INTERFACES,
  MAX_PROC_LENGTH,
  readChildren,
  readNetwork,
  readProcess,
  readPss,
} from '../../../host/metrics/process.ts';

const test = suite<{ proc: string }>('processes');
const REST = `1 1 1 0 -1 0 0 0 0 0 11 12 13 14 20 0 7 0 5 4096 10 ${'0 '.repeat(28)}\n`;
const COUNTERS = '1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16';

test.before.each((context) => {
  context.proc = mkdtempSync(join(tmpdir(), 'kata-proc-'));
});
test.after.each(({ proc }) => rmSync(proc, { recursive: true, force: true }));

function write(proc: string, pid: number, files: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(files)) {
    const path = join(proc, String(pid), name);
    mkdirSync(join(path, '..'), { recursive: true });
    writeFileSync(path, text);
  }
}

test('this very process is read as it is', () => {
  const reading = readProcess(process.pid);
  assert.ok(reading);
  assert.ok(reading.threads > 1 && (reading.fds ?? 0) > 2);
  assert.ok((reading.status.get('vmrss') ?? 0) > 10 * 1024 * 1024);
  assert.ok((reading.io.get('rchar') ?? 0) > 0);
  assert.ok((readPss(process.pid)?.total ?? 0) > 1024 * 1024);
  assert.ok(readNetwork(process.pid).has('lo'));
});

test('a name may hold what it likes', ({ proc }) => {
  write(proc, 5, { stat: `5 (a) S 9 (\n) R ${REST}` });
  const reading = readProcess(5, proc);
  assert.is(reading?.threads, 7);
  assert.equal(
    [...(reading?.stat ?? [])],
    [
      ['utime', 11],
      ['stime', 12],
      ['cutime', 13],
      ['cstime', 14],
    ],
  );
});

test('what a kernel does not tell is 0, and what may not be looked at is missing', ({ proc }) => {
  write(proc, 5, { stat: `5 (kthread) S ${REST}`, status: 'Name:\tkthread\nvoluntary_ctxt_switches:\t3\n' });
  const reading = readProcess(5, proc);
  assert.is(reading?.status.get('vmrss'), 0);
  assert.is(reading?.status.get('voluntary_ctxt_switches'), 3);
  assert.is(reading?.fds, undefined);
  assert.is(reading?.io.size, 0);
  assert.is(readPss(5, proc), undefined);
});

test('a process that is gone, or no process, has no reading', ({ proc }) => {
  write(proc, 5, { stat: 'rubbish' });
  for (const pid of [5, 6]) {
    assert.is(readProcess(pid, proc), undefined);
    assert.is(readPss(pid, proc), undefined);
    assert.is(readNetwork(pid, proc).size, 0);
  }
});

test(`of more than ${MAX_INTERFACES} interfaces the first are told of`, ({ proc }) => {
  const lines = (count: number) => Array.from({ length: count }, (_, i) => `  eth${i}: ${COUNTERS}\n`).join('');
  write(proc, 5, { 'net/dev': `Inter-|\n face |\n${lines(MAX_INTERFACES)}` });
  assert.is(readNetwork(5, proc).size, MAX_INTERFACES);
  write(proc, 5, { 'net/dev': `Inter-|\n face |\n${lines(MAX_INTERFACES + 1)}` });
  assert.is(readNetwork(5, proc).size, MAX_INTERFACES);
});

test(`of more than ${MAX_CHILDREN} children the first count`, ({ proc }) => {
  const children = Array.from({ length: MAX_CHILDREN + 1 }, (_, i) => 100 + i);
  write(proc, 5, { 'task/5/children': `${children.join(' ')} ` });
  assert.equal(readChildren(5, proc), children.slice(0, MAX_CHILDREN));
  assert.equal(readChildren(6, proc), []);
});

test('an interface of a VLAN has a colon in its name', ({ proc }) => {
  write(proc, 5, { 'net/dev': `Inter-|\n face |\n  eth0:1: ${COUNTERS}\n` });
  assert.is(readNetwork(5, proc).get('eth0:1')?.get('sent_bytes'), 9);
});

test('a file beyond all measure is read as far as its limit', ({ proc }) => {
  write(proc, 5, { smaps_rollup: `${'x'.repeat(MAX_PROC_LENGTH)}\nPss: 1 kB\n` });
  assert.is(readPss(5, proc), undefined);
  write(proc, 5, { smaps_rollup: `${'x'.repeat(MAX_PROC_LENGTH - 20)}\nPss: 1 kB\n` });
  assert.is(readPss(5, proc)?.total, 1024);
});

test.run();
