/** This machine's own cgroups, below a parent of the test's. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { thisHost } from '../../../host/resources/cgroup-host.ts';
import { cleanUpCgroups } from '../../../host/resources/choose-host-cgroup.ts';

const PROGRAM = fileURLToPath(new URL('./real-cgroup-program.ts', import.meta.url));
const ROOT = `/kata-test-${process.pid}-cgroup`;
const ID = `kata-test-${process.pid}-sandbox`;
const SILENT = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

const host = thisHost();
const v1 = host.hierarchies.filter(({ version }) => version === 1);
const points = v1.map(({ point }) => point);
const memory = v1.find(({ controllers }) => controllers.includes('memory'))?.point ?? '';
const cpu = v1.find(({ controllers }) => controllers.includes('cpu'))?.point ?? '';

interface Told {
  readonly own: string;
  readonly child: string;
  readonly thread: string;
  readonly traces: string[];
  readonly said: string[];
  readonly error?: string;
}

function run(...argv: string[]): Told {
  const text = execFileSync(process.execPath, ['--import', 'tsx', PROGRAM, ...argv], { encoding: 'utf8' });
  return JSON.parse(text) as Told;
}

/** Paths by hierarchy of version 1. */
function paths(text: string): string[] {
  const lines = text.split('\n').map((line) => line.split(':'));
  return lines.filter(([, names]) => names).map(([, , path]) => path ?? '');
}

const test = suite('real cgroups of version 1');

test.after.each(() => {
  for (const point of points) {
    for (const path of [`${ROOT}/pod/kata_${ID}`, `${ROOT}/pod`, ROOT])
      if (existsSync(point + path)) rmdirSync(point + path);
  }
});

function left(): string[] {
  return points.filter((point) => existsSync(point + ROOT) || existsSync(`${point}/kata_overhead/${ID}`));
}

if (memory !== '' && writable(memory)) {
  test('what joins is in every hierarchy, and what it starts', () => {
    const { own, child, said, error } = run(`${ROOT}/pod/x`, ID, 'true', 'remove');
    assert.equal([error, said], [undefined, []]);
    assert.equal([...new Set(paths(own))], [`${ROOT}/pod/kata_${ID}`]);
    assert.equal(paths(child), paths(own));
    assert.is(paths(own).length, points.length);
    assert.equal(left(), []);
  });

  test('a thread apart from its process', () => {
    const { own, thread, error } = run(`${ROOT}/pod/x`, ID, 'false', 'remove');
    assert.is(error, undefined);
    assert.equal([...new Set(paths(own))], [`/kata_overhead/${ID}`]);
    assert.equal([...new Set(paths(thread))], [`${ROOT}/pod/kata_${ID}`]);
    assert.equal(left(), []);
  });

  test('what a crash leaves is removed from its traces alone, but for the parents of others', async () => {
    mkdirSync(`${memory}${ROOT}`);
    mkdirSync(`${memory}${ROOT}/pod`);
    const { traces } = run(`${ROOT}/pod/x`, ID, 'true', 'leave');
    assert.is(left().length, points.length);
    assert.is(readFileSync(`${cpu}${ROOT}/pod/kata_${ID}/cpu.cfs_quota_us`, 'latin1'), '150000\n');
    assert.is(readFileSync(`${memory}${ROOT}/pod/kata_${ID}/memory.limit_in_bytes`, 'latin1'), `${400 * 2 ** 20}\n`);
    for (let time = 0; time < 2; time++) await cleanUpCgroups(traces, SILENT);
    assert.equal(left(), [memory]);
    assert.ok(existsSync(`${memory}${ROOT}/pod`));
    assert.not.ok(existsSync(`${memory}${ROOT}/pod/kata_${ID}`));
  });

  test("the pod's limit", () => {
    mkdirSync(join(memory, ROOT, 'pod'), { recursive: true });
    writeFileSync(join(memory, ROOT, 'pod', 'memory.limit_in_bytes'), `${300 * 2 ** 20}`);
    const { error } = run(`${ROOT}/pod/x`, ID, 'true', 'remove');
    assert.match(error ?? '', new RegExp(`cgroup ${ROOT}/pod: 300 MiB of memory cannot hold .* needs 320 MiB`));
    assert.equal(left(), [memory]);
  });
}

function writable(point: string): boolean {
  try {
    mkdirSync(`${point}${ROOT}`);
    rmdirSync(`${point}${ROOT}`);
    return true;
  } catch {
    return false;
  }
}

test.run();
