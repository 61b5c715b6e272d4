/**
 * `npm test`: sets up, builds, checks types and style, runs every test file in a process of its own and ends with the line
 * `N passed, N failed`. Arguments select files by a part of their path: `npm test -- unit/shim vm/exec`.
 */
import { readdirSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { reasonOf } from '../host/error.ts';
import { build } from '../setup/builds.ts';
import { describe, type Finished, finish } from '../setup/command.ts';
import { CONTAINERD_VERSIONS, containerdPrograms, isUnpacked } from '../setup/containerd-packages.ts';
import { criPackages, isCriUnpacked } from '../setup/cri-packages.ts';
import { goPackages, isGoUnpacked } from '../setup/go-packages.ts';
import { CONTAINERD, DEBIAN_CACHE, GO, ROOT } from '../setup/paths.ts';
import { step } from '../setup/step.mjs';

/** Milliseconds for one test file; those with virtual machines boot dozens of them. */
const FILE_TIMEOUT_MS = 3 * 60_000;
const VM_FILE_TIMEOUT_MS = 15 * 60_000;
/** Milliseconds in which a file that is told to end takes its machines and daemons along. */
const FILE_GRACE_MS = 15_000;
const CHECK_TIMEOUT_MS = 5 * 60_000;
/** Files under way at a time where there is no virtual machine. */
const AT_ONCE = 2;
/** Characters of a failed file's output that are shown. */
const OUTPUT_TAIL = 20_000;

const FAST = ['test/fuzz', 'test/unit', 'test/wire', 'test/interop'];
const WITH_MACHINES = ['test/vm', 'test/cri', 'test/deploy'];

interface Count {
  readonly passed: number;
  readonly failed: number;
}

const total = { passed: 0, failed: 0 };
const wanted = process.argv.slice(2);
// Containerds that a test file started end with it; it is told first.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => process.exit(1));

try {
  await setUp();
  if (wanted.length === 0) await checks();
  await inParallel(FAST.flatMap(testFiles), FILE_TIMEOUT_MS);
  for (const file of WITH_MACHINES.flatMap(testFiles)) await runFile(file, VM_FILE_TIMEOUT_MS);
} catch (error) {
  add({ passed: 0, failed: 1 });
  process.stdout.write(`${reasonOf(error)}\n`);
}
if (total.passed + total.failed === 0) {
  process.stdout.write(`no test file matches ${wanted.join(' ')}\n`);
  total.failed++;
}
process.exitCode = total.failed === 0 ? 0 : 1;
process.stdout.write(`${total.passed} passed, ${total.failed} failed\n`);

async function setUp(): Promise<void> {
  for (const version of CONTAINERD_VERSIONS) {
    if (isUnpacked(version, CONTAINERD)) continue;
    await step(`containerd ${version}`, () => containerdPrograms(version, CONTAINERD, DEBIAN_CACHE, () => {}));
  }
  for (const version of CONTAINERD_VERSIONS) {
    if (isCriUnpacked(version, CONTAINERD)) continue;
    await step(`CNI and CRI for containerd ${version}`, () => criPackages(version, CONTAINERD, DEBIAN_CACHE, () => {}));
  }
  if (!isGoUnpacked(GO)) await step('Go and ttrpc-go', () => goPackages(GO, DEBIAN_CACHE, () => {}));
  await build();
}

/** The type checker and the linter, each a test. */
async function checks(): Promise<void> {
  const commands = { types: ['tsc', '--project', '.'], style: ['biome', 'check', '.'] };
  for (const [name, [program = '', ...args]] of Object.entries(commands)) {
    const done = await finish([join(ROOT, 'node_modules', '.bin', program), ...args], {
      cwd: ROOT,
      env: process.env,
      timeoutMs: CHECK_TIMEOUT_MS,
    });
    report(name, done.code === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 }, done);
  }
}

async function inParallel(files: string[], timeoutMs: number): Promise<void> {
  const queue = [...files];
  const worker = async () => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) await runFile(file, timeoutMs);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

async function runFile(file: string, timeoutMs: number): Promise<void> {
  const done = await finish([process.execPath, '--import', 'tsx', file], {
    cwd: ROOT,
    env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: '0' },
    timeoutMs,
    graceMs: FILE_GRACE_MS,
  });
  report(file, counted(done), done);
}

/** uvu's totals; a file that ends without them, or otherwise than they say, counts as one more failure. */
function counted(done: Finished): Count {
  const number = (label: string) =>
    Number(new RegExp(`^ {2}${label}: +(\\d+)`, 'm').exec(lastSummary(done.stdout))?.[1] ?? 0);
  const tests = number('Total');
  const passed = number('Passed');
  const honest = tests > 0 && (done.code === 0) === (passed === tests);
  return { passed, failed: tests - passed + (honest ? 0 : 1) };
}

function lastSummary(stdout: string): string {
  return stdout.slice(Math.max(0, stdout.lastIndexOf('\n  Total:')));
}

function report(name: string, count: Count, done: Finished): void {
  add(count);
  const failed = count.failed > 0 ? `, ${count.failed} FAILED` : '';
  process.stdout.write(`${name}: ${count.passed} passed${failed}, ${(done.ms / 1000).toFixed(1)} s\n`);
  if (count.failed > 0) process.stdout.write(`${describe(done).slice(-OUTPUT_TAIL)}\n\n`);
}

function add({ passed, failed }: Count): void {
  total.passed += passed;
  total.failed += failed;
}

/** Test files below a directory that were asked for, as paths in the checkout. */
function testFiles(directory: string): string[] {
  const found: string[] = [];
  const walk = (path: string) => {
    for (const name of readdirSync(path).sort()) {
      const entry = join(path, name);
      if (statSync(entry).isDirectory()) walk(entry);
      else if (name.endsWith('.test.ts')) found.push(relative(ROOT, entry));
    }
  };
  const root = join(ROOT, directory);
  if (statSync(root, { throwIfNoEntry: false }) !== undefined) walk(root);
  return found.filter((file) => wanted.length === 0 || wanted.some((part) => file.includes(part)));
}
