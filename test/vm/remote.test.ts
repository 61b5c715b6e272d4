/** `[hypervisor.remote]` through containerd: the machines are processes, everything else is real. */
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { KataError } from '../../host/error.ts';
import { FIFO_DIRECTORY } from '../../setup/leftovers.ts';
import { kill, markedProcesses, processes } from '../../setup/processes.ts';
import { type Bench, eachContainerd, IS_KATA } from '../harness/containerd.ts';
import { type RunOptions, until } from '../harness/containers.ts';
import { type RemotePeer, remoteConfiguration, startRemotePeer } from '../harness/remote-peer.ts';

const MIB = 1024 * 1024;
const BULK_MIB = 64;
/** Milliseconds for that much on a busy machine. */
const BULK_MS = 120_000;
/** More than one connection may have waiting, together. */
const LARGE_FILES = 24;
const LARGE_BYTES = 3 * MIB;
const BUSYBOX = ['/bin/busybox', '/usr/bin/busybox'].find((path) => existsSync(path)) ?? '/bin/busybox';
const HYPERVISOR = 'io.katacontainers.config.hypervisor.';

/** What StartVM or StopVM are to answer, by sandbox, or that they never do; a test sets and removes it. */
const faults = new Map<string, KataError | 'never'>();

/** A test with a peer and the flags that lead to it. */
type Body = (bench: Bench, peer: RemotePeer, options: RunOptions) => Promise<void>;

if (IS_KATA) {
  eachContainerd('remote machines', (define) => {
    const directory = mkdtempSync('/tmp/ke-peer-');
    process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
    let peer: RemotePeer | undefined;
    let flags: readonly string[] = [];
    const test = (name: string, body: Body) =>
      define(name, async (bench) => {
        assert.ok(peer, 'the peer did not start');
        await body(bench, peer, { flags });
      });

    define('the peer serves', async () => {
      peer = await startRemotePeer(directory, {
        before: (call, id) => {
          const fault = faults.get(`${call} ${id}`);
          if (fault === 'never') return new Promise(() => {});
          if (fault) throw fault;
          return undefined;
        },
      });
      flags = ['--runtime-config-path', remoteConfiguration(directory, peer)];
    });
    lives(test);
    streams(test);
    pods(test);
    deaths(test);
    failures(test);
    define('no machine is left', async () => {
      const left = [...(peer?.requests.keys() ?? [])];
      await peer?.stop();
      assert.equal(left, []);
      assert.equal(
        processes().filter(({ command }) => command.includes(directory)),
        [],
      );
    });
  });
}

type Test = (name: string, body: Body) => void;

function lives(test: Test): void {
  test('runs, says and exits as it should, in a machine made and ended for it', async ({
    containers,
  }, peer, options) => {
    const id = containers.newId();
    const done = await containers.run(['sh', '-c', 'echo out; echo err >&2; hostname >/tmp/x; exit 7'], {
      ...options,
      id,
    });
    assert.equal([done.stdout, done.stderr, done.code], ['out\n', 'err\n', 7]);
    const calls = peer.calls.filter((call) => call.endsWith(` ${id}`));
    assert.equal(
      calls.map((call) => call.split(' ')[0]),
      ['CreateVM', 'StartVM', 'StopVM'],
    );
  });

  test('its root file system is the image, to the mode, the link and the owner', async ({
    containers,
  }, _peer, options) => {
    const script = 'stat -c "%a %u:%g %N" /bin/busybox /bin/sh /tmp /etc/passwd; sha256sum /bin/busybox';
    const ours = await containers.run(['sh', '-c', script], options);
    const control = await containers.daemon.ctr([
      'run',
      '--rm',
      '--runtime',
      'io.containerd.runc.v2',
      ...containers.daemon.fifoFlags,
      'localhost/kata-edge/busybox:1',
      containers.newId(),
      'sh',
      '-c',
      script,
    ]);
    assert.is(control.code, 0, control.stderr);
    assert.is(ours.stdout, control.stdout);
  });

  test('an image of many large files, all on their way at once', async ({ containers, daemon }, _peer, options) => {
    const rootfs = join(daemon.directory, 'large');
    mkdirSync(join(rootfs, 'bin'), { recursive: true });
    cpSync(BUSYBOX, join(rootfs, 'bin/busybox'));
    const wanted: string[] = [];
    for (let i = 0; i < LARGE_FILES; i++) {
      const data = Buffer.alloc(LARGE_BYTES, `file ${i} `);
      writeFileSync(join(rootfs, `large-${i}`), data);
      wanted.push(`${createHash('sha256').update(data).digest('hex')}  /large-${i}\n`);
    }
    const files = wanted.map((_, i) => `/large-${i}`);
    const flags = [...(options.flags ?? []), '--rootfs'];
    const done = await containers.run(['/bin/busybox', 'sha256sum', ...files], { ...options, flags, image: rootfs });
    assert.is(done.stderr, '');
    assert.is(done.stdout, wanted.join(''));
    rmSync(rootfs, { recursive: true });
  });

  test('execs see the container; signals reach it; a removed one leaves nothing', async ({
    containers,
  }, peer, options) => {
    const id = await containers.detached(['sh', '-c', 'trap "exit 42" TERM; while :; do sleep 1; done'], options);
    assert.is((await containers.exec(id, ['cat', '/proc/1/comm'])).stdout, 'sh\n');
    assert.is((await containers.exec(id, ['sh', '-c', 'exit 5'])).code, 5);
    const missing = await containers.exec(id, ['/no/such/program']);
    assert.is.not(missing.code, 0);
    assert.match(missing.stderr, 'no such file or directory');
    await containers.task(['kill', '--signal', 'SIGTERM', id]);
    await until('it has stopped', async () => (await containers.status(id)) === 'STOPPED');
    await containers.remove(id);
    await until('its machine has ended', () => !peer.requests.has(id));
  });

  test('the peer is told of the size, and of the pod', async ({ containers }, peer, options) => {
    const names = { 'sandbox-name': 'web-0', 'sandbox-namespace': 'shop', 'sandbox-memory': String(96 * MIB) };
    const annotations = Object.entries({ ...names, 'container-type': 'sandbox' });
    const more = annotations.flatMap(([name, value]) => ['--annotation', `io.kubernetes.cri.${name}=${value}`]);
    const id = await containers.detached(['sleep', '1000'], { flags: [...(options.flags ?? []), ...more] });
    const request = peer.requests.get(id);
    const told = request?.annotations ?? {};
    assert.is(told['io.kubernetes.cri.sandbox-name'], 'web-0');
    assert.is(told['io.kubernetes.cri.sandbox-namespace'], 'shop');
    assert.is(told[`${HYPERVISOR}default_memory`], String(96 + 128));
    assert.is(told[`${HYPERVISOR}default_vcpus`], '1');
    assert.is(request?.networkNamespacePath, '');
    await containers.remove(id);
  });
}

