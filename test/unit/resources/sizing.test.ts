import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { MIN_MEMORY_MIB, type Sizes } from '../../../host/config/sizes.ts';
import type { KataError } from '../../../host/error.ts';
import {
  HOST_OVERHEAD_MIB,
  MAX_CPUS,
  MAX_PERIOD_US,
  MAX_SHARES,
  MEMORY_STEP_MIB,
  needOf,
  sizeOf,
  sizeOfPod,
} from '../../../host/resources/sizing.ts';

const MIB = 1024 * 1024;
const SIZES: Sizes = {
  vcpus: 1,
  maxVcpus: 4,
  memoryMib: 256,
  maxMemoryMib: 8192,
  overheadVcpus: 0,
  overheadMemoryMib: 128,
  staticSizing: true,
};
const NOTHING = { memoryLimit: 0, cpuQuota: 0, cpuPeriod: 0, cpuShares: 0 };
const PREFIX = 'io.kubernetes.cri.sandbox-';

const test = suite('sizing');

function single(resources: Partial<typeof NOTHING>, sizes: Partial<Sizes> = {}): [number, number] {
  const view = { containerType: 'single_container', annotations: {}, resources: { ...NOTHING, ...resources } } as const;
  const { vcpus, memoryMib } = sizeOf(view, { ...SIZES, ...sizes });
  return [vcpus, memoryMib];
}

/** Annotations by the ends of their names. */
function pod(ends: Record<string, string>, sizes: Partial<Sizes> = {}): [number, number] {
  const annotations = Object.fromEntries(Object.entries(ends).map(([end, value]) => [PREFIX + end, value]));
  const resources = { ...NOTHING, memoryLimit: 999 * MIB, cpuQuota: 400_000, cpuPeriod: 100_000 };
  const { vcpus, memoryMib } = sizeOf({ containerType: 'pod_sandbox', annotations, resources }, { ...SIZES, ...sizes });
  return [vcpus, memoryMib];
}

test('a container by itself: its limits and the overhead, the defaults without any', () => {
  assert.equal(single({}), [1, 256]);
  assert.equal(single({ memoryLimit: 512 * MIB, cpuQuota: 150_000, cpuPeriod: 100_000 }), [2, 640]);
  assert.equal(single({ memoryLimit: 16 * MIB }), [1, 144]);
  assert.equal(single({ memoryLimit: 16 * MIB }, { overheadMemoryMib: 0 }), [1, MIN_MEMORY_MIB]);
  assert.equal(single({ memoryLimit: 2 ** 62, cpuQuota: -1, cpuPeriod: 1 }), [1, 256]);
  assert.equal(single({ memoryLimit: -1, cpuQuota: -100_000, cpuPeriod: -1 }), [1, 256]);
  assert.equal(single({ cpuQuota: 900_000, cpuPeriod: 100_000 }), [4, 256]);
});

test("a pod: CRI's sums", () => {
  assert.equal(pod({}), [1, 256]);
  assert.equal(pod({ 'cpu-period': '100000', 'cpu-quota': '0', 'cpu-shares': '2', memory: '0' }), [1, 256]);
  assert.equal(pod({ 'cpu-quota': '200000', 'cpu-period': '100000', memory: `${300 * MIB}` }), [2, 428]);
  assert.equal(pod({ 'cpu-quota': '-1', 'cpu-shares': '2049' }), [3, 256]);
  assert.equal(pod({ 'cpu-quota': '50000' }), [1, 256], 'no period');
});

test('fractions are rounded up after the sum, memory to what a machine takes', () => {
  const cpus = (quota: number, overheadVcpus: number, vcpus = 1) =>
    pod({ 'cpu-quota': `${quota}`, 'cpu-period': '100000' }, { overheadVcpus, vcpus })[0];
  assert.equal([cpus(50_000, 0.2), cpus(80_000, 0.2), cpus(80_001, 0.2), cpus(90_000, 0.2)], [1, 1, 1, 2]);
  assert.equal([cpus(70_000, 0.3), cpus(110_000, 0.9), cpus(220_000, 0.1)], [1, 2, 3]);
  assert.is(cpus(300_000, 0), 3);
  assert.is(pod({}, { vcpus: 1.5, overheadVcpus: 0.2 })[0], 2);
  assert.is(pod({ memory: `${100 * MIB + 1}` })[1], 230);
  assert.is(pod({ memory: `${101 * MIB}` })[1] % MEMORY_STEP_MIB, 0);
});

test('without static sizing the defaults are there in addition', () => {
  const dynamic = { staticSizing: false, vcpus: 0.5, memoryMib: 2048 };
  assert.equal(pod({}, dynamic), [1, 2048]);
  assert.equal(pod({ 'cpu-quota': '100000', 'cpu-period': '100000', memory: `${512 * MIB}` }, dynamic), [2, 2560]);
});

