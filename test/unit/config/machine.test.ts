/** Keys of memory, disks, devices and rates: what is taken, and what a wrong one is told. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { blockOf, MAX_BLOCK_QUEUES, MAX_IOTHREADS } from '../../../host/config/block.ts';
import type { Merged, Origin } from '../../../host/config/files.ts';
import { MAX_ROOT_PORTS, machineDevicesOf, parseVerity, seccompOf } from '../../../host/config/machine-devices.ts';
import { memoryOf } from '../../../host/config/memory.ts';
import { MAX_NETWORK_QUEUES, MIN_RATE, ratesOf } from '../../../host/config/rates.ts';
import { Values } from '../../../host/config/values.ts';
import type { KataError } from '../../../host/error.ts';

const FILE = '/etc/kata.toml';
const LINE = 7;

/** What a file with these keys says. */
function values(qemu: Record<string, unknown>, runtime: Record<string, unknown> = {}): Values {
  const table = (keys: Record<string, unknown>): Map<string, Origin> =>
    new Map(Object.entries(keys).map(([key, value]) => [key, { value, file: FILE, line: LINE } as Origin]));
  const merged: Merged = new Map([
    ['hypervisor.qemu', table(qemu)],
    ['runtime', table(runtime)],
  ]);
  return new Values(merged);
}

/** The message of an error that names the file. */
function refusal(step: () => unknown): string {
  try {
    step();
  } catch (thrown) {
    const { message } = thrown as KataError;
    assert.ok(message.includes(FILE), message);
    return message;
  }
  return assert.unreachable('should have failed') as never;
}

const VERITY = 'root_hash=ab01,salt=cd02,data_blocks=8192,data_block_size=4096,hash_block_size=4096';
const machine = suite('keys of the machine');

machine('nothing is set: as it always was', () => {
  const none = values({});
  assert.equal(blockOf(none), {
    driver: 'virtio-blk',
    aio: undefined,
    cache: undefined,
    logicalSectorBytes: 0,
    physicalSectorBytes: 0,
    ioThreads: 0,
    queueSize: 0,
    queues: 0,
  });
  assert.equal(memoryOf(none), { prealloc: false, hugePages: undefined, reclaim: false });
  assert.equal(ratesOf(none), { rxRate: 0, txRate: 0, networkQueues: 1 });
  assert.equal(machineDevicesOf(none), {
    entropySource: undefined,
    vhostNet: true,
    iommu: false,
    iommuPlatform: false,
    monitor: undefined,
    legacySerial: false,
    firmware: undefined,
    pflashes: [],
    dump: undefined,
    verity: undefined,
    rootless: false,
    rootPorts: 0,
    vfioPort: 'no-port',
  });
  assert.is(seccompOf(none), '');
});

machine('disks', () => {
  const all = values({
    block_device_driver: 'virtio-scsi',
    block_device_aio: 'io_uring',
    block_device_cache_set: true,
    block_device_cache_direct: true,
    block_device_cache_noflush: true,
    block_device_logical_sector_size: 4096,
    block_device_physical_sector_size: 65536,
    enable_iothreads: true,
    indep_iothreads: 3,
    queue_size: 128,
    num_queues: 2,
  });
  assert.equal(blockOf(all), {
    driver: 'virtio-scsi',
    aio: 'io_uring',
    cache: { direct: true, noFlush: true },
    logicalSectorBytes: 4096,
    physicalSectorBytes: 65536,
    ioThreads: 3,
    queueSize: 128,
    queues: 2,
  });
  assert.is(blockOf(values({ enable_iothreads: true })).ioThreads, 1);
  // Without cache_set the other two say nothing.
  assert.is(blockOf(values({ block_device_cache_direct: true })).cache, undefined);
  assert.equal(blockOf(values({ block_device_aio: 'native' })).cache, { direct: true, noFlush: false });
  assert.is(blockOf(values({ block_device_logical_sector_size: 4096 })).physicalSectorBytes, 4096);
});

