/**
 * `npm start`: a container in a virtual machine of its own, under a private containerd, with everything it needs made first.
 * `npm start -- COMMAND ARGUMENT...` runs that command, on a terminal if there is one; its exit code is passed on.
 */
import { release } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { reasonOf } from '../host/error.ts';
import { build } from './builds.ts';
import { describe } from './command.ts';
import { type Containerd, startContainerd } from './containerd.ts';
import { containerdPrograms, isUnpacked } from './containerd-packages.ts';
import { buildImage, IMAGE_NAME } from './image.ts';
import { BUILD, CONTAINERD, DEBIAN_CACHE, IMAGES } from './paths.ts';
import { lastLine, timeline } from './shim-log.ts';
import { step } from './step.mjs';

/** The one whose package list the guest's packages need anyway. */
const VERSION = '1.6';
const RUNTIME = 'io.containerd.kata.v2';
const ID = 'first-light';
/** Milliseconds for the container of a plain `npm start`, which ends by itself. */
const RUN_TIMEOUT_MS = 120_000;
/** Milliseconds between two looks whether the task runs. */
const POLL_MS = 100;
/** Width of the left column of the report, characters. */
const LABEL_WIDTH = 18;

const SIGNALS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;

const command = process.argv.slice(2);
let daemon: Containerd | undefined;
let interruptedBy = 0;
for (const [signal, number] of Object.entries(SIGNALS)) process.on(signal, () => interrupt(number));

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`${reasonOf(error)}\n`);
  process.exitCode = 1;
}

async function main(): Promise<number> {
  const programs = await containerdReady();
  await build();
  const image = await buildImage(IMAGES);
  daemon = await startContainerd({ programs, shimDirectory: `${BUILD}/bin`, image });
  let code = 1;
  try {
    code = command.length === 0 ? await show(daemon) : await run(daemon, command);
  } finally {
    const clean = await leave(daemon);
    if (!clean && code === 0) code = 1;
  }
  return code;
}

async function containerdReady() {
  const unpacked = () => containerdPrograms(VERSION, CONTAINERD, DEBIAN_CACHE, () => {});
  return isUnpacked(VERSION, CONTAINERD)
    ? unpacked()
    : step(`containerd ${VERSION}, unpacked beside the system`, unpacked);
}

/** Runs `uname -r` in a container. @returns the exit code of this program */
async function show(containerd: Containerd): Promise<number> {
  const args = ['run', '--rm', ...containerd.fifoFlags, '--runtime', RUNTIME, IMAGE_NAME, ID, 'uname', '-r'];
  const done = await containerd.ctr(args, { timeoutMs: RUN_TIMEOUT_MS });
  if (interruptedBy > 0) return 128 + interruptedBy;
  if (done.code !== 0) {
    process.stderr.write(`ctr ${args.join(' ')}: ${describe(done)}\n${shimLines(containerd)}`);
    return 1;
  }
  say('containerd', containerd.version);
  say('host kernel', release());
  say('container kernel', done.stdout.trim());
  return 0;
}

/** Runs a command with this program's stdin, stdout and stderr. @returns its exit code */
async function run(containerd: Containerd, argv: readonly string[]): Promise<number> {
  const terminal = process.stdin.isTTY === true && process.stdout.isTTY === true;
  const flags = ['--rm', ...containerd.fifoFlags, ...(terminal ? ['--tty'] : []), '--runtime', RUNTIME];
  const child = containerd.spawnCtr(
    ['run', ...flags, IMAGE_NAME, ID, ...argv],
    [terminal ? 'inherit' : 'pipe', 'inherit', 'inherit'],
  );
  const ended = new Promise<number>((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code) => resolve(code ?? 1));
  });
  if (child.stdin !== null) {
    child.stdin.on('error', () => {});
    // ctr forgets an end of stdin that comes before the task is there.
    await Promise.race([ended, untilRunning(containerd)]);
    process.stdin.pipe(child.stdin);
  }
  const code = await ended;
  process.stdin.destroy();
  return interruptedBy > 0 ? 128 + interruptedBy : code;
}

async function untilRunning(containerd: Containerd): Promise<void> {
  const running = async () => /^\S+\s+\d+\s+RUNNING/m.test((await containerd.ctr(['task', 'ls'])).stdout);
  while (interruptedBy === 0 && !(await running())) await sleep(POLL_MS);
}

/** Reports on the virtual machine that was, ends containerd and tells what is left. @returns whether nothing is */
async function leave(containerd: Containerd): Promise<boolean> {
  const log = containerd.log();
  const machine = lastLine(log, 'virtual machine started');
  const moments = timeline(log);
  const left = await containerd.stop();
  if (machine !== undefined) {
    const reason = machine.accelerator_reason === undefined ? '' : `, not KVM: ${machine.accelerator_reason}`;
    say('accelerator', `${(machine.accelerator ?? 'unknown').toUpperCase()}${reason}`);
  }
  moments.forEach(([moment, ms], i) => {
    say(
      i === 0 ? 'timeline' : '',
      `${moment.replaceAll('_', ' ').padEnd(LABEL_WIDTH)} ${ms.toFixed(0).padStart(6)} ms`,
    );
  });
  say('left behind', left.length === 0 ? 'nothing' : left.join(`\n${''.padEnd(LABEL_WIDTH)} `));
  return left.length === 0;
}

/** One line of the report; on stderr where stdout is the container's. */
function say(label: string, text: string): void {
  const out = command.length === 0 ? process.stdout : process.stderr;
  out.write(`${label.padEnd(LABEL_WIDTH)} ${text}\n`);
}

/** What the shim has told containerd's log, for a run that failed. */
function shimLines(containerd: Containerd): string {
  const lines = containerd
    .log()
    .split('\n')
    .filter((line) => /level=(warning|error)|msg=timeline|virtual machine/.test(line));
  return lines.length === 0 ? '' : `containerd's log:\n${lines.slice(-20).join('\n')}\n`;
}

/** First signal: the container is killed and everything tidied. Second: everything is killed at once. */
function interrupt(number: number): void {
  if (daemon === undefined || interruptedBy > 0) process.exit(128 + number);
  interruptedBy = number;
  void daemon.ctr(['task', 'kill', '--signal', 'SIGKILL', ID]);
}
