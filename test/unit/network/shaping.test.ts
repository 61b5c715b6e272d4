/** Limits of a pod's network, in real namespaces: what the kernel says of them, and what passes. */
import { execFile, execFileSync } from 'node:child_process';
import { promisify } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { KataError } from '../../../host/error.ts';
import { cleanUpNetwork } from '../../../host/network/clean-up.ts';
import { createNetwork } from '../../../host/network/create.ts';
import { listLinks } from '../../../host/network/links.ts';
import type { NicWishes } from '../../../host/network/model.ts';
import { Netlink, NetlinkError } from '../../../host/network/netlink.ts';
import type { Network } from '../../../host/network/network.ts';
import { addLimit, removeLimit } from '../../../host/network/shaping.ts';
import { FakeVm, Namespaces } from './namespaces.ts';

const MAC = '02:00:ca:fe:00:01';
const MBIT = 1_000_000;
/** Sends datagrams for a second, as many as it can; tells how many bytes they had. */
const SENDER = `
  const socket = require('node:dgram').createSocket('udp4'), end = Date.now() + 1000, piece = Buffer.alloc(1400);
  let sent = 0;
  const more = () => {
    if (Date.now() > end) return socket.close(() => console.log(sent));
    for (let count = 0; count < 20; count++, sent += piece.length) socket.send(piece, 9, '10.88.0.1', () => {});
    setImmediate(more);
  };
  more();`;

interface Context {
  namespaces: Namespaces;
  vm: FakeVm;
  network(wishes: Partial<NicWishes>): Network;
}

interface Qdisc {
  readonly kind: string;
  readonly handle: string;
  readonly root?: boolean;
  /** Bytes a second. */
  readonly options: { readonly rate?: number; readonly burst?: number };
}

const limits = suite<Context>('limits of a pod network');

limits.before.each((context) => {
  context.namespaces = new Namespaces();
  context.vm = new FakeVm();
  context.network = (wishes) =>
    createNetwork('tcfilter', {
      namespace: { path: context.namespaces.path, own: false },
      hypervisor: context.vm,
      log: context.vm.log,
      wishes: { rxRate: 0, txRate: 0, networkQueues: 1, ...wishes },
    });
});

limits.after.each(({ namespaces }) => namespaces.remove());

/** The queueing discipline by which a device sends, if it is a token bucket. */
function bucket(namespaces: Namespaces, device: string): Qdisc | undefined {
  const text = execFileSync('tc', ['-n', namespaces.pod, '-j', 'qdisc', 'show', 'dev', device], { encoding: 'utf8' });
  return (JSON.parse(text) as Qdisc[]).find(({ kind }) => kind === 'tbf');
}

limits(
  'what a guest receives is limited on the tap, what it sends on the interface',
  async ({ namespaces, network }) => {
    namespaces.veth('eth0', MAC, '10.88.0.9/16');
    const made = network({ rxRate: 8 * MBIT, txRate: 40_000 * MBIT });
    await made.prepare();
    assert.is(bucket(namespaces, 'tap0_kata')?.options.rate, MBIT);
    // More bytes a second than 32 bits hold.
    assert.is(bucket(namespaces, 'eth0')?.options.rate, 5_000 * MBIT);
    await made.close();
    assert.is(bucket(namespaces, 'eth0'), undefined);
    assert.equal(namespaces.devices(), ['eth0', 'lo']);
  },
);

limits('each direction stands for itself; without limits there is none', async ({ namespaces, network }) => {
  namespaces.veth('eth0', MAC, '10.88.0.9/16');
  for (const [wishes, tap, link] of [
    [{}, undefined, undefined],
    [{ rxRate: 8000 }, 1000, undefined],
    [{ txRate: 8000 }, undefined, 1000],
  ] as const) {
    const made = network(wishes);
    await made.prepare();
    assert.is(bucket(namespaces, 'tap0_kata')?.options.rate, tap);
    assert.is(bucket(namespaces, 'eth0')?.options.rate, link);
    await made.close();
  }
});

limits('a limit that a crash has left is removed by the clean-up, and by the next sandbox', async (context) => {
  const { namespaces, network } = context;
  namespaces.veth('eth0', MAC, '10.88.0.9/16');
  const crashed = network({ txRate: MBIT });
  await crashed.prepare();
  cleanUpNetwork(crashed.traces, context.vm.log);
  assert.is(bucket(namespaces, 'eth0'), undefined);
  assert.equal(context.vm.warnings, []);

  await network({ txRate: MBIT }).prepare();
  namespaces.inPod('link del tap0_kata');
  const next = network({ txRate: 16 * MBIT });
  await next.prepare();
  assert.is(bucket(namespaces, 'eth0')?.options.rate, 2 * MBIT);
  await next.close();
  assert.is(bucket(namespaces, 'eth0'), undefined);
});

