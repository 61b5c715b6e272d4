/** Processes beside the container's first: one container serves all tests. */
import * as assert from 'uvu/assert';
import { eachContainerd } from '../harness/containerd.ts';
import { inTerminal } from '../harness/terminal.ts';

const AT_ONCE = 20;

eachContainerd('ctr task exec', (test) => {
  let id = '';

  test('a container to work in', async ({ containers }) => {
    id = await containers.detached(['sleep', '100000']);
    assert.is(await containers.status(id), 'RUNNING');
  });

  test('gives back stdout, stderr and the exit code', async ({ containers }) => {
    const done = await containers.exec(id, ['sh', '-c', 'echo out; echo err >&2; exit 7']);
    assert.equal([done.stdout, done.stderr, done.code], ['out\n', 'err\n', 7]);
  });

  test('passes stdin on to its end', async ({ containers }) => {
    const done = await containers.exec(id, ['wc', '-c'], { stdin: 'x'.repeat(1_000_000) });
    assert.equal([done.stdout.trim(), done.code], ['1000000', 0]);
  });

  test('ends again and again with a stdin that is at its end', async ({ containers }) => {
    for (let round = 0; round < 10; round++) assert.is((await containers.exec(id, ['true'], { stdin: '' })).code, 0);
  });

  test(`runs ${AT_ONCE} at once`, async ({ containers }) => {
    const numbers = Array.from({ length: AT_ONCE }, (_, i) => i);
    const all = await Promise.all(numbers.map((i) => containers.exec(id, ['sh', '-c', `echo ${i}; exit ${i}`])));
    assert.equal(
      all.map((done) => [done.stdout, done.code]),
      numbers.map((i) => [`${i}\n`, i]),
    );
  });

  test('has a terminal when asked for', async ({ containers, daemon }) => {
    const args = ['task', 'exec', '--tty', '--exec-id', containers.newId(), id, 'sh', '-c', 'tty; exit 3'];
    const done = await inTerminal(daemon.ctrCommand(args), { env: daemon.env });
    assert.match(done.stdout, '/dev/pts/');
    assert.is(done.code, 3);
  });

  for (const [signal, code] of [
    ['SIGTERM', 143],
    ['SIGKILL', 137],
  ] as const) {
    test(`ends by ${signal} with ${code}`, async ({ containers }) => {
      const exec = await containers.backgroundExec(id, 'exec sleep 5000');
      await containers.task(['kill', '--signal', signal, '--exec-id', exec.id, id]);
      assert.is((await exec.finished).code, code);
    });
  }

  test('names a program that does not exist, and nothing else suffers', async ({ containers }) => {
    const done = await containers.exec(id, ['/no/such/program']);
    assert.is.not(done.code, 0);
    assert.match(done.stderr, '/no/such/program');
    assert.is((await containers.exec(id, ['true'])).code, 0);
  });

  test('an exec id that does not exist is not found', async ({ containers }) => {
    const done = await containers.daemon.ctr(['task', 'kill', '--exec-id', 'nobody', id]);
    assert.is.not(done.code, 0);
    assert.match(done.stderr, /not found|does not exist/);
  });

  test('an exec id may not be used twice at a time', async ({ containers }) => {
    const first = await containers.backgroundExec(id, 'exec sleep 5000');
    const second = await containers.exec(id, ['true'], { id: first.id });
    assert.is.not(second.code, 0);
    assert.match(second.stderr, /already exists|exist/);
    await containers.task(['kill', '--signal', 'SIGKILL', '--exec-id', first.id, id]);
    assert.is((await first.finished).code, 137);
  });

  test('the container is still the one it was', async ({ containers }) => {
    assert.is(await containers.status(id), 'RUNNING');
    await containers.remove(id);
  });
});
