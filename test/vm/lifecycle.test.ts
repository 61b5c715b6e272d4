/** Signals, pause, metrics, processes, events, and many containers one after the other. */
import * as assert from 'uvu/assert';
import { eachContainerd } from '../harness/containerd.ts';
import { type Background, type Containers, until } from '../harness/containers.ts';
import { watchEvents } from '../harness/events.ts';

const IN_A_ROW = 10;

eachContainerd('a container’s life', (test) => {
  test('killing all ends a tree of processes with 137', async ({ containers }) => {
    const tree = 'sleep 4000 & (sleep 4000 & sh -c "sleep 4000 & wait" & wait) & wait';
    const { id, finished } = await containers.background(['sh', '-c', tree]);
    await containers.task(['kill', '--all', '--signal', 'SIGKILL', id]);
    assert.is((await finished).code, 137);
  });

  test('one that ignores SIGTERM goes on, and ends by SIGKILL with 137', async ({ containers }) => {
    const { id, finished } = await armed(containers, 'trap "" TERM');
    await containers.task(['kill', '--signal', 'SIGTERM', id]);
    const exec = await containers.exec(id, ['sleep', '1']);
    assert.equal([exec.code, exec.stderr], [0, '']);
    assert.is(await containers.status(id), 'RUNNING');
    await containers.task(['kill', '--signal', 'SIGKILL', id]);
    assert.is((await finished).code, 137);
  });

  test('one that obeys SIGTERM ends by it with the code of its choice', async ({ containers }) => {
    const { id, finished } = await armed(containers, 'trap "exit 143" TERM');
    await containers.task(['kill', '--signal', 'SIGTERM', id]);
    assert.is((await finished).code, 143);
  });

  test('pauses and resumes', async ({ containers }) => {
    const id = await containers.detached(['sh', '-c', 'while :; do echo >>/tmp/beats; sleep 0.1; done']);
    const beats = async () => Number((await containers.exec(id, ['wc', '-l', '/tmp/beats'])).stdout.split(' ')[0]);
    await until('it beats', async () => (await beats()) > 0);
    await containers.task(['pause', id]);
    assert.is(await containers.status(id), 'PAUSED');
    await containers.task(['resume', id]);
    assert.is(await containers.status(id), 'RUNNING');
    const then = await beats();
    await until('it beats again', async () => (await beats()) > then);
    await containers.remove(id);
  });

  test('tells its metrics and processes', async ({ containers }) => {
    const id = await containers.detached(['sh', '-c', 'sleep 4000 & sleep 4000']);
    assert.match(await containers.task(['metrics', id]), /memory\S*\s+[1-9]\d*/);
    assert.match(await containers.task(['ps', id]), String(await containers.pid(id)));
    await containers.remove(id);
  });

  test('sends its events in order', async ({ containers, daemon }) => {
    const events = await watchEvents(daemon);
    try {
      const { id, finished } = await containers.background(['sh', '-c', 'sleep 4000']);
      const execId = containers.newId();
      assert.is((await containers.exec(id, ['true'], { id: execId })).code, 0);
      await containers.task(['kill', '--signal', 'SIGKILL', id]);
      await finished;
      await until(
        () => `the last event, after ${JSON.stringify(events.of(id))}`,
        () => events.of(id).some(({ topic }) => topic === '/tasks/delete'),
      );
      const seen = events.of(id).map(({ topic, data }) => (data.id === execId ? `${topic} of the exec` : topic));
      assert.equal(seen, [
        '/tasks/create',
        '/tasks/start',
        '/tasks/exec-added',
        '/tasks/exec-started',
        '/tasks/exit of the exec',
        '/tasks/exit',
        '/tasks/delete',
      ]);
      const exit = events.of(id).find(({ topic, data }) => topic === '/tasks/exit' && data.id === id);
      assert.is(exit?.data.exit_status, 137);
    } finally {
      events.stop();
    }
  });

  test(`leaves nothing behind, ${IN_A_ROW} times in a row`, async ({ containers, daemon }) => {
    for (let i = 0; i < IN_A_ROW; i++) assert.is((await containers.run(['sh', '-c', 'exit 3'])).code, 3);
    assert.equal(await daemon.leftovers(), []);
  });
});

/** A shell that has set its trap. Before it has, Kata's agents turn SIGTERM into SIGKILL for a container's first process. */
async function armed(containers: Containers, trap: string): Promise<Background> {
  let said = '';
  const onStdout = (chunk: Buffer) => {
    said += chunk.toString();
  };
  const started = await containers.background(['sh', '-c', `${trap}; echo armed; while :; do sleep 0.1; done`], {
    onStdout,
  });
  await until('the trap is set', () => said.includes('armed'));
  return started;
}