limits("somebody else's discipline stays, and nothing is left of the attempt", async ({ namespaces, network }) => {
  namespaces.veth('eth0', MAC, '10.88.0.9/16');
  const tc = ['-n', namespaces.pod, 'qdisc', 'add', 'dev', 'eth0', 'root', 'handle', '7:'];
  execFileSync('tc', [...tc, 'tbf', 'rate', '1mbit', 'burst', '16k', 'latency', '50ms']);
  const thrown = await network({ txRate: MBIT })
    .prepare()
    .then(
      () => assert.unreachable('should have failed'),
      (error: KataError) => error,
    );
  assert.is((thrown as KataError).code, 'failed_precondition');
  assert.match((thrown as KataError).message, /tx_rate_limiter_max_rate: interface eth0 .* already/);
  assert.is(bucket(namespaces, 'eth0')?.handle, '7:');
  assert.equal(namespaces.devices(), ['eth0', 'lo']);
  const unlimited = network({});
  await unlimited.prepare();
  await unlimited.close();
  assert.is(bucket(namespaces, 'eth0')?.handle, '7:');
});

limits('a tap that the pod brings cannot be limited, and is refused then only', async ({ namespaces, network }) => {
  namespaces.inPod('tuntap add own0 mode tap');
  namespaces.inPod('addr add 10.88.0.9/16 dev own0');
  namespaces.inPod('link set own0 up');
  await assertRefused(network({ rxRate: MBIT }).prepare(), /own0 .* cannot be limited/);
  const made = network({});
  await made.prepare();
  await made.close();
});

limits('several queues are those of the tap, and told to the VMM', async ({ namespaces, vm, network }) => {
  namespaces.veth('eth0', MAC, '10.88.0.9/16');
  const made = network({ networkQueues: 3 });
  await made.prepare();
  await made.attach();
  assert.equal(vm.plugged, [{ id: 'nic-eth0', nic: { device: 'tap0_kata', mac: MAC, queues: 3 } }]);
  assert.match(namespaces.inPod('-d tuntap show dev tap0_kata'), /multi_queue/);
  await made.close();
});

limits('what passes in a time stays near the limit', async ({ namespaces }) => {
  namespaces.veth('eth0', MAC, '10.88.0.9/16');
  namespaces.inPeer('addr add 10.88.0.1/16 dev eth0');
  const bytesPerSecond = 100_000;
  const netlink = new Netlink(namespaces.path);
  const link = listLinks(netlink).find(({ name }) => name === 'eth0');
  if (!link) return assert.unreachable('no interface');
  assert.throws(
    () => removeLimit(netlink, link.index),
    (thrown: Error) => thrown instanceof NetlinkError && ['ENOENT', 'EINVAL'].includes(thrown.code),
  );
  addLimit(netlink, link.index, 8 * bytesPerSecond, link.mtu);
  const received = (): number => {
    const [peer] = JSON.parse(namespaces.inPeer('-j -s link show dev eth0')) as {
      stats64: { rx: { bytes: number } };
    }[];
    return peer?.stats64.rx.bytes ?? 0;
  };
  const before = received();
  const started = performance.now();
  const { stdout } = await promisify(execFile)('ip', ['netns', 'exec', namespaces.pod, process.execPath, '-e', SENDER]);
  const passed = received() - before;
  const seconds = (performance.now() - started) / 1000;
  const sent = Number(stdout);
  netlink.close();
  assert.ok(sent > 10 * bytesPerSecond, `only ${sent} bytes were sent`);
  // Twice, and what may go out at once: machines that test are busy.
  assert.ok(passed <= 2 * bytesPerSecond * seconds + 20_000, `${passed} bytes in ${seconds} s`);
  assert.ok(passed > 10_000, `only ${passed} bytes passed`);
});

async function assertRefused(step: Promise<unknown>, message: RegExp): Promise<void> {
  const thrown = await step.then(
    () => undefined,
    (error: KataError) => error,
  );
  assert.is(thrown?.code, 'failed_precondition');
  assert.match(thrown?.message ?? '', message);
}

limits.run();