function streams(test: Test): void {
  test(`${BULK_MIB} MiB of stdout arrive to the byte`, async ({ containers }, _peer, options) => {
    const block = Buffer.from('kata-edge counts bytes\n'.repeat(64 * 1024)).subarray(0, MIB);
    const wanted = createHash('sha256');
    for (let i = 0; i < BULK_MIB; i++) wanted.update(block);
    const got = createHash('sha256');
    const onStdout = (chunk: Buffer) => {
      got.update(chunk);
    };
    const script = `yes 'kata-edge counts bytes' | head -c ${MIB} >/tmp/block; i=0; while [ $i -lt ${BULK_MIB} ]; do cat /tmp/block; i=$((i+1)); done`;
    const done = await containers.run(['sh', '-c', script], { ...options, onStdout, timeoutMs: BULK_MS });
    assert.is(done.code, 0);
    assert.is(got.digest('hex'), wanted.digest('hex'));
  });

  test('stdin goes in and ends', async ({ containers }, _peer, options) => {
    const stdin = 'a line\n'.repeat(100_000);
    const done = await containers.run(['sha256sum'], { ...options, stdin, timeoutMs: BULK_MS });
    assert.is(done.stdout, `${createHash('sha256').update(stdin).digest('hex')}  -\n`);
  });
}

function pods(test: Test): void {
  test('two containers of a pod share its machine and nothing of their files', async ({
    containers,
  }, peer, options) => {
    const [sandbox, id] = [containers.newId(), containers.newId()];
    const pod = (type: string) => [
      ...(options.flags ?? []),
      ...['--annotation', `io.kubernetes.cri.container-type=${type}`],
      ...['--annotation', `io.kubernetes.cri.sandbox-id=${sandbox}`],
    ];
    await containers.detached(['sleep', '1000'], { id: sandbox, flags: pod('sandbox') });
    await containers.detached(['sleep', '1000'], { id, flags: pod('container') });
    assert.equal([...peer.requests.keys()], [sandbox]);
    await containers.exec(id, ['touch', '/tmp/mine']);
    assert.is((await containers.exec(sandbox, ['ls', '/tmp/mine'])).code, 1);
    assert.is((await containers.exec(id, ['hostname'])).stdout, (await containers.exec(sandbox, ['hostname'])).stdout);
    // Containers that come and go take their files along: the machine's memory is the pod's.
    const shared = () => readdirSync(`/proc/${agentOf(peer, sandbox)}/root/run/kata-containers/shared/containers`);
    assert.equal(shared().sort(), [sandbox, id].sort());
    await containers.remove(id);
    assert.equal(shared(), [sandbox]);
    assert.is(await containers.status(sandbox), 'RUNNING');
    await containers.remove(sandbox);
    assert.equal([...peer.requests.keys()], []);
  });
}

