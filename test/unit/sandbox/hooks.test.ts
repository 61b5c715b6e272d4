import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { KataError } from '../../../host/error.ts';
import type { Hook } from '../../../host/proto/messages/oci.ts';
import { type HookState, MAX_HOOKS, runHooks, runHooksLoosely } from '../../../host/sandbox/hooks.ts';
import { KeptLog } from './fake-guest.ts';

const test = suite<{ directory: string; state: HookState }>('hooks');

test.before.each((context) => {
  context.directory = mkdtempSync(join(tmpdir(), 'kata-hooks-'));
  context.state = { id: 'c1', status: 'creating', pid: 42, bundle: context.directory, annotations: { a: 'b' } };
});
test.after.each(({ directory }) => rmSync(directory, { recursive: true, force: true }));

function shell(script: string, more: Partial<Hook> = {}): Hook {
  return { Path: '/bin/sh', Args: ['sh', '-c', script], Env: [], Timeout: 0, ...more };
}

async function failure(call: Promise<unknown>): Promise<KataError> {
  return call.then(
    () => assert.unreachable('it did not fail'),
    (thrown) => thrown,
  ) as Promise<KataError>;
}

test('hooks get the state on stdin and run in order, in the bundle', async ({ directory, state }) => {
  const hooks = [shell('cat >first; echo 1 >>order'), shell('test -e first; echo 2 >>order')];
  await runHooks('CreateRuntime', hooks, state);
  const { ociVersion, ...seen } = JSON.parse(readFileSync(join(directory, 'first'), 'utf8'));
  assert.equal(seen, state);
  assert.match(ociVersion, /^\d+\.\d+\.\d+$/);
  assert.is(readFileSync(join(directory, 'order'), 'utf8'), '1\n2\n');
});

test('without a process there is no pid', async ({ directory, state }) => {
  await runHooks('Poststop', [shell('cat >state')], { ...state, pid: 0, status: 'stopped' });
  assert.not.ok('pid' in JSON.parse(readFileSync(join(directory, 'state'), 'utf8')));
});

test('a hook has the arguments and the environment it names, and nothing of ours', async ({ directory, state }) => {
  const hook = shell('echo "$0|$1|$NAME|$(env | grep -c ^HOME=)" >seen', { Env: ['NAME=x=y', 'PATH=/bin:/usr/bin'] });
  await runHooks('Prestart', [{ ...hook, Args: [...hook.Args, 'zero', 'one'] }], state);
  assert.is(readFileSync(join(directory, 'seen'), 'utf8'), 'zero|one|x=y|0\n');
});

test('files of a hook have the modes it asks for, and ours keep theirs', async ({ directory, state }) => {
  const before = process.umask();
  await runHooks('Prestart', [shell('umask >mask; : >made')], state);
  assert.is(readFileSync(join(directory, 'mask'), 'utf8').trim(), '0022');
  assert.is(statSync(join(directory, 'made')).mode & 0o777, 0o644);
  assert.is(process.umask(), before);
});

test('a hook that fails is named with its words, and none after it runs', async ({ directory, state }) => {
  const hooks = [shell('echo this is why >&2; exit 3'), shell(': >after')];
  const { code, message } = await failure(runHooks('Prestart', hooks, state));
  assert.is(code, 'failed_precondition');
  assert.match(message, /Prestart hook \/bin\/sh failed with status 3: this is why/);
  assert.not.ok(existsSync(join(directory, 'after')));
});

test('what a hook says is bounded and made printable', async ({ state }) => {
  const { message } = await failure(
    runHooks('Prestart', [shell("yes word | head -c 1000000; printf '\\033[31m'; exit 1")], state),
  );
  assert.ok(message.length < 2000, `${message.length}`);
  assert.match(message, '\\x1b[31m');
});

test('a hook that is late is killed with what it started', async ({ directory, state }) => {
  const late = shell('sleep 1000 & echo $! >child; wait', { Timeout: 1 });
  const { message } = await failure(runHooks('Prestart', [late], state));
  assert.match(message, /did not end within 1 s/);
  const child = Number(readFileSync(join(directory, 'child'), 'utf8'));
  const gone = (): boolean => {
    try {
      return / [ZX] /.test(readFileSync(`/proc/${child}/stat`, 'latin1'));
    } catch {
      return true;
    }
  };
  while (!gone()) await new Promise((resolve) => setTimeout(resolve, 5));
});

test('a hook that leaves a daemon behind has ended', async ({ directory, state }) => {
  await runHooks('Prestart', [shell('sleep 1000 & echo $! >child')], state);
  process.kill(Number(readFileSync(join(directory, 'child'), 'utf8')), 'SIGKILL');
});

test('a hook that cannot be started, or is no absolute path, is named', async ({ directory, state }) => {
  const path = join(directory, 'no-program');
  writeFileSync(path, 'just text');
  chmodSync(path, 0o600);
  assert.match(
    (await failure(runHooks('Prestart', [{ ...shell(''), Path: path }], state))).message,
    /cannot be started/,
  );
  const relative = await failure(runHooks('Prestart', [{ ...shell(''), Path: 'bin/true' }], state));
  assert.match(relative.message, 'must be an absolute path');
  const many = Array.from({ length: MAX_HOOKS + 1 }, () => shell('exit 1'));
  assert.match((await failure(runHooks('Prestart', many, state))).message, `at most ${MAX_HOOKS}`);
});

test('a hook that does not read its state is not the reason to fail', async ({ state }) => {
  const big = { ...state, annotations: { big: 'x'.repeat(1024 * 1024) } };
  await runHooks('Prestart', [shell('exec 0<&-; exit 0')], big);
});

test('loosely, a failure is logged and the next hook runs', async ({ directory, state }) => {
  const log = new KeptLog();
  await runHooksLoosely('Poststop', [shell('exit 1'), shell(': >after')], state, log);
  assert.ok(existsSync(join(directory, 'after')));
  assert.is(log.lines.length, 1);
});

test.run();
