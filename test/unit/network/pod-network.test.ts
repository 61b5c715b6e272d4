/** Real namespaces with real devices; only the VM is not one. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { KataError } from '../../../host/error.ts';
import { cleanUpNetwork } from '../../../host/network/clean-up.ts';
import { createNetwork, modelOf } from '../../../host/network/create.ts';
import { PortForwarder } from '../../../host/network/forward.ts';
import type { ModelName } from '../../../host/network/model.ts';
import { podNamespace } from '../../../host/network/namespace.ts';
import type { Network } from '../../../host/network/network.ts';
import { MAX_ENDPOINTS, MAX_ENTRIES } from '../../../host/network/scan.ts';
import { FakeVm, Namespaces } from './namespaces.ts';

const MAC = '02:00:ca:fe:00:01';
const MAC_2 = '02:00:ca:fe:00:02';

interface Context {
  namespaces: Namespaces;
  vm: FakeVm;
  network(model?: ModelName): Network;
}

const pod = suite<Context>('a pod network');

pod.before.each((context) => {
  context.namespaces = new Namespaces();
  context.vm = new FakeVm();
  context.network = (model = 'tcfilter') =>
    createNetwork(model, {
      namespace: { path: context.namespaces.path, own: false },
      hypervisor: context.vm,
      log: context.vm.log,
    });
});

pod.after.each(({ namespaces }) => namespaces.remove());

async function failure(step: Promise<unknown>): Promise<KataError> {
  return step.then(
    () => assert.unreachable('should have failed'),
    (thrown: KataError) => thrown,
  ) as Promise<KataError>;
}

/** Descriptors this process has open. */
function descriptors(): string[] {
  return readFileSync('/proc/self/status', 'utf8').match(/FDSize:\s*\d+/) as string[];
}

pod('is joined by a tap, and told as the guest is to have it', async ({ namespaces, vm, network }) => {
  namespaces.inPod('link set lo up');
  namespaces.veth('eth0', MAC, '10.88.0.9/16', 'fd00:88::9/64');
  namespaces.inPod('link set eth0 mtu 1400');
  namespaces.inPod('route add default via 10.88.0.1');
  namespaces.inPod('route add 10.99.0.0/24 dev eth0 scope link src 10.88.0.9');
  namespaces.inPod('route add 10.98.0.0/24 via 192.0.2.1 dev eth0 onlink mtu 1300');
  namespaces.inPod('-6 route add default via fd00:88::1');
  namespaces.inPod('neigh add 10.88.0.1 lladdr 02:00:00:00:00:01 dev eth0 nud permanent');
  namespaces.inPod('neigh add fd00:88::1 lladdr 02:00:00:00:00:02 dev eth0 nud permanent');
  namespaces.inPod('neigh add 10.88.0.5 lladdr 02:00:00:00:00:05 dev eth0 nud reachable');

  const made = network();
  await made.prepare();
  assert.equal(made.traces, {
    namespace: namespaces.path,
    ownNamespace: false,
    devices: ['tap0_kata'],
    qdiscs: ['eth0'],
  });
  assert.match(namespaces.filters('eth0'), /Egress Redirect to device tap0_kata/);
  assert.match(namespaces.filters('tap0_kata'), /Egress Redirect to device eth0/);
  assert.match(namespaces.inPod('link show tap0_kata'), /UP.* mtu 1400 /);
  assert.not.match(namespaces.inPod('addr show tap0_kata'), /inet/);
  assert.equal(vm.plugged, []);

  const guest = await made.attach();
  assert.equal(vm.plugged, [{ id: 'nic-eth0', nic: { device: 'tap0_kata', mac: MAC } }]);
  assert.equal(guest?.interfaces, [
    {
      device: 'eth0',
      name: 'eth0',
      IPAddresses: [
        { family: 0, address: '10.88.0.9', mask: '16' },
        { family: 1, address: 'fd00:88::9', mask: '64' },
      ],
      mtu: 1400,
      hwAddr: MAC,
      devicePath: '10/01',
      type: 'veth',
      raw_flags: 0,
    },
  ]);
  const none = { gateway: '', source: '', scope: 0, mtu: 0, flags: 0, device: 'eth0' };
  const byDest = (a: { dest?: string | undefined }, b: { dest?: string | undefined }) =>
    (a.dest ?? '') < (b.dest ?? '') ? -1 : 1;
  assert.equal(guest?.routes.filter(({ family }) => family === 0).sort(byDest), [
    { ...none, dest: '', family: 0, gateway: '10.88.0.1' },
    { ...none, dest: '10.98.0.0/24', family: 0, gateway: '192.0.2.1', mtu: 1300, flags: 4 },
    { ...none, dest: '10.99.0.0/24', family: 0, scope: 253, source: '10.88.0.9' },
  ]);
  assert.equal(
    guest?.routes.filter(({ family }) => family === 1),
    [{ ...none, dest: '', family: 1, gateway: 'fd00:88::1' }],
  );
  assert.equal(
    guest?.neighbors.map(({ toIPAddress, lladdr, device }) => `${toIPAddress?.address} ${lladdr} ${device}`).sort(),
    ['10.88.0.1 02:00:00:00:00:01 eth0', 'fd00:88::1 02:00:00:00:00:02 eth0'],
  );

  await made.close();
  assert.equal(namespaces.devices(), ['eth0', 'lo']);
  assert.is(namespaces.filters('eth0'), '');
  assert.match(namespaces.inPod('addr show eth0'), /10\.88\.0\.9/);
  await made.close();
});