function deaths(test: Test): void {
  test('the agent dies: the container has ended with 137, and the machine is told to end', async (bench, peer, options) => {
    const { containers } = bench;
    const { id, finished } = await containers.background(['sleep', '4000'], options);
    const machine = peer.machine(id);
    assert.ok(machine);
    process.kill(machine.pid, 'SIGKILL');
    assert.is((await finished).code, 137);
    await until('StopVM was called', () => peer.calls.includes(`StopVM ${id}`));
    assert.equal(await bench.daemon.leftovers(), []);
  });

  test('the shim is killed: its delete has the machine ended', async ({ containers, daemon }, peer, options) => {
    const id = await containers.detached(['sleep', '4000'], options);
    killShim(daemon.directory, id);
    await until('the task is gone', async () => (await containers.status(id)) === undefined);
    await containers.must(['containers', 'rm', id]);
    await until('StopVM was called', () => peer.calls.includes(`StopVM ${id}`));
    await until('its machine has ended', () => !peer.requests.has(id));
    assert.equal(await daemon.leftovers(), []);
  });

  test('the shim is killed while its machine starts: that is ended, too', async ({
    containers,
    daemon,
  }, peer, options) => {
    const id = containers.newId();
    faults.set(`StartVM ${id}`, 'never');
    const running = containers.run(['true'], { ...options, id });
    await until('StartVM was called', () => peer.calls.includes(`StartVM ${id}`));
    killShim(daemon.directory, id);
    assert.is.not((await running).code, 0);
    faults.clear();
    await until('StopVM was called', () => peer.calls.includes(`StopVM ${id}`));
    assert.not.ok(peer.requests.has(id));
    assert.equal(await daemon.leftovers(), []);
  });

  test('a client that gives up while its machine starts: nothing of it stays', async ({
    containers,
    daemon,
  }, peer, options) => {
    const id = containers.newId();
    faults.set(`StartVM ${id}`, 'never');
    const done = await containers.run(['true'], { ...options, id, timeoutMs: 3000 });
    assert.ok(done.timedOut);
    faults.clear();
    await until('StopVM was called', () => peer.calls.includes(`StopVM ${id}`));
    await containers.daemon.ctr(['containers', 'rm', id]);
    // A ctr that was killed leaves its own.
    rmSync(join(daemon.directory, FIFO_DIRECTORY), { recursive: true, force: true });
    assert.equal(await daemon.leftovers(), []);
  });

  test('containerd restarts: the task goes on and is found again', async ({ containers, daemon }, _peer, options) => {
    const id = await containers.detached(['sleep', '4000'], options);
    await daemon.end('SIGKILL');
    await daemon.start();
    await until('the task is found', async () => (await containers.status(id)) === 'RUNNING');
    assert.is((await containers.exec(id, ['sh', '-c', 'exit 5'])).code, 5);
    await containers.remove(id);
  });
}

function failures(test: Test): void {
  test('a machine that does not start: said in its words, and undone', async ({
    containers,
    daemon,
  }, peer, options) => {
    const id = containers.newId();
    faults.set(`StartVM ${id}`, new KataError('resource_exhausted', 'the cloud is full'));
    const done = await containers.run(['true'], { ...options, id });
    faults.clear();
    assert.is.not(done.code, 0);
    assert.match(done.stderr, /did not do StartVM: .*the cloud is full/);
    assert.ok(peer.calls.includes(`StopVM ${id}`));
    assert.equal(await daemon.leftovers(), []);
  });

  test('a peer that refuses to end a machine does not keep the container', async (bench, peer, options) => {
    const { containers, daemon } = bench;
    const id = await containers.detached(['sleep', '4000'], options);
    faults.set(`StopVM ${id}`, new KataError('internal', 'the cloud does not answer'));
    await containers.remove(id);
    faults.clear();
    assert.match(daemon.log(), /did not end a machine.*the cloud does not answer/);
    await peer.end(id);
    assert.equal(await daemon.leftovers(), []);
  });

  test('a block device cannot be had: said', async ({ containers }, _peer, options) => {
    const flags = [...(options.flags ?? []), '--device', '/dev/loop0'];
    const done = await containers.run(['true'], { ...options, flags });
    assert.is.not(done.code, 0);
    assert.match(done.stderr, /block device \/dev\/loop0 cannot be had by a machine of hypervisor\.remote/);
  });
}

/** Pid of a machine's agent. */
function agentOf(peer: RemotePeer, id: string): number {
  const all = processes();
  const children = (pid: number) => all.filter(({ parent }) => parent === pid);
  const [init] = children(peer.machine(id)?.pid ?? -1);
  const agent = children(init?.pid ?? -1).find(({ command }) => command.startsWith('/init --listen'));
  assert.ok(agent, 'the machine has no agent');
  return agent.pid;
}

function killShim(directory: string, id: string): void {
  const command = new RegExp(`^\\S*(containerd-shim|node).* -id ${id}( |$)`);
  const [target] = markedProcesses(directory).filter((process) => command.test(process.command));
  assert.ok(target, `no process ${command}`);
  kill(target);
}