for (const [what, keys, message] of [
  [
    'pmem',
    { block_device_driver: 'virtio-pmem' },
    /block_device_driver is "virtio-pmem": .*CVE-2026-24834.*"virtio-blk"/,
  ],
  ['nvdimm', { block_device_driver: 'nvdimm' }, /CVE-2026-24834/],
  ['mmio', { block_device_driver: 'virtio-mmio' }, /"virtio-mmio": .*PCI.*"virtio-blk"/],
  [
    'native without direct',
    { block_device_aio: 'native', block_device_cache_set: true },
    /block_device_aio .*cache_direct/,
  ],
  ['a sector of 8192 bytes', { block_device_logical_sector_size: 8192 }, /logical_sector_size is 8192; .*512 to 4096/],
  [
    'a sector of 1000 bytes',
    { block_device_physical_sector_size: 1000 },
    /physical_sector_size is 1000; .*power of two/,
  ],
  ['too small a queue', { queue_size: 2 }, /queue_size is 2; .*4 to 1024/],
  ['too large a queue', { queue_size: 2048 }, /queue_size is 2048/],
  ['too many queues', { num_queues: MAX_BLOCK_QUEUES + 1 }, /num_queues is 257; .*0 to 256/],
  ['too many iothreads', { indep_iothreads: MAX_IOTHREADS + 1 }, /indep_iothreads is 51.*50/],
] as const) {
  machine(`disks: ${what} is refused`, () => {
    assert.match(
      refusal(() => blockOf(values(keys))),
      message,
    );
  });
}

machine('memory', () => {
  assert.equal(memoryOf(values({ enable_mem_prealloc: true })), {
    prealloc: true,
    hugePages: undefined,
    reclaim: false,
  });
  assert.equal(memoryOf(values({ enable_hugepages: true, reclaim_guest_freed_memory: true })), {
    prealloc: true,
    hugePages: 'hugetlbfs',
    reclaim: true,
  });
  assert.equal(memoryOf(values({ enable_hugepages: true, hugepage_type: 'thp' })), {
    prealloc: false,
    hugePages: 'thp',
    reclaim: false,
  });
  assert.is(memoryOf(values({ hugepage_type: 'thp' })).hugePages, undefined);
  assert.match(
    refusal(() => memoryOf(values({ enable_mem_prealloc: true, reclaim_guest_freed_memory: true }))),
    /reclaim_guest_freed_memory .*enable_mem_prealloc/,
  );
});

machine('rates and queues of the network', () => {
  assert.equal(
    ratesOf(
      values({
        rx_rate_limiter_max_rate: MIN_RATE,
        tx_rate_limiter_max_rate: 1_000_000,
        network_queues: MAX_NETWORK_QUEUES,
      }),
    ),
    { rxRate: MIN_RATE, txRate: 1_000_000, networkQueues: MAX_NETWORK_QUEUES },
  );
  for (const [qemu, runtime, message] of [
    [{ rx_rate_limiter_max_rate: MIN_RATE - 1 }, {}, /rx_rate_limiter_max_rate is 7999 bit\/s; .*at least 8000/],
    [{ network_queues: MAX_NETWORK_QUEUES + 1 }, {}, /network_queues is 257.*256/],
    [{ tx_rate_limiter_max_rate: MIN_RATE }, { internetworking_model: 'macvtap' }, /tx_rate.*"macvtap".*"tcfilter"/],
    [{ rx_rate_limiter_max_rate: MIN_RATE }, { internetworking_model: 'none' }, /rx_rate.*"none"/],
    [{ network_queues: 2 }, { internetworking_model: 'macvtap' }, /network_queues.*"macvtap"/],
  ] as const) {
    assert.match(
      refusal(() => ratesOf(values(qemu, runtime))),
      message,
    );
  }
});

machine('devices', () => {
  const found = machineDevicesOf(
    values({
      entropy_source: '/dev/urandom',
      disable_vhost_net: true,
      enable_iommu: true,
      enable_iommu_platform: true,
      use_legacy_serial: true,
      guest_memory_dump_path: '/var/crash/kata',
      guest_memory_dump_paging: true,
      image: '/guest.img',
      kernel_verity_params: VERITY,
      cold_plug_vfio: 'root-port',
    }),
  );
  assert.is(found.entropySource, '/dev/urandom');
  assert.is(found.vhostNet, false);
  assert.is(found.iommu && found.iommuPlatform && found.legacySerial, true);
  assert.equal(found.dump, { directory: '/var/crash/kata', paging: true });
  assert.is(found.verity?.rootHash, 'ab01');
  assert.is(found.vfioPort, 'root-port');
  assert.is(machineDevicesOf(values({ hot_plug_vfio: 'bridge-port' })).vfioPort, 'bridge-port');
  assert.is(machineDevicesOf(values({ pcie_root_port: MAX_ROOT_PORTS })).rootPorts, MAX_ROOT_PORTS);
  assert.match(
    refusal(() => machineDevicesOf(values({ pcie_root_port: MAX_ROOT_PORTS + 1 }))),
    /pcie_root_port/,
  );
  assert.match(
    refusal(() => machineDevicesOf(values({ entropy_source: '/etc/passwd' }))),
    /entropy_source.*\/etc\/passwd is no character device; use \/dev\/urandom/,
  );
});