pod('what comes later is plugged later, what goes is unplugged', async ({ namespaces, vm, network }) => {
  const made = network();
  await made.prepare();
  assert.is(await made.attach(), undefined);
  assert.equal(vm.plugged, []);

  namespaces.veth('eth0', MAC, '10.88.0.9/16');
  await made.prepare();
  assert.is((await made.attach())?.interfaces.length, 1);
  namespaces.veth('net1', MAC_2, 'fd00:2::9/64');
  namespaces.inPod('addr add 10.88.0.10/16 dev eth0');
  await made.prepare();
  const guest = await made.attach();
  assert.equal(
    vm.plugged.map(({ id, nic }) => `${id} ${nic.device}`),
    ['nic-eth0 tap0_kata', 'nic-net1 tap1_kata'],
  );
  assert.equal(
    guest?.interfaces.map(({ name, IPAddresses }) => [name, ...(IPAddresses ?? []).map(({ address }) => address)]),
    [
      ['eth0', '10.88.0.9', '10.88.0.10'],
      ['net1', 'fd00:2::9'],
    ],
  );

  namespaces.inPod('link del net1');
  await made.prepare();
  assert.is((await made.attach())?.interfaces.length, 1);
  assert.equal(vm.unplugged, ['nic-net1']);
  assert.equal(namespaces.devices(), ['eth0', 'lo', 'tap0_kata']);
  await made.close();
  assert.equal(namespaces.devices(), ['eth0', 'lo']);
});

pod('an interface without an address is plugged, with a warning; one that is down is not', async (context) => {
  const { namespaces, vm, network } = context;
  namespaces.inPod('-6 route flush table all');
  namespaces.veth('eth0', MAC);
  namespaces.veth('eth1', MAC_2, '10.88.0.9/16');
  namespaces.inPod('link set eth1 down');
  const made = network();
  await made.prepare();
  const guest = await made.attach();
  assert.equal(
    guest?.interfaces.map(({ name, IPAddresses }) => [name, IPAddresses?.length]),
    [['eth0', 0]],
  );
  assert.equal(vm.warnings, ['network interface without an IP address']);
  await made.close();
});

pod('of several routes to one place the one with the best metric is told', async ({ namespaces, network }) => {
  namespaces.veth('eth0', MAC, '10.1.0.9/24', 'fd00:1::9/64');
  namespaces.veth('net1', MAC_2, '10.2.0.9/24', 'fd00:2::9/64');
  namespaces.inPod('route add default via 10.1.0.1 metric 200');
  namespaces.inPod('route add default via 10.2.0.1 metric 100');
  namespaces.inPod('-6 route add default via fd00:1::1 metric 20');
  namespaces.inPod('-6 route add default via fd00:2::1 metric 30');
  namespaces.inPod('route add 10.7.0.0/16 nexthop via 10.1.0.7 nexthop via 10.2.0.7');
  namespaces.inPod('route add 10.8.0.0/16 via inet6 fd00:2::8');
  const made = network();
  await made.prepare();
  const guest = await made.attach();
  const text = guest?.routes.map(({ family, dest, gateway, device }) => `${family} ${dest} ${gateway} ${device}`);
  assert.equal(text?.sort(), [
    '0  10.2.0.1 net1',
    '0 10.7.0.0/16 10.1.0.7 eth0',
    '0 10.8.0.0/16 fd00:2::8 net1',
    '1  fd00:1::1 eth0',
  ]);
  await made.close();
});

pod('macvlan, vlan and tap serve like veth; a tap is opened as it is', async ({ namespaces, vm, network }) => {
  namespaces.veth('base', '02:00:ca:fe:00:aa');
  namespaces.inPod(`link add mac0 link base address ${MAC} type macvlan mode bridge`);
  namespaces.inPod('addr add 10.1.0.9/24 dev mac0');
  namespaces.inPod(`tuntap add dev own0 mode tap vnet_hdr`);
  namespaces.inPod(`link set own0 address ${MAC_2}`);
  for (const name of ['mac0', 'own0']) namespaces.inPod(`link set ${name} up`);
  const made = network();
  await made.prepare();
  await made.attach();
  assert.equal(
    vm.plugged.map(({ id, nic }) => `${id} ${nic.device} ${nic.mac}`),
    ['nic-base tap0_kata 02:00:ca:fe:00:aa', `nic-mac0 tap1_kata ${MAC}`, `nic-own0 own0 ${MAC_2}`],
  );
  await made.close();
  assert.equal(namespaces.devices(), ['base', 'lo', 'mac0', 'own0']);
});

