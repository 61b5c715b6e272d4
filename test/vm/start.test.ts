/** `npm start`, as a person types it: what it shows, and that it passes on stdin, stdout and exit code. */
import { release } from 'node:os';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type CommandOptions, type Finished, finish } from '../../setup/command.ts';
import { ROOT } from '../../setup/paths.ts';
import { IS_KATA } from '../harness/containerd.ts';
import { PATIENCE_MS } from '../harness/containers.ts';
import { inTerminal } from '../harness/terminal.ts';

const COMMAND = [process.execPath, 'setup/bootstrap.mjs', 'setup/start.ts'];

function start(args: readonly string[], options: CommandOptions = {}): Promise<Finished> {
  return finish([...COMMAND, ...args], { cwd: ROOT, env: process.env, timeoutMs: 2 * PATIENCE_MS, ...options });
}

const test = suite('npm start');

test('shows both kernels, the accelerator, a timeline and that nothing is left', async () => {
  const { stdout, stderr, code } = await start([]);
  const field = (label: string) => new RegExp(`^${label} +(.*)$`, 'm').exec(stdout)?.[1];
  assert.is(field('host kernel'), release());
  assert.ok(field('container kernel'));
  assert.is.not(field('container kernel'), release());
  assert.match(field('accelerator') ?? '', /^(KVM|TCG, not KVM: .+)$/);
  for (const moment of ['shim start', 'vm ready', 'agent ready', 'container started', 'exit']) {
    assert.match(stdout, new RegExp(`${moment} +\\d+ ms`));
  }
  assert.is(field('left behind'), 'nothing');
  assert.is(code, 0, stderr);
});

test('a command gets stdin and its end, gives stdout alone, and its exit code is passed on', async () => {
  const done = await start(['sh', '-c', 'wc -c; exit 7'], { stdin: 'x'.repeat(100_000) });
  assert.equal([done.stdout, done.code], ['100000\n', 7]);
  assert.match(done.stderr, /left behind +nothing/);
});

test('a command on a terminal has one', async () => {
  const argv = ['sh', '-c', `cd '${ROOT}'; exec "$@"`, 'sh', ...COMMAND, 'sh', '-c', 'tty; exit 5'];
  const done = await inTerminal(argv, { env: { PATH: process.env.PATH ?? '', HOME: '/root' } });
  assert.match(done.stdout, '/dev/pts/0');
  assert.is(done.code, 5);
});

test('SIGINT ends it with 130 and leaves nothing', async () => {
  let shown = '';
  const done = await start(['sh', '-c', 'trap "" INT TERM; echo here; while :; do sleep 1; done'], {
    onSpawn: (child) => {
      child.stdout?.on('data', (chunk: Buffer) => {
        shown += chunk.toString();
        if (shown.includes('here')) child.kill('SIGINT');
      });
    },
  });
  assert.is(done.code, 130);
  assert.match(done.stderr, /left behind +nothing/);
});

if (IS_KATA) test.run();