test('the Sandbox API gives numbers', () => {
  const limits = { cpuPeriod: 100_000, cpuQuota: 250_000, cpuShares: 2, memoryBytes: 128 * MIB };
  assert.equal(sizeOfPod(limits, SIZES), { vcpus: 3, memoryMib: 256 });
  assert.throws(() => sizeOfPod({ ...limits, memoryBytes: -1 }, SIZES), /resources\.memory_limit_in_bytes is -1/);
  assert.throws(() => sizeOfPod({ ...limits, cpuQuota: Number.NaN }, SIZES), /resources\.cpu_quota is NaN/);
});

test('one sum of VM and overhead', () => {
  assert.equal(needOf({ memoryMib: 1 }), needOf({ memoryMib: 1 }, 'kvm'));
  for (const accelerator of ['kvm', 'tcg'] as const) {
    assert.equal(needOf({ memoryMib: 256 }, accelerator), {
      vmMemoryBytes: 256 * MIB,
      overheadBytes: HOST_OVERHEAD_MIB[accelerator] * MIB,
    });
  }
});

for (const [ends, expected] of [
  [{ memory: '1e9' }, /annotation io\.kubernetes\.cri\.sandbox-memory is "1e9"; it must be a whole number/],
  [{ memory: 'NaN' }, /"NaN"/],
  [{ memory: '' }, /is ""/],
  [{ memory: '0x10' }, /"0x10"/],
  [{ memory: ' 1' }, /" 1"/],
  [{ memory: '99999999999999999' }, /whole number/],
  [{ memory: '9999999999999999' }, /must be 0 to \d+/],
  [{ memory: '-1' }, /sandbox-memory is -1; it must be 0 to/],
  [
    { memory: `${8064 * MIB + 1}` },
    /is 8455716865; it must be 0 to 8455716864 bytes \(8064 MiB\): .* 8194 MiB, and at most 8192/,
  ],
  [{ 'cpu-quota': '-2' }, /sandbox-cpu-quota is -2; it must be -1 to/],
  [{ 'cpu-quota': 'x'.repeat(1000) }, /sandbox-cpu-quota is "x{80}…"/],
  [{ 'cpu-quota': `${MAX_CPUS * 100_000 + 1}`, 'cpu-period': '100000' }, /cpu-quota is 819200001/],
  [{ 'cpu-period': `${MAX_PERIOD_US + 1}` }, /cpu-period is 1000001; it must be 0 to 1000000/],
  [{ 'cpu-period': '-1' }, /cpu-period is -1/],
  [{ 'cpu-shares': `${MAX_SHARES + 1}` }, /cpu-shares is 262145/],
] as const) {
  test(`refuses ${JSON.stringify(ends).slice(0, 60)}`, () => {
    try {
      pod(ends);
    } catch (thrown) {
      assert.is((thrown as KataError).code, 'invalid_argument');
      assert.match((thrown as KataError).message, expected);
      return;
    }
    assert.unreachable('it was accepted');
  });
}

test('limits that just fit', () => {
  assert.is(pod({ memory: `${8064 * MIB}` })[1], 8192);
  assert.is(pod({ 'cpu-quota': `${MAX_CPUS * 100_000}`, 'cpu-period': '100000' })[0], 4);
  pod({ 'cpu-period': `${MAX_PERIOD_US}`, 'cpu-shares': `${MAX_SHARES}` });
});

test('defaults that the host does not have are named as such', () => {
  assert.throws(() => pod({}, { maxMemoryMib: 200 }), /default_memory is 256 MiB: .* at most 200 MiB/);
});

test('whatever annotations say, a size is possible or refused', () => {
  const value = fc.oneof(fc.string(), fc.integer().map(String), fc.bigInt().map(String), fc.double().map(String));
  const names = fc.constantFrom('cpu-period', 'cpu-quota', 'cpu-shares', 'memory');
  fc.assert(
    fc.property(fc.dictionary(names, value), (ends) => {
      let size: [number, number];
      try {
        size = pod(ends);
      } catch (thrown) {
        assert.is((thrown as KataError).code, 'invalid_argument');
        return;
      }
      const [vcpus, memoryMib] = size;
      assert.ok(Number.isInteger(vcpus) && vcpus >= 1 && vcpus <= SIZES.maxVcpus);
      assert.ok(Number.isInteger(memoryMib) && memoryMib >= MIN_MEMORY_MIB && memoryMib <= SIZES.maxMemoryMib);
    }),
  );
});

test.run();