pod('a device that no VM can have is refused by its name', async ({ namespaces, network }) => {
  namespaces.veth('eth0', MAC, '10.88.0.9/16');
  namespaces.inPod('tuntap add dev tun0 mode tun');
  namespaces.inPod('link set tun0 up');
  namespaces.inPod('addr add 10.9.0.1/24 dev tun0');
  const made = network();
  const { code, message } = await failure(made.prepare());
  assert.is(code, 'failed_precondition');
  assert.match(message, /interface tun0 .*"tun"/);
  assert.equal(namespaces.devices(), ['eth0', 'lo', 'tun0']);
  await made.close();
});

pod('more interfaces than a VM has room for are refused', async ({ namespaces, network }) => {
  namespaces.veth('base', MAC);
  for (let i = 0; i < MAX_ENDPOINTS; i++) {
    namespaces.inPod(`link add d${i} link base type macvlan`);
    namespaces.inPod(`link set d${i} up`);
  }
  const { code, message } = await failure(network().prepare());
  assert.is(code, 'resource_exhausted');
  assert.match(message, new RegExp(`${MAX_ENDPOINTS + 1} interfaces`));
  assert.not(namespaces.devices().some((name) => name.startsWith('tap')));
});

pod('more entries than the guest takes are refused', async ({ namespaces, network }) => {
  namespaces.veth('eth0', MAC, '10.88.0.9/16');
  const lines = Array.from({ length: MAX_ENTRIES + 1 }, (_, i) => {
    return `neigh add 10.88.${100 + (i >> 8)}.${i & 255} lladdr 02:00:00:00:00:01 dev eth0 nud permanent`;
  });
  execFileSync('ip', ['-n', namespaces.pod, '-batch', '-'], { input: lines.join('\n') });
  const { code, message } = await failure(network().prepare());
  assert.is(code, 'resource_exhausted');
  assert.match(message, new RegExp(`${MAX_ENTRIES + 1} neighbors; ${MAX_ENTRIES} are the limit`));
});

pod('what fails in the middle leaves nothing behind', async ({ namespaces, network }) => {
  namespaces.veth('eth0', MAC, '10.88.0.9/16');
  namespaces.veth('wide', MAC_2);
  // More than a tap takes.
  namespaces.inPod('link set wide mtu 65535');
  const made = network();
  assert.is((await failure(made.prepare())).code, 'internal');
  assert.equal(namespaces.devices(), ['eth0', 'lo', 'wide']);
  assert.is(namespaces.filters('eth0'), '');
  assert.equal(made.traces.devices, []);
});

pod('cleanup from traces alone, any number of times; what is not ours stays', async ({ namespaces, vm, network }) => {
  namespaces.veth('eth0', MAC, '10.88.0.9/16');
  namespaces.inPod('tuntap add dev tap9 mode tap');
  const made = network();
  await made.prepare();
  const traces = JSON.parse(JSON.stringify(made.traces));
  cleanUpNetwork(traces, vm.log);
  assert.equal(namespaces.devices(), ['eth0', 'lo', 'tap9']);
  assert.is(namespaces.filters('eth0'), '');
  cleanUpNetwork(traces, vm.log);
  await made.close();
  cleanUpNetwork({ namespace: '', ownNamespace: false, devices: ['lo'] }, vm.log);
  cleanUpNetwork({ namespace: '/proc/self/ns/net', ownNamespace: false, devices: ['eth0'], qdiscs: ['eth0'] }, vm.log);
  cleanUpNetwork({ namespace: '/nonexistent', ownNamespace: false, devices: ['tap0_kata'] }, vm.log);
  namespaces.remove();
  cleanUpNetwork(traces, vm.log);
  assert.equal(vm.warnings, ['network cleanup refused: not a pod network namespace']);
});

pod('takes over what a shim that crashed has left; a qdisc of somebody else stays', async ({ namespaces, network }) => {
  namespaces.veth('eth0', MAC, '10.88.0.9/16');
  await network().prepare();
  const second = network();
  await second.prepare();
  assert.match(namespaces.filters('eth0'), /device tap1_kata/);
  assert.not.match(namespaces.filters('eth0'), /device tap0_kata/);
  assert.equal(second.traces, {
    namespace: namespaces.path,
    ownNamespace: false,
    devices: ['tap1_kata'],
    qdiscs: [],
  });
  await second.close();
  assert.is(namespaces.filters('eth0'), '');
});

