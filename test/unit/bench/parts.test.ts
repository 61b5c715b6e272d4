import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ownShare, PARTS, partsOf, timelineOf } from '../../../bench/parts.ts';
import { median } from '../../../bench/statistics.ts';
import { ratioOf, summary } from '../../../bench/table.ts';

const test = suite('bench');

test('every millisecond up to the last moment is somebody’s', () => {
  const parts = partsOf({
    shim_start: 0,
    create: 30,
    network_prepared: 40,
    cgroup: 44,
    vm_start: 50,
    vm_ready: 150,
    share_attached: 152,
    network_attached: 155,
    guest_start: 156,
    agent_ready: 1056,
    guest_settled: 1150,
    network_told: 1162,
    sandbox_created: 1165,
    container_create: 1170,
    container_created: 1300,
    container_start: 1310,
    container_started: 1320,
    exit: 9000,
  });
  assert.equal(parts, {
    shim: 36,
    cgroup: 4,
    network: 25,
    storage: 7,
    agent: 13,
    QEMU: 101,
    'guest boot': 900,
    'guest kernel: devices': 94,
    crun: 130,
    containerd: 10,
  });
  assert.is(
    PARTS.reduce((sum, part) => sum + parts[part], 0),
    1320,
  );
  assert.is(ownShare(parts), 85);
});

test('moments come in any order, or not at all', () => {
  assert.is(partsOf({ vm_ready: 30, create: 10, vm_start: 20 }).QEMU, 10);
  assert.is(ownShare(partsOf({})), 0);
});

test('no sandbox, no timeline', () => {
  assert.is(timelineOf('no-such-sandbox'), undefined);
});

test('statistics', () => {
  assert.equal([median([3, 1, 2]), median([4, 1, 2, 3])], [2, 2.5]);
  assert.is(summary([3.14, 1, 2], 1), '2.0 (1.0-3.1)');
});

test('a ratio says how many times better', () => {
  const measured = { what: 'calls', unit: 'ms', ours: [1, 2, 4], control: [6, 6, 6] } as const;
  assert.is(ratioOf({ ...measured, better: 'less' }), 3);
  assert.is(ratioOf({ ...measured, better: 'more' }), 1 / 3);
});

test.run();
