/** Directly attachable networks: what their files may say, and what becomes of them. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { KataError } from '../../../host/error.ts';
import { createNetwork } from '../../../host/network/create.ts';
import { directNetworkFile } from '../../../host/network/dan.ts';
import { readDirectNetwork } from '../../../host/network/dan-file.ts';
import { MAX_ENDPOINTS } from '../../../host/network/scan.ts';
import { FakeVm, Namespaces } from './namespaces.ts';

const directory = mkdtempSync(join(tmpdir(), 'kata-dan-'));
const file = join(directory, 'sandbox-1.json');
const DEVICE = {
  name: 'eth0',
  guest_mac: '02:00:CA:FE:00:01',
  device: { type: 'host-tap', tap_name: 'dan0', queue_num: 2 },
  network_info: {
    interface: { ip_addresses: ['10.77.0.2/24', 'fd77::2/64'], mtu: 1400, ntype: 'tuntap', flags: 0 },
    routes: [
      { dest: '', gateway: '10.77.0.1' },
      { dest: '10.78.0.0/16', source: '10.77.0.2', scope: 253 },
    ],
    neighbors: [{ ip_address: '10.77.0.1', hardware_addr: '02:00:ca:fe:00:99', state: 128 }],
  },
};

const test = suite('a directly attachable network');
test.after(() => rmSync(directory, { recursive: true }));

function write(value: unknown): string {
  writeFileSync(file, typeof value === 'string' ? value : JSON.stringify(value), { mode: 0o644 });
  return file;
}

function refusal(value: unknown): KataError {
  try {
    readDirectNetwork(write(value));
  } catch (thrown) {
    if (thrown instanceof KataError) return thrown;
    throw thrown;
  }
  throw new Error(`accepted: ${JSON.stringify(value)}`);
}

test('there is one where there is a file of the sandbox', () => {
  write({ devices: [] });
  assert.is(directNetworkFile(directory, 'sandbox-1'), file);
  assert.is(directNetworkFile(directory, 'sandbox-2'), undefined);
  assert.is(directNetworkFile('', 'sandbox-1'), undefined);
});

test('its taps are plugged as they are, and the guest is told', async () => {
  const namespaces = new Namespaces();
  try {
    const vm = new FakeVm();
    const options = { namespace: { path: namespaces.path, own: false }, hypervisor: vm, log: vm.log };
    const network = createNetwork('tcfilter', options, write({ netns: namespaces.path, devices: [DEVICE] }));
    await network.prepare();
    await network.prepare();
    const told = await network.attach();
    assert.equal(vm.plugged, [{ id: 'nic-eth0', nic: { device: 'dan0', mac: '02:00:ca:fe:00:01', queues: 2 } }]);
    assert.equal(told, {
      interfaces: [
        {
          device: 'eth0',
          name: 'eth0',
          IPAddresses: [
            { family: 0, address: '10.77.0.2', mask: '24' },
            { family: 1, address: 'fd77::2', mask: '64' },
          ],
          mtu: 1400,
          hwAddr: '02:00:ca:fe:00:01',
          devicePath: '10/01',
          type: 'tuntap',
          raw_flags: 0,
        },
      ],
      routes: [
        { dest: '', gateway: '10.77.0.1', source: '', device: 'eth0', scope: 0, family: 0, flags: 0, mtu: 0 },
        {
          dest: '10.78.0.0/16',
          gateway: '',
          source: '10.77.0.2',
          device: 'eth0',
          scope: 253,
          family: 0,
          flags: 0,
          mtu: 0,
        },
      ],
      neighbors: [
        {
          toIPAddress: { family: 0, address: '10.77.0.1', mask: '' },
          device: 'eth0',
          lladdr: '02:00:ca:fe:00:99',
          state: 128,
          flags: 0,
        },
      ],
    });
    await network.attach();
    assert.is(vm.plugged.length, 1);
    // Nothing was made, and nothing is removed.
    assert.equal(network.traces, { namespace: namespaces.path, ownNamespace: false, devices: [] });
    await network.close();
    const elsewhere = createNetwork('tcfilter', options, write({ netns: '/run/netns/other', devices: [] }));
    const thrown = await elsewhere.prepare().then(
      () => assert.unreachable(),
      (error: KataError) => error,
    );
    assert.match((thrown as KataError).message, /"\/run\/netns\/other".*move them there/);
  } finally {
    namespaces.remove();
  }
});

test('an address is made up where there is none', () => {
  const { guest_mac, ...rest } = DEVICE;
  const [one, other] = [1, 2].map(() => readDirectNetwork(write({ devices: [rest] })).devices[0]?.mac);
  assert.match(one ?? '', /^02(:[0-9a-f]{2}){5}$/);
  assert.is.not(one, other);
});

test('half a network is none', () => {
  const device = (changes: object) => ({ devices: [{ ...DEVICE, ...changes }] });
  const info = (changes: object) => device({ network_info: { ...DEVICE.network_info, ...changes } });
  for (const value of [
    '{',
    '[]',
    'null',
    {},
    { devices: {} },
    { devices: [null] },
    { devices: [DEVICE, DEVICE] },
    { netns: 7, devices: [] },
    device({ name: '' }),
    device({ name: '../x' }),
    device({ name: 'sixteen-letters-' }),
    device({ name: 'a b' }),
    device({ guest_mac: '02:00' }),
    device({ guest_mac: null }),
    device({ device: { type: 'host-tap' } }),
    device({ device: { type: 'host-tap', tap_name: 'x,script=/bin/sh -c' } }),
    device({ device: { type: 'host-tap', tap_name: 'dan0', queue_num: 257 } }),
    info({ interface: { ip_addresses: ['10.77.0.2'] } }),
    info({ interface: { ip_addresses: ['10.77.0.2/33'] } }),
    info({ interface: { ip_addresses: ['fd77::2/129'] } }),
    info({ interface: { ip_addresses: ['10.77.0/24'] } }),
    info({ interface: { ip_addresses: '10.77.0.2/24' } }),
    info({ interface: { ip_addresses: [], mtu: 65_536 } }),
    info({ interface: { ip_addresses: [], mtu: '1500' } }),
    info({ routes: [{}] }),
    info({ routes: [{ dest: 'default' }] }),
    info({ routes: [{ gateway: '10.77.0' }] }),
    info({ routes: [{ gateway: '10.77.0.1', scope: 256 }] }),
    info({ neighbors: [{ ip_address: '10.77.0.1' }] }),
    info({ neighbors: [{ hardware_addr: '02:00:ca:fe:00:99' }] }),
    { devices: Array.from({ length: MAX_ENDPOINTS + 1 }, () => DEVICE) },
  ]) {
    const thrown = refusal(value);
    assert.is(thrown.code, 'invalid_argument', JSON.stringify(value));
    assert.ok(thrown.message.startsWith(file), thrown.message);
  }
});

test('devices that we do not have are refused by name', () => {
  for (const type of ['vfio', 'vhost-user', undefined]) {
    const thrown = refusal({ devices: [{ ...DEVICE, device: { type, path: '/x' } }] });
    assert.is(thrown.code, 'unimplemented');
    assert.match(thrown.message, /devices\[0\]\.device\.type.*only "host-tap"/);
  }
});

test('a file that others could have written is refused', () => {
  write({ devices: [] });
  chmodSync(file, 0o666);
  assert.is(
    (() => {
      try {
        readDirectNetwork(file);
      } catch (thrown) {
        return (thrown as KataError).code;
      }
      return 'accepted';
    })(),
    'permission_denied',
  );
  chmodSync(file, 0o644);
});

test('whatever is in the file, it is a network or an error', () => {
  fc.assert(
    fc.property(fc.json(), fc.json(), (device, info) => {
      const value = `{"devices":[{"name":"eth0","device":${device},"network_info":${info}}]}`;
      try {
        readDirectNetwork(write(value));
      } catch (thrown) {
        assert.instance(thrown, KataError);
      }
    }),
    { numRuns: 200 },
  );
});

test.run();
