/** CPU sets of containers reach the vCPUs: at Create, Update and Delete. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { VcpuPinning } from '../../../host/resources/pinning.ts';
import { FakeGuest } from '../sandbox/fake-guest.ts';
import { Harness } from './harness.ts';

const RESOURCES = 'types.containerd.io/opencontainers/runtime-spec/1/LinuxResources';
const TYPE = 'io.kubernetes.cri.container-type';
const SANDBOX = 'io.kubernetes.cri.sandbox-id';

function spec(type: 'sandbox' | 'container', cpus?: string): Record<string, unknown> {
  return {
    annotations: { [TYPE]: type, [SANDBOX]: 'c1' },
    linux: { namespaces: [{ type: 'network' }], ...(cpus && { resources: { cpu: { cpus } } }) },
  };
}

function cpus(list: string): { type_url: string; value: Uint8Array } {
  return { type_url: RESOURCES, value: Buffer.from(JSON.stringify({ cpu: { cpus: list } })) };
}

const pins = suite('CPU sets of a pod');

pins('each container has a say until it is gone', async () => {
  const placed: string[] = [];
  const guest = new FakeGuest();
  const parts = guest.parts.bind(guest);
  guest.parts = () => ({
    ...parts(),
    pinning: (_hypervisor, log) =>
      new VcpuPinning({
        threads: async () => [11, 12],
        log,
        place: async (thread, list) => void placed.push(`${thread} on ${list}`),
      }),
  });
  const shim = await Harness.start('c1', guest);
  try {
    await shim.create('c1', ['sleep'], { spec: spec('sandbox') });
    await shim.call('Start', { id: 'c1' });
    assert.equal(placed, []);
    await shim.create('c2', ['sleep'], { spec: spec('container', '4') });
    assert.equal(placed.splice(0), ['11 on 4', '12 on 4']);
    await shim.create('c3', ['sleep'], { spec: spec('container', '6') });
    assert.equal(placed.splice(0), ['11 on 4', '12 on 6']);
    await shim.call('Update', { id: 'c3', resources: cpus('6-8') });
    assert.equal(placed.splice(0), ['11 on 4,6,7,8', '12 on 4,6,7,8']);
    // Other limits leave the set as it is.
    const memory = { type_url: RESOURCES, value: Buffer.from(JSON.stringify({ memory: { limit: 1048576 } })) };
    await shim.call('Update', { id: 'c3', resources: memory });
    assert.equal(placed, []);
    await shim.call('Delete', { id: 'c2' });
    assert.equal(placed.splice(0), ['11 on 6,7,8', '12 on 6,7,8']);
  } finally {
    await shim.close();
  }
});

pins.run();
