/** Pods and their containers: what runs, what they share, how they end. One pod serves most tests. */
import { readFileSync, writeFileSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { until } from '../harness/containers.ts';
import { IS_KATA } from '../harness/cri/flavors.ts';
import type { Container, Pod } from '../harness/cri/pods.ts';
import { eachCri } from '../harness/cri/suite.ts';

const SIGKILL_CODE = 137;

eachCri('pods', (test) => {
  let pod: Pod;
  let main: Container;

  test('a pod runs', async ({ pods }) => {
    pod = await pods.run({ hostname: 'a-pod-of-its-own' });
    assert.is((await pod.status()).state, 'SANDBOX_READY');
  });

  test('init containers run to their end, in order', async () => {
    for (const [i, code] of [0, 3].entries()) {
      const done = await pod.runToEnd(['sh', '-c', `echo step ${i}; exit ${code}`], { name: `init-${i}` });
      assert.equal(done, { stdout: `step ${i}\n`, stderr: '', code });
    }
  });

  test('a container runs until it is stopped', async () => {
    main = await pod.container({ name: 'main', env: { COLOR: 'green' } });
    const status = await main.status();
    assert.is(status.state, 'CONTAINER_RUNNING');
    assert.ok(status.started_at > 0);
    assert.is(await main.sh('echo $COLOR'), 'green\n');
  });

  test('it has the pod’s host name and, in a virtual machine, another kernel', async () => {
    assert.is(await main.sh('hostname'), 'a-pod-of-its-own\n');
    const same = (await main.sh('cat /proc/version')) === readFileSync('/proc/version', 'utf8');
    assert.is(same, !IS_KATA);
  });

  test('a sidecar shares host name and IPC, but neither files nor processes', async () => {
    const sidecar = await pod.container({ name: 'sidecar' });
    assert.is(await sidecar.sh('hostname'), 'a-pod-of-its-own\n');
    await sidecar.sh('echo mine >/tmp/mine');
    assert.is((await main.run(['test', '-e', '/tmp/mine'])).code, 1);
    assert.is(await sidecar.sh('readlink /proc/self/ns/ipc'), await main.sh('readlink /proc/self/ns/ipc'));
    assert.is.not(await sidecar.sh('readlink /proc/self/ns/pid'), await main.sh('readlink /proc/self/ns/pid'));
    assert.is(await sidecar.sh('readlink /proc/self/ns/net'), await main.sh('readlink /proc/self/ns/net'));
    await sidecar.stop();
    await sidecar.remove();
    assert.is((await main.status()).state, 'CONTAINER_RUNNING');
  });

  test('a container of the same name is started again and again', async () => {
    for (let attempt = 0; attempt < 3; attempt++) {
      const again = await pod.container({
        metadata: { name: 'again', attempt },
        log_path: `again-${attempt}.log`,
        command: ['sh', '-c', `echo ${attempt}; exit ${attempt}`],
      });
      const { exit_code, reason } = await again.exited();
      assert.equal([exit_code, reason], [attempt, attempt === 0 ? 'Completed' : 'Error']);
      assert.is(again.logged('stdout'), `${attempt}\n`);
      await again.remove();
    }
  });

  test('a stop is SIGTERM, and what obeys it ends with its own code', async () => {
    const obedient = await pod.container({
      command: ['sh', '-c', 'trap "echo bye; exit 42" TERM; echo armed; while :; do sleep 0.1; done'],
    });
    await said(obedient, 'armed');
    await obedient.stop(60);
    assert.is((await obedient.status()).exit_code, 42);
    assert.is(obedient.logged('stdout'), 'armed\nbye\n');
    await obedient.remove();
  });

  test('what ignores SIGTERM gets SIGKILL when its time is over', async () => {
    const stubborn = await pod.container({
      command: ['sh', '-c', 'trap "echo no" TERM; echo armed; while :; do sleep 0.1; done'],
    });
    await said(stubborn, 'armed');
    await stubborn.stop(1);
    assert.is((await stubborn.status()).exit_code, SIGKILL_CODE);
    assert.is(stubborn.logged('stdout'), 'armed\nno\n');
    await stubborn.remove();
  });

  test('a container without anybody who waits for it is stopped twice and removed twice', async () => {
    const twice = await pod.container();
    await twice.stop();
    await twice.stop();
    await twice.remove();
    await twice.remove();
  });

  test('a created container that never ran is removed', async () => {
    const never = await pod.create();
    assert.is((await never.status()).state, 'CONTAINER_CREATED');
    await never.remove();
  });

  test('a debug container comes into the running pod and sees the processes of the one it is for', async () => {
    const debug = await pod.container({
      name: 'debugger',
      securityContext: { namespace_options: { pid: 'TARGET', target_id: main.id } },
    });
    assert.is(await debug.sh('readlink /proc/self/ns/pid'), await main.sh('readlink /proc/self/ns/pid'));
    assert.match(await debug.sh('cat /proc/1/environ | tr "\\0" "\\n"'), 'COLOR=green');
    await debug.stop();
    await debug.remove();
    assert.is(await main.sh('echo still here'), 'still here\n');
  });

  test('the termination message is in the file that was mounted for it', async ({ daemon }) => {
    const host_path = `${daemon.directory}/termination-log`;
    writeFileSync(host_path, '', { mode: 0o666 });
    const mounts = [{ container_path: '/dev/termination-log', host_path }];
    const done = await pod.runToEnd(['sh', '-c', 'echo I am done >/dev/termination-log; exit 9'], { mounts });
    assert.is(done.code, 9);
    assert.is(readFileSync(host_path, 'utf8'), 'I am done\n');
  });

  test('a user, groups and capabilities are what the pod says', async () => {
    const done = await pod.runToEnd(
      ['sh', '-c', 'id -u; id -g; id -G; grep -E "NoNewPrivs|CapEff" /proc/self/status'],
      {
        securityContext: {
          run_as_user: { value: 1000 },
          run_as_group: { value: 2000 },
          supplemental_groups: [3000, 4000],
          no_new_privs: true,
          capabilities: { drop_capabilities: ['ALL'] },
        },
      },
    );
    const [uid, gid, groups, ...status] = done.stdout.split('\n');
    assert.equal([uid, gid, groups], ['1000', '2000', '2000 3000 4000']);
    assert.match(status.join('\n'), /CapEff:\t0{16}\nNoNewPrivs:\t1/);
  });

  test('home is the root directory for a user whom the image does not know', async () => {
    const stranger = await pod.container({
      securityContext: { run_as_user: { value: 1234 } },
      command: ['sh', '-c', 'echo $HOME; exec sleep 1000'],
    });
    await said(stranger, '/\n');
    assert.is(stranger.logged('stdout'), '/\n');
    assert.is(await stranger.sh('echo $HOME'), '/\n');
    await stranger.stop();
    await stranger.remove();
  });

  test('a root file system can be read-only', async () => {
    const done = await pod.runToEnd(['touch', '/file'], { securityContext: { readonly_rootfs: true } });
    assert.is(done.code, 1);
    assert.match(done.stderr, 'Read-only file system');
  });

  test('a pod of runc runs beside', async ({ pods }) => {
    const other = await pods.run({}, 'runc');
    const done = await other.runToEnd(['cat', '/proc/version']);
    assert.is(done.stdout, readFileSync('/proc/version', 'utf8'));
    await other.remove();
    assert.is(await main.sh('echo still here'), 'still here\n');
  });

  test('a pod is stopped with running containers', async () => {
    await pod.stop();
    assert.is((await pod.status()).state, 'SANDBOX_NOTREADY');
    assert.is((await main.status()).state, 'CONTAINER_EXITED');
    await pod.remove();
  });

  test('processes are shared where the pod says so', async ({ pods }) => {
    const shared = await pods.run({ linux: { security_context: { namespace_options: { pid: 'POD' } } } });
    const namespace_options = { pid: 'POD' } as const;
    const one = await shared.container({ command: ['sleep', '7654'], securityContext: { namespace_options } });
    const two = await shared.container({ securityContext: { namespace_options } });
    assert.is(await one.sh('readlink /proc/self/ns/pid'), await two.sh('readlink /proc/self/ns/pid'));
    const processes = await two.sh('ps -o pid,args');
    assert.match(processes, 'sleep 7654');
    await two.sh('kill -9 $(ps -o pid,args | awk "/[s]leep 7654/ { print \\$1 }")');
    assert.is((await one.exited()).exit_code, SIGKILL_CODE);
    // Its first process is the pause container's, or the agent's stand-in for it: nobody's container ends the pod.
    assert.is((await shared.status()).state, 'SANDBOX_READY');
    assert.is(await two.sh('echo still here'), 'still here\n');
    await shared.remove();
  });
});

async function said(container: Container, text: string): Promise<void> {
  await until(`it says ${text}`, () => container.logged('stdout').includes(text));
}
