/** A container from start to end: output, exit codes, terminal, and who started it. */
import { readFileSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { eachContainerd, IS_KATA } from '../harness/containerd.ts';
import { inTerminal } from '../harness/terminal.ts';

eachContainerd('ctr run', (test) => {
  test('gives back stdout, stderr and exit code 0', async ({ containers }) => {
    const done = await containers.run(['sh', '-c', 'echo out; echo err >&2']);
    assert.equal([done.stdout, done.stderr, done.code], ['out\n', 'err\n', 0]);
  });

  for (const [code, script] of [
    [7, 'exit 7'],
    [126, '/etc/passwd'],
    [127, 'no-such-program'],
    [137, 'sleep 1000 & kill -KILL $!; wait $!'],
    [143, 'sleep 1000 & kill -TERM $!; wait $!'],
  ] as const) {
    test(`passes on exit code ${code}`, async ({ containers }) => {
      assert.is((await containers.run(['sh', '-c', script])).code, code);
    });
  }

  test('names a program that does not exist', async ({ containers }) => {
    const done = await containers.run(['/no/such/program']);
    assert.is.not(done.code, 0);
    assert.match(done.stderr, '/no/such/program');
  });

  test('runs with a terminal of the size of the caller', async ({ containers, daemon }) => {
    // ctr sends the size once the container has started, which the container may see or not.
    const sized =
      'tty; for i in $(seq 100); do [ "$(stty size)" = "33 99" ] && break; sleep 0.1; done; stty size; exit 7';
    const args = containers.runArgs(['--rm', '--tty'], ['sh', '-c', sized]);
    const done = await inTerminal(daemon.ctrCommand(args), { env: daemon.env, rows: 33, columns: 99 });
    assert.match(done.stdout, '/dev/pts/0');
    assert.match(done.stdout, '33 99');
    assert.is(done.code, 7);
  });

  test('reads from the terminal', async ({ containers, daemon }) => {
    const args = containers.runArgs(['--rm', '--tty'], ['sh', '-c', 'echo ready; read line; echo "got $line"']);
    const answer = { after: 'ready', type: 'hello\r' };
    const done = await inTerminal(daemon.ctrCommand(args), { env: daemon.env, answer });
    assert.match(done.stdout, 'got hello');
    assert.is(done.code, 0);
  });

  test('has the environment, directory and limits that were asked for', async ({ containers }) => {
    const flags = ['--env', 'COLOUR=green', '--cwd', '/tmp', '--read-only'];
    const done = await containers.run(['sh', '-c', 'echo $COLOUR; pwd; touch /x || echo read-only'], { flags });
    assert.is(done.stdout, 'green\n/tmp\nread-only\n');
  });

  test('runs as the user that was asked for', async ({ containers, version }) => {
    // containerd 1.6's ctr has no --user: there a shell changes it.
    const old = version === '1.6';
    const command = old ? ['su', '-s', '/bin/sh', 'nobody', '-c', 'id -u'] : ['id', '-u'];
    const done = await containers.run(command, { flags: old ? [] : ['--user', '65534'] });
    assert.is(done.stdout, '65534\n');
  });

  if (IS_KATA) {
    test('runs on a kernel of its own', async ({ containers }) => {
      const inside = (await containers.run(['cat', '/proc/version'])).stdout;
      assert.match(inside, 'Linux version');
      assert.is.not(inside, readFileSync('/proc/version', 'utf8'));
    });
  }

  test('runs two containers of the same id in different namespaces', async ({ containers }) => {
    const id = containers.newId();
    await containers.detached(['sleep', '1000'], { id, namespace: 'default', flags: ['--env', 'IN=default'] });
    await containers.detached(['sleep', '1000'], { id, namespace: 'other', flags: ['--env', 'IN=other'] });
    for (const namespace of ['default', 'other']) {
      const done = await containers.exec(id, ['sh', '-c', 'tr "\\0" "\\n" </proc/1/environ | grep ^IN='], {
        namespace,
      });
      assert.is(done.stdout, `IN=${namespace}\n`);
      await containers.remove(id, namespace);
    }
  });
});