pod('macvtap takes over the hardware address, and gives everything back', async ({ namespaces, vm, network }) => {
  namespaces.veth('eth0', MAC, '10.88.0.9/16', 'fd00:88::9/64');
  namespaces.inPod('route add default via 10.88.0.1');
  const made = network('macvtap');
  await made.prepare();
  assert.not.match(namespaces.inPod('addr show eth0'), /10\.88\.0\.9/);
  assert.match(namespaces.inPod('link show tap0_kata'), new RegExp(MAC));
  const guest = await made.attach();
  assert.is(vm.plugged[0]?.nic.mac, MAC);
  assert.is(vm.plugged[0]?.nic.fds?.length, 1);
  assert.is(guest?.interfaces[0]?.IPAddresses?.length, 2);
  assert.is(guest?.routes[0]?.gateway, '10.88.0.1');
  // A second look finds no addresses any more, and keeps what it knew.
  await made.prepare();
  assert.is((await made.attach())?.interfaces[0]?.IPAddresses?.length, 2);
  await made.close();
  assert.equal(namespaces.devices(), ['eth0', 'lo']);
  assert.match(
    namespaces.inPod('addr show eth0'),
    new RegExp(`${MAC}[\\s\\S]*10\\.88\\.0\\.9/16[\\s\\S]*fd00:88::9/64`),
  );
});

pod('none: no NIC, and nothing in the namespace', async ({ namespaces, vm, network }) => {
  namespaces.veth('eth0', MAC, '10.88.0.9/16');
  const made = network('none');
  await made.prepare();
  assert.is(await made.attach(), undefined);
  assert.equal(vm.plugged, []);
  assert.is(made.namespace, namespaces.path);
  await made.close();
  assert.equal(namespaces.devices(), ['eth0', 'lo']);
});

pod('a namespace of its own is made, held and removed', async ({ vm }) => {
  const directory = mkdtempSync(join(tmpdir(), 'kata-net-'));
  try {
    const namespace = podNamespace([{ type: 'pid' }, { type: 'network' }], directory);
    assert.equal(namespace, { path: join(directory, 'netns'), own: true });
    const made = createNetwork('tcfilter', { namespace, hypervisor: vm, log: vm.log });
    assert.is.not(statSync(made.namespace).ino, statSync('/proc/self/ns/net').ino);
    const forwarder = new PortForwarder({ namespace: made.namespace, agent: () => undefined, log: vm.log });
    assert.ok(forwarder.start());
    forwarder.close();
    await made.prepare();
    assert.is(await made.attach(), undefined);
    const { traces } = made;
    assert.is(traces.ownNamespace, true);
    await made.close();
    assert.not(existsSync(made.namespace));
    cleanUpNetwork(traces, vm.log);
    createNetwork('none', { namespace, hypervisor: vm, log: vm.log });
    cleanUpNetwork(traces, vm.log);
    assert.not(existsSync(made.namespace));
  } finally {
    rmSync(directory, { recursive: true });
  }
});

pod('the host network is refused, and what is no namespace', ({ namespaces, vm }) => {
  const options = (path: string) => ({ namespace: { path, own: false }, hypervisor: vm, log: vm.log });
  for (const model of ['tcfilter', 'none'] as const) {
    assert.throws(() => createNetwork(model, options('/proc/self/ns/net')), /hostNetwork: true.* is the host's own/);
  }
  assert.throws(() => createNetwork('tcfilter', options('/nonexistent')), /\/nonexistent cannot be used .*ENOENT/);
  assert.throws(() => createNetwork('tcfilter', options('')), /disable_new_netns needs/);
  assert.throws(() => podNamespace([{ type: 'pid' }], '/run/x'), /hostNetwork/);
  assert.throws(() => podNamespace([{ type: 'network', path: '/proc/self/ns/net' }], '/run/x'), /hostNetwork/);
  assert.equal(podNamespace([{ type: 'network', path: namespaces.path }], '/run/x'), {
    path: namespaces.path,
    own: false,
  });
  assert.equal(podNamespace([{ type: 'network' }], '/run/x', true), { path: '', own: false });
  assert.throws(() => modelOf('l3forwarding'), /"l3forwarding" is not supported; use tcfilter, macvtap, none/);
  assert.is(modelOf('macvtap'), 'macvtap');
});

pod('no descriptor stays open', async ({ namespaces, network }) => {
  namespaces.veth('eth0', MAC, '10.88.0.9/16');
  const made = network();
  await made.prepare();
  const before = descriptors();
  for (let i = 0; i < 200; i++) await made.prepare();
  assert.equal(descriptors(), before);
  await made.close();
});

pod.run();