machine('a second monitor is there with enable_debug only, by either name', () => {
  assert.is(machineDevicesOf(values({ extra_monitor_socket: 'hmp' })).monitor, undefined);
  assert.is(machineDevicesOf(values({ extra_monitor_socket: 'hmp', enable_debug: true })).monitor, 'hmp');
  assert.is(machineDevicesOf(values({ dbg_monitor_socket: 'qmp', enable_debug: true })).monitor, 'qmp');
  assert.match(
    refusal(() => machineDevicesOf(values({ extra_monitor_socket: 'gdb' }))),
    /extra_monitor_socket.*hmp, qmp/,
  );
});

machine('firmware', () => {
  const directory = mkdtempSync(join(tmpdir(), 'kata-firmware-'));
  const [code, variables, empty] = ['code.fd', 'vars.fd', 'empty.fd'].map((name) => join(directory, name)) as [
    string,
    string,
    string,
  ];
  writeFileSync(code, 'code');
  writeFileSync(variables, 'variables');
  writeFileSync(empty, '');
  try {
    const firmware = (keys: Record<string, unknown>) => {
      const { firmware: path, pflashes } = machineDevicesOf(values(keys));
      return { path, pflashes };
    };
    assert.equal(firmware({ firmware: code }), { path: code, pflashes: [] });
    const both = { path: undefined, pflashes: [code, variables] };
    assert.equal(firmware({ firmware: code, firmware_volume: variables }), both);
    assert.equal(firmware({ pflashes: [code, variables] }), both);
    for (const [keys, message] of [
      [{ firmware: '/no/such/firmware' }, /hypervisor.qemu.firmware.*no firmware at \/no\/such\/firmware/],
      [{ firmware: empty }, /no firmware at/],
      [{ firmware_volume: variables }, /firmware_volume is set without firmware/],
      [{ pflashes: [code] }, /pflashes has 1 images; .*none, or two/],
      [{ pflashes: [code, variables, code] }, /pflashes has 3 images/],
      [{ pflashes: [code, variables], firmware: code }, /pflashes is set together with firmware/],
      [{ pflashes: ['code.fd', variables] }, /pflashes has "code.fd"; it must be an absolute path/],
    ] as const) {
      assert.match(
        refusal(() => firmware(keys)),
        message,
      );
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
});

machine("QEMU's own filter of system calls", () => {
  for (const good of [
    'on',
    'off',
    'enable=on',
    'on,obsolete=deny,elevateprivileges=children,spawn=allow,resourcecontrol=deny',
  ]) {
    assert.is(seccompOf(values({ seccompsandbox: good })), good);
    assert.is(seccompOf(values({ seccomp_sandbox: good })), good);
  }
  for (const [bad, part] of [
    ['yes', 'yes'],
    ['on,', ''],
    ['on,spawn=children', 'spawn=children'],
    ['on,spawn', 'spawn'],
    ['on,spawn=deny=deny', 'spawn=deny=deny'],
    ['on,__proto__=deny', '__proto__=deny'],
    ['on -monitor stdio', 'on -monitor stdio'],
  ] as const) {
    const message = refusal(() => seccompOf(values({ seccompsandbox: bad })));
    assert.ok(message.includes(`QEMU does not know ${JSON.stringify(part)}`), message);
  }
});

machine('dm-verity of an image', () => {
  assert.equal(parseVerity(VERITY), {
    rootHash: 'ab01',
    salt: 'cd02',
    dataBlocks: 8192,
    dataBlockSize: 4096,
    hashBlockSize: 4096,
  });
  for (const [bad, message] of [
    [VERITY.replace(',salt=cd02', ''), /has no salt/],
    [`${VERITY},salt=cd02`, /"salt" twice/],
    [`${VERITY},algorithm=md5`, /has "algorithm", which is none of/],
    [VERITY.replace('ab01', 'ab0'), /root_hash "ab0"; it must be hexadecimal/],
    [VERITY.replace('ab01', 'ab01" init="/bin/sh'), /root_hash|name=value/],
    [VERITY.replace('8192', '0'), /data_blocks "0"/],
    [VERITY.replace('data_block_size=4096', 'data_block_size=1000'), /data_block_size "1000".*512/],
    [VERITY.replace('hash_block_size=4096', 'hash_block_size='), /not name=value/],
    ['', /not name=value/],
  ] as const) {
    const found = parseVerity(bad);
    assert.type(found, 'string', bad);
    assert.match(found as string, message);
  }
  assert.match(
    refusal(() => machineDevicesOf(values({ kernel_verity_params: VERITY }))),
    /kernel_verity_params is set, but image is not/,
  );
});

machine.run();
