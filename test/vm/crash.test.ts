/** Deaths at the wrong time: of QEMU, of the shim, of containerd. */
import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { kill, markedProcesses } from '../../setup/processes.ts';
import { eachContainerd, IS_KATA } from '../harness/containerd.ts';
import { until } from '../harness/containers.ts';

eachContainerd('crashes', (test) => {
  if (IS_KATA) {
    test('QEMU killed while the container runs: it ends with 137, and nothing stays', async ({
      containers,
      daemon,
    }) => {
      const { finished } = await containers.background(['sleep', '4000']);
      const before = Date.now();
      killOne(daemon.directory, /qemu-system/);
      assert.is((await finished).code, 137);
      assert.ok(Date.now() - before < 30_000, 'it took more than 30 s to notice');
      assert.equal(await daemon.leftovers(), []);
    });

    test('QEMU killed under an exec: that ends too', async ({ containers, daemon }) => {
      const id = await containers.detached(['sleep', '4000']);
      const exec = await containers.backgroundExec(id, 'exec sleep 4000');
      killOne(daemon.directory, /qemu-system/);
      assert.is((await exec.finished).code, 137);
      await until('the task is stopped', async () => (await containers.status(id)) === 'STOPPED');
      await containers.remove(id);
      assert.equal(await daemon.leftovers(), []);
    });
  }

  test('the shim killed while the container runs: containerd cleans up by its delete', async ({
    containers,
    daemon,
  }) => {
    const id = await containers.detached(['sleep', '4000']);
    killShim(daemon.directory, id);
    await until('the task is gone', async () => (await containers.status(id)) === undefined);
    await containers.must(['containers', 'rm', id]);
    if (IS_KATA) assert.equal(await daemon.leftovers(), []);
  });

  test('containerd restarted: the task goes on and is found again', async ({ containers, daemon }) => {
    const id = await containers.detached(['sleep', '4000']);
    const pid = await containers.pid(id);
    await daemon.end('SIGKILL');
    await daemon.start();
    await until('the task is found', async () => (await containers.status(id)) === 'RUNNING');
    assert.is(await containers.pid(id), pid);
    assert.is((await containers.exec(id, ['sh', '-c', 'exit 5'])).code, 5);
    await containers.remove(id);
  });

  test('the shim killed while containerd is away: cleaned up when it comes back', async ({ containers, daemon }) => {
    const id = await containers.detached(['sleep', '4000']);
    await daemon.end();
    killShim(daemon.directory, id);
    await daemon.start();
    await until('the task is gone', async () => (await containers.status(id)) === undefined);
    await containers.must(['containers', 'rm', id]);
    if (IS_KATA) assert.equal(await daemon.leftovers(), []);
  });

  test('a container that ended while containerd was away is known to have ended', async ({ containers, daemon }) => {
    const id = await containers.detached(['sh', '-c', 'sleep 3; exit 9']);
    await daemon.end();
    await sleep(4000);
    await daemon.start();
    // Some containerds list it as stopped, some drop a task that had ended by then.
    await until('it is not taken for alive', async () => [undefined, 'STOPPED'].includes(await containers.status(id)));
    await containers.remove(id);
  });
});

function killOne(directory: string, command: RegExp): void {
  const [target] = markedProcesses(directory).filter((process) => command.test(process.command));
  assert.ok(target, `no process ${command}`);
  kill(target);
}

/** The process that serves the container: it has its id among its arguments. */
function killShim(directory: string, id: string): void {
  killOne(directory, new RegExp(`^\\S*(containerd-shim|node).* -id ${id}( |$)`));
}
