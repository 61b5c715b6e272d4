/** The ways to ask for a virtual machine: handlers, their configuration files, the old annotation. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { succeed } from '../../setup/command.ts';
import { CONFIG_PATH, IS_KATA } from '../harness/cri/flavors.ts';
import type { PodOptions, Pods } from '../harness/cri/pods.ts';
import { eachCri } from '../harness/cri/suite.ts';

const UNTRUSTED = { 'io.kubernetes.cri.untrusted-workload': 'true' };
const HOST_KERNEL = readFileSync('/proc/version', 'utf8');
const MEMORY_MIB = 512;

eachCri('doors', (test, flavor) => {
  test('a handler named by the pod runs it, and says so', async ({ pods }) => {
    const pod = await pods.run();
    assert.is((await pod.status()).runtime_handler, pods.handler);
    assert.is((await pod.runToEnd(['cat', '/proc/version'])).stdout === HOST_KERNEL, !IS_KATA);
    await pod.remove();
  });

  test('a pod that names none gets the default', async ({ pods }) => {
    assert.is(await kernel(pods, {}, ''), HOST_KERNEL);
  });

  test('a handler that does not exist is named', async ({ pods }) => {
    const failed = await pods.run({}, 'no-such-handler').catch((error: unknown) => error);
    assert.match(String(failed), 'no-such-handler');
  });

  test('an untrusted pod is in a virtual machine', async ({ pods }) => {
    assert.is.not(await kernel(pods, { annotations: UNTRUSTED }, ''), HOST_KERNEL);
  });

  test('an untrusted pod may not be in the host’s namespaces', async ({ pods }) => {
    const options: PodOptions = {
      annotations: UNTRUSTED,
      linux: { security_context: { namespace_options: { network: 'NODE', pid: 'CONTAINER' } } },
    };
    const failed = await pods.run(options, '').catch((error: unknown) => error);
    assert.match(String(failed), /untrusted/);
  });

  if (flavor.version === '2.1' && IS_KATA) {
    test('a user namespace of the pod’s own is refused by the name it has for users', async ({ pods }) => {
      const ids = [{ host_id: 100_000, container_id: 0, length: 65_536 }];
      const namespace_options = { pid: 'CONTAINER', userns_options: { mode: 'POD', uids: ids, gids: ids } } as const;
      // With a pause container, its root file system is the first that would be mapped.
      const run = async () => {
        const pod = await pods.run({ linux: { security_context: { namespace_options } } });
        await pod.container({ securityContext: { namespace_options } }).finally(() => pod.remove());
      };
      assert.match(String(await run().catch((error: unknown) => error)), /hostUsers: false/);
    });
  }

  test('a privileged container has no device of the host', async ({ pods }) => {
    const name = `kata-test-${process.pid}`;
    // /dev/null under another name: whoever copies the host's devices copies it.
    await succeed(['mknod', `/dev/${name}`, 'c', '1', '3']);
    try {
      const pod = await pods.run({ linux: { security_context: { privileged: true } } }, 'kata');
      const container = await pod.container({ securityContext: { privileged: true } });
      assert.is((await container.run(['test', '-e', `/dev/${name}`])).code, 1);
      await container.sh('mkdir /tmp/m && mount -t tmpfs none /tmp/m');
      await pod.remove();
    } finally {
      rmSync(`/dev/${name}`);
    }
  });

  // A handler with options cannot have the shim serve the Sandbox API in 2.1: it is always the other way.
  test('a handler has a configuration file of its own', async ({ pods, daemon }) => {
    const file = `${daemon.directory}/${CONFIG_PATH}`;
    writeFileSync(file, `[hypervisor.qemu]\ndefault_vcpus = 2\ndefault_memory = ${MEMORY_MIB}\n`);
    const pod = await pods.run({}, 'kata-config');
    const { stdout } = await pod.runToEnd(['sh', '-c', 'nproc; grep MemTotal /proc/meminfo']);
    assert.match(stdout, /^2\n/);
    const mebibytes = Number(/MemTotal: +(\d+) kB/.exec(stdout)?.[1]) / 1024;
    assert.ok(mebibytes > MEMORY_MIB / 2 && mebibytes <= MEMORY_MIB, `${mebibytes} MiB`);
    await pod.remove();
  });

  test('a configuration file that is broken is named, with the line', async ({ pods, daemon }) => {
    const file = `${daemon.directory}/${CONFIG_PATH}`;
    writeFileSync(file, '[hypervisor.qemu]\ndefault_vcpus = = 2\n');
    const failed = await pods.run({}, 'kata-config').catch((error: unknown) => error);
    assert.match(String(failed), file);
    assert.match(String(failed), /line 2|:2\b/);
  });

  test('a value of the wrong kind is named', async ({ pods, daemon }) => {
    writeFileSync(`${daemon.directory}/${CONFIG_PATH}`, '[hypervisor.qemu]\ndefault_memory = "much"\n');
    const failed = await pods.run({}, 'kata-config').catch((error: unknown) => error);
    assert.match(String(failed), 'default_memory');
  });

  if (flavor.sandboxer) {
    test('where the shim is the sandbox, no pause container runs', async ({ pods, daemon }) => {
      const pod = await pods.run({}, 'kata');
      const info = await pods.call('PodSandboxStatus', { pod_sandbox_id: pod.id, verbose: true });
      assert.is(info.status.state, 'SANDBOX_READY');
      const tasks = await daemon.ctr(['--namespace', 'k8s.io', 'task', 'ls', '--quiet']);
      assert.not.match(tasks.stdout, pod.id);
      assert.is((await pod.runToEnd(['sh', '-c', 'exit 5'])).code, 5);
      await pod.remove();
    });
  }
});

async function kernel(pods: Pods, options: PodOptions, handler: string): Promise<string> {
  const pod = await pods.run(options, handler);
  const { stdout } = await pod.runToEnd(['cat', '/proc/version']);
  await pod.remove();
  return stdout;
}
