/** Pods of `[hypervisor.remote]`, as a cloud-api-adaptor's: what the CRI gives every pod has to reach a machine that sees no file of this one. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { until } from '../harness/containers.ts';
import { IS_KATA } from '../harness/cri/flavors.ts';
import type { Container, Pod } from '../harness/cri/pods.ts';
import { type DefineCri, eachCri } from '../harness/cri/suite.ts';
import { type RemotePeer, remoteConfiguration, startRemotePeer } from '../harness/remote-peer.ts';

const HANDLER = 'kata-config';
const MIB = 1024 * 1024;

if (IS_KATA) {
  eachCri('remote pods', (test) => {
    const directory = mkdtempSync('/tmp/ke-peer-');
    process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
    let peer: RemotePeer | undefined;
    let pod: Pod | undefined;
    let main: Container | undefined;
    const there = <T>(one: T | undefined): T => {
      assert.ok(one, 'an earlier test failed');
      return one;
    };

    test('a pod runs in a machine that is told its name', async ({ pods, daemon }) => {
      peer = await startRemotePeer(directory);
      remoteConfiguration(daemon.directory, peer);
      pod = await pods.run({ hostname: 'far-away', name: 'remote-pod' }, HANDLER);
      const request = there(peer.requests.get(pod.id));
      assert.is(request.annotations['io.kubernetes.cri.sandbox-name'], pod.config.metadata?.name);
      assert.is(request.annotations['io.kubernetes.cri.sandbox-namespace'], pod.config.metadata?.namespace);
      // The machine's service is to join it to the pod's network.
      assert.match(request.networkNamespacePath, /^\/.*netns/);
      assert.is((await pod.status()).state, 'SANDBOX_READY');
    });

    inPod(
      test,
      () => there(pod),
      (container) => {
        main = container;
      },
    );

    test('output of an exec, to the byte, and a stop', async () => {
      const container = there(main);
      const done = await container.exec(['sh', '-c', 'echo out; echo err >&2; exit 4']);
      assert.equal([done.stdout, done.stderr, done.code], ['out\n', 'err\n', 4]);
      assert.is((await container.run(['head', '-c', String(8 * MIB), '/dev/zero'])).stdout.length, 8 * MIB);
      await container.stop();
      assert.is((await container.status()).state, 'CONTAINER_EXITED');
      await container.remove();
    });

    test('the pod goes, and its machine with it', async () => {
      await there(pod).stop();
      await there(pod).remove();
      await until('the machine has ended', () => there(peer).requests.size === 0);
      await there(peer).stop();
    });
  });
}

function inPod(test: DefineCri, pod: () => Pod, keep: (container: Container) => void): void {
  test('its containers have the pod’s names, hosts and resolv.conf, and their own log', async () => {
    const container = await pod().container({ name: 'main', env: { COLOR: 'green' } });
    keep(container);
    assert.is(await container.sh('echo $COLOR; hostname'), 'green\nfar-away\n');
    assert.match(await container.sh('cat /etc/hosts'), 'localhost');
    await container.sh('cat /etc/resolv.conf >/dev/null');
    const done = await pod().runToEnd(['sh', '-c', 'echo out; echo err >&2; exit 3'], { name: 'short' });
    assert.equal(done, { stdout: 'out\n', stderr: 'err\n', code: 3 });
  });

  test('volumes are copies, and an exchanged ConfigMap is seen', async ({ daemon }) => {
    const source = join(daemon.directory, 'configmap');
    mkdirSync(join(source, '..1'), { recursive: true });
    writeFileSync(join(source, '..1/key'), 'old\n');
    symlinkSync('..1', join(source, '..data'));
    symlinkSync('..data/key', join(source, 'key'));
    const container = await pod().container({
      name: 'reader',
      mounts: [{ container_path: '/config', host_path: source, readonly: true }],
    });
    assert.is(await container.sh('cat /config/key'), 'old\n');
    mkdirSync(join(source, '..2'));
    writeFileSync(join(source, '..2/key'), 'new\n');
    rmSync(join(source, '..data'));
    symlinkSync('..2', join(source, '..data'));
    await until('it is seen', async () => (await container.sh('cat /config/key')) === 'new\n');
    await container.stop();
    await container.remove();
  });

  test('a port of the pod is forwarded to the machine', async () => {
    const container = await pod().container({
      name: 'server',
      command: ['sh', '-c', 'while :; do echo hello from far away | nc -l -p 8080; done'],
    });
    await until('it listens', async () => (await container.run(['sh', '-c', 'netstat -ltn | grep :8080'])).code === 0);
    const port = await pod().forward(8080);
    await port.until(({ data, error }) => data.endsWith('\n') || error !== '');
    assert.equal([port.data, port.error], ['hello from far away\n', '']);
    port.close();
    await port.ended;
    await container.stop();
    await container.remove();
  });
}
