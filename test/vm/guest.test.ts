/** The default guest by itself: the agent as PID 1, driven over its port, without the shim. One boot serves all tests. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Init } from '../../host/proto/codec.ts';
import { AgentServiceServiceName, AgentServiceService as methods } from '../../host/proto/messages/agent.ts';
import { HealthServiceName, HealthService as health } from '../../host/proto/messages/health.ts';
import type { Interface, Route } from '../../host/proto/messages/types.ts';
import { TtrpcClient } from '../../host/ttrpc/client.ts';
import type { CallOptions, Method } from '../../host/ttrpc/types.ts';
import { BUILD } from '../../setup/paths.ts';
import { type BareGuest, startGuest } from '../harness/bare-guest.ts';

const MAC = '02:00:ca:fe:00:01';
const NIC = ['-netdev', 'user,id=n0,restrict=on', '-device', `virtio-net-pci,netdev=n0,mac=${MAC},romfile=`];
const INTERFACE: Init<Interface> = {
  device: 'eth7',
  name: 'eth7',
  hwAddr: MAC,
  mtu: 1400,
  IPAddresses: [
    { family: 0, address: '10.88.0.9', mask: '16' },
    { family: 1, address: 'fd00:88::9', mask: '64' },
  ],
};
const ROUTES: Init<Route>[] = [
  { dest: '', gateway: '10.88.0.1', device: 'eth7' },
  { dest: '10.99.0.0/24', device: 'eth7', scope: 253 },
  { dest: '', gateway: 'fd00:88::1', device: 'eth7', family: 1 },
  { dest: 'fd00:99::/64', gateway: 'fd00:88::2', device: 'eth7', family: 1, mtu: 1300 },
];

const guestSuite = suite('the default guest');
let guest: BareGuest;
let client: TtrpcClient;

type Call = <Req, Res>(
  method: string,
  table: Method<Req, Res>,
  request: Init<Req>,
  options?: CallOptions,
) => Promise<Res>;
const call: Call = (method, table, request, options) =>
  client.call(AgentServiceServiceName, method, table, request, options);

guestSuite.before(async () => {
  assert.ok(existsSync(join(BUILD, 'share/guest/amd64/manifest.json')), 'run `npm run guest` first');
  guest = await startGuest(NIC);
  client = new TtrpcClient(await guest.socket);
});

guestSuite.after(async () => {
  client?.close('the tests are over');
  await guest?.stop();
});

guestSuite('answers Health', async () => {
  const { status } = await client.call(HealthServiceName, 'Check', health.Check, {});
  assert.is(status, 1);
  const version = await client.call(HealthServiceName, 'Version', health.Version, {});
  assert.match(version.agent_version, /^\d+\.\d+\.\d+$/);
});

guestSuite('says what it is', async () => {
  const request = { mem_block_size: true, mem_hotplug_probe: true };
  const details = await call('GetGuestDetails', methods.GetGuestDetails, request);
  assert.is(details.agent_details?.init_daemon, true);
  assert.is(details.agent_details?.supports_seccomp, true);
  assert.ok(details.agent_details?.storage_handlers.includes('virtio-fs'));
  assert.is(Number(details.mem_block_size_bytes), 128 * 1024 * 1024);
});

guestSuite('takes the clock and entropy', async () => {
  await call('SetGuestDateTime', methods.SetGuestDateTime, { Sec: 4_000_000_000, Usec: 5 });
  await call('ReseedRandomDev', methods.ReseedRandomDev, { data: new Uint8Array(64).fill(7) });
  await call('OnlineCPUMem', methods.OnlineCPUMem, { wait: true, nb_cpus: 1 });
  await fails('ReseedRandomDev', methods.ReseedRandomDev, {}, 'invalid_argument', /no data/);
});

guestSuite('sets up an interface found by its address', async () => {
  await call('UpdateInterface', methods.UpdateInterface, { interface: INTERFACE });
  const { Interfaces } = await call('ListInterfaces', methods.ListInterfaces, {});
  const found = Interfaces.find(({ name }) => name === 'eth7');
  assert.is(found?.hwAddr, MAC);
  assert.is(Number(found?.mtu), 1400);
  const addresses = found?.IPAddresses.map(({ address, mask }) => `${address}/${mask}`) ?? [];
  assert.ok(addresses.includes('10.88.0.9/16'), addresses.join(' '));
  assert.ok(addresses.includes('fd00:88::9/64'), addresses.join(' '));
  // Again, with less: what is no longer named goes.
  const less = { ...INTERFACE, IPAddresses: INTERFACE.IPAddresses?.slice(1) };
  await call('UpdateInterface', methods.UpdateInterface, { interface: less });
  const after = (await call('ListInterfaces', methods.ListInterfaces, {})).Interfaces[0]?.IPAddresses ?? [];
  assert.not.ok(after.some(({ address }) => address === '10.88.0.9'));
  await call('UpdateInterface', methods.UpdateInterface, { interface: INTERFACE });
});

guestSuite('replaces routes, those without a gateway first', async () => {
  for (const wanted of [ROUTES, ROUTES]) {
    const { Routes } = await call('UpdateRoutes', methods.UpdateRoutes, { routes: { Routes: wanted } });
    const listed = Routes.map(({ dest, gateway, device, mtu }) => `${dest} via ${gateway} dev ${device} mtu ${mtu}`);
    assert.equal(listed.sort(), [
      ' via 10.88.0.1 dev eth7 mtu 0',
      ' via fd00:88::1 dev eth7 mtu 0',
      '10.99.0.0/24 via  dev eth7 mtu 0',
      'fd00:99::/64 via fd00:88::2 dev eth7 mtu 1300',
    ]);
  }
});

guestSuite('takes neighbours', async () => {
  const entry = { toIPAddress: { address: '10.88.0.1' }, device: 'eth7', lladdr: '02:00:00:00:00:01', state: 0x80 };
  const v6 = { ...entry, toIPAddress: { family: 1, address: 'fd00:88::1' } };
  const neighbors = { ARPNeighbors: [entry, v6] };
  await call('AddARPNeighbors', methods.AddARPNeighbors, { neighbors });
  const lost = { neighbors: { ARPNeighbors: [{ ...entry, device: 'eth9' }] } };
  await fails('AddARPNeighbors', methods.AddARPNeighbors, lost, 'not_found', /Link not found/);
});

guestSuite('makes changes that are asked for at once in their order', async () => {
  const renamed = (name: string) => ({ interface: { ...INTERFACE, device: name, name } });
  const routes = (device: string) => ({ routes: { Routes: [{ dest: '10.77.0.0/24', device, scope: 253 }] } });
  const there = call('UpdateInterface', methods.UpdateInterface, renamed('eth8'));
  const first = call('UpdateRoutes', methods.UpdateRoutes, routes('eth8'));
  const back = call('UpdateInterface', methods.UpdateInterface, renamed('eth7'));
  const second = call('UpdateRoutes', methods.UpdateRoutes, routes('eth7'));
  await Promise.all([there, back]);
  assert.equal(
    (await first).Routes.map(({ device }) => device),
    ['eth8'],
  );
  assert.equal(
    (await second).Routes.map(({ device }) => device),
    ['eth7'],
  );
});

guestSuite('refuses what is not an address', async () => {
  const bad = { ...INTERFACE, hwAddr: 'nonsense' };
  await fails('UpdateInterface', methods.UpdateInterface, { interface: bad }, 'invalid_argument', /nonsense/);
  const unknown = { ...INTERFACE, hwAddr: '02:00:00:00:00:77' };
  await fails('UpdateInterface', methods.UpdateInterface, { interface: unknown }, 'not_found', /Link not found/);
  const routes = { routes: { Routes: [{ dest: '10.0.0.0/99', device: 'eth7' }] } };
  await fails('UpdateRoutes', methods.UpdateRoutes, routes, 'invalid_argument', /99/);
  await fails('UpdateInterface', methods.UpdateInterface, {}, 'invalid_argument', /no interface/);
});

guestSuite('answers what it does not do with unimplemented', async () => {
  await fails('SetPolicy', methods.SetPolicy, { policy: 'package x' }, 'unimplemented', /SetPolicy/);
});

guestSuite('keeps a deadline', async () => {
  const payload = { container_id: 'nobody', exec_id: '' };
  await fails('WaitProcess', methods.WaitProcess, payload, 'invalid_argument', /nobody/);
  await fails('GetOOMEvent', methods.GetOOMEvent, {}, 'deadline_exceeded', /./, { timeoutMs: 200 });
});

guestSuite('serves the next host process on the same port', async () => {
  const next = guest.nextSocket();
  const unanswered = call('GetOOMEvent', methods.GetOOMEvent, {}).catch((error: Error) => error.message);
  client.close('to come again');
  assert.match(String(await unanswered), /to come again/);
  client = new TtrpcClient(await next);
  const { status } = await client.call(HealthServiceName, 'Check', health.Check, {}, { timeoutMs: 20_000 });
  assert.is(status, 1);
});

guestSuite('powers off when the sandbox is destroyed', async () => {
  await call('DestroySandbox', methods.DestroySandbox, {});
  assert.is(await guest.ended, 0);
});

async function fails<Req, Res>(
  method: string,
  table: Method<Req, Res>,
  request: Init<Req>,
  code: string,
  text: RegExp,
  options?: CallOptions,
): Promise<void> {
  try {
    await call(method, table, request, options);
  } catch (error) {
    assert.is((error as { code: string }).code, code, String(error));
    assert.match((error as Error).message, text);
    return;
  }
  assert.unreachable(`${method} should have failed`);
}

guestSuite.run();
