/** The built kata-runtime on a running pod, as its operator has it: by the pod's name, the beginning of its id, in both styles. */
import { closeSync, ftruncateSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { handlersOf } from '../../host/cli/check/containerd.ts';
import { askCri } from '../../host/cli/check/cri.ts';
import { type Finished, finish, succeed } from '../../setup/command.ts';
import { BUILD } from '../../setup/paths.ts';
import type { Container, Pod } from '../harness/cri/pods.ts';
import { eachCri } from '../harness/cri/suite.ts';

const PATIENCE_MS = 60_000;
const MIB = 1024 * 1024;
/** Bytes of the volume's file system. */
const VOLUME_BYTES = 16 * MIB;

interface Listed {
  readonly id: string;
  readonly state: string;
  readonly pod: { readonly name: string; readonly namespace: string };
  readonly pids: Readonly<Record<string, number>>;
  readonly memoryBytes: number;
  readonly guestMemoryMib: number;
  readonly containers: readonly { readonly id: string; readonly name: string; readonly state: string }[];
}

function run(program: 'kata-runtime' | 'kata-ctl', words: readonly string[], stdin = ''): Promise<Finished> {
  return finish([join(BUILD, 'bin', program), ...words], { stdin, timeoutMs: PATIENCE_MS });
}

async function said(...words: string[]): Promise<string> {
  const { code, stdout, stderr } = await run('kata-runtime', words);
  assert.is(code, 0, `${words.join(' ')}: ${stderr}`);
  return stdout;
}

async function refused(...words: string[]): Promise<string> {
  const { code, stderr } = await run('kata-runtime', words);
  assert.is(code, 1, `${words.join(' ')}: ${stderr}`);
  return stderr;
}

eachCri('kata-runtime', (test) => {
  let pod: Pod;
  let container: Container;
  let name: string;

  test('a pod with a direct-assigned volume', async ({ pods, daemon }) => {
    const volume = join(daemon.directory, 'volume');
    const image = join(daemon.directory, 'volume.img');
    mkdirSync(volume);
    const file = openSync(image, 'w', 0o600);
    ftruncateSync(file, VOLUME_BYTES);
    closeSync(file);
    await succeed(['/usr/sbin/mke2fs', '-q', '-t', 'ext4', image]);
    const info = JSON.stringify({ 'volume-type': 'block', device: image, fstype: 'ext4', metadata: {}, options: [] });
    await said('direct-volume', 'add', '--volume-path', volume, '--mount-info', info);
    name = `cli-${process.pid}`;
    pod = await pods.run({ name });
    container = await pod.container({ name: 'web', mounts: [{ container_path: '/data', host_path: volume }] });
  });

  test('list: the pod, its processes, its memory and its containers', async ({ flavor }) => {
    const all = JSON.parse(await said('list', '--json')) as Listed[];
    const found = all.find(({ id }) => id === pod.id);
    assert.ok(found, 'it is listed');
    assert.equal([found.state, found.pod.name, found.pod.namespace], ['running', name, 'default']);
    for (const part of ['shim', 'qemu', 'virtiofsd']) assert.ok((found.pids[part] ?? 0) > 1, part);
    assert.ok(found.memoryBytes > 32 * MIB && found.memoryBytes < 1024 * MIB, `${found.memoryBytes}`);
    assert.ok(found.guestMemoryMib > 0);
    assert.equal(
      found.containers.map((one) => [one.id, one.name, one.state]),
      [
        // By the Sandbox API a pod has no pause container.
        ...(flavor.sandboxer ? [] : [[pod.id, '', 'running']]),
        [container.id, 'web', 'running'],
      ],
    );
    const text = await said('list');
    assert.match(
      text,
      new RegExp(`^${pod.id.slice(0, 13)} +default/${name} +running +\\d+s +\\d+ MiB +(tcg|kvm) +shim \\d+`, 'm'),
    );
    assert.match(text, new RegExp(`^ {2}${container.id.slice(0, 13)} +web +running`, 'm'));
    assert.ok((await said('list', '-q')).split('\n').includes(pod.id));
    assert.match(await said('list', '--no-trunc'), container.id);
  });

  test('metrics, by name, by the beginning of the id, by namespace and name', async () => {
    for (const words of [name, pod.id.slice(0, 8), `default/${name}`]) {
      const text = await said('metrics', words);
      for (const family of ['kata_shim_', 'kata_hypervisor_', 'kata_virtiofsd_', 'kata_guest_']) {
        assert.match(text, new RegExp(`^${family}\\S+ `, 'm'));
      }
    }
    assert.match(await refused('metrics', 'no-such-pod'), 'no sandbox of this node is called "no-such-pod"');
  });

  test('iptables: what is set is what is got, by file and by stdin, in both families', async ({ daemon }) => {
    const rules = (address: string): string => `*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -s ${address} -j DROP\nCOMMIT\n`;
    const file = join(daemon.directory, 'rules');
    writeFileSync(file, rules('192.0.2.7/32'));
    await said('iptables', 'set', file, '--sandbox-id', name);
    assert.match(
      await said('iptables', 'get', '--sandbox-id', pod.id.slice(0, 12)),
      '-A INPUT -s 192.0.2.7/32 -j DROP',
    );
    const set = await run('kata-ctl', ['iptables', 'set', '--v6', '--sandbox-id', name], rules('2001:db8::7/128'));
    assert.equal([set.code, set.stderr], [0, '']);
    const six = await said('iptables', 'get', '--v6', name);
    assert.match(six, '-A INPUT -s 2001:db8::7/128 -j DROP');
    assert.not.match(six, '192.0.2.7');
    assert.match(await refused('iptables', 'set', '--sandbox-id', name), 'stdin is empty');
    writeFileSync(file, '*nonsense\n');
    assert.match(await refused('iptables', 'set', file, '--sandbox-id', name), `sandbox ${pod.id}: `);
  });

  test('policy: our guest has no engine, and says so', async ({ daemon }) => {
    const file = join(daemon.directory, 'policy.rego');
    writeFileSync(file, 'package agent_policy\n');
    assert.match(await refused('policy', 'set', file, '--sandbox-id', name), /nothing was set: .*no policy engine/);
    assert.match(await refused('policy', 'set', '/nonexistent', '--sandbox-id', name), '/nonexistent cannot be read');
  });

  test('direct-volume: figures from the guest, a larger disk, in both styles', async ({ daemon }) => {
    const volume = join(daemon.directory, 'volume');
    const figures = async (): Promise<number> => {
      const { stdout, stderr } = await run('kata-ctl', ['direct-volume', 'stats', volume]);
      assert.is(stderr, '');
      return (
        (JSON.parse(stdout) as { usage: { total: number; unit: number }[] }).usage.find(({ unit }) => unit === 1)
          ?.total ?? 0
      );
    };
    const before = await figures();
    assert.ok(before > VOLUME_BYTES / 2 && before <= VOLUME_BYTES, `${before}`);
    const image = openSync(join(daemon.directory, 'volume.img'), 'r+');
    ftruncateSync(image, 2 * VOLUME_BYTES);
    closeSync(image);
    await said('direct-volume', 'resize', '--volume-path', volume, '--size', '32Mi');
    assert.ok((await figures()) > VOLUME_BYTES, 'it has grown');
    assert.match(
      await refused('direct-volume', 'stats', '/nowhere'),
      'no direct-assigned volume is recorded at /nowhere',
    );
  });

  test('containerd tells check its runtimes', async ({ daemon, flavor }) => {
    const { who, config } = await askCri(daemon.address);
    assert.match(who, new RegExp(`^containerd v?${flavor.version.replace('.', '\\.')}`));
    const names = handlersOf(config).map((handler) => handler.name);
    for (const handler of ['kata', 'kata-config']) assert.ok(names.includes(handler), `${names}`);
    assert.not.ok(names.includes('runc'));
  });

  test('env and check of this machine', async () => {
    const env = JSON.parse(await said('env', '--json')) as Record<string, Record<string, unknown>>;
    assert.equal(Object.keys(env), [
      'Meta',
      'Runtime',
      'Hypervisor',
      'Image',
      'Initrd',
      'Kernel',
      'Agent',
      'Host',
      'Edge',
    ]);
    assert.match(
      await said('check', '-n'),
      /^System is capable of running Kata Containers\nSystem can currently create Kata Containers\n$/m,
    );
  });

  test('gone with its pod', async ({ pods, daemon }) => {
    await pods.call('StopPodSandbox', { pod_sandbox_id: pod.id });
    await pods.call('RemovePodSandbox', { pod_sandbox_id: pod.id });
    assert.not.ok((await said('list', '-q')).includes(pod.id));
    assert.match(await refused('metrics', pod.id), 'no sandbox of this node is called');
    const volume = join(daemon.directory, 'volume');
    assert.match(await refused('direct-volume', 'stats', volume), 'no running sandbox has the volume');
    await said('direct-volume', 'remove', '--volume-path', volume);
    assert.match(await refused('direct-volume', 'stats', volume), 'no direct-assigned volume is recorded');
  });
});
