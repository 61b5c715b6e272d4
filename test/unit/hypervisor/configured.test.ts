/** What a configuration adds to QEMU's command line, and that nothing is added without one. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { MAX_ROOT_PORTS, type MachineDevices } from '../../../host/config/machine-devices.ts';
import type { KataError } from '../../../host/error.ts';
import type { VmConfig } from '../../../host/hypervisor/hypervisor.ts';
import { hugePageSize, memoryBackend } from '../../../host/hypervisor/qemu/backing.ts';
import {
  hotplugSlots,
  kernelCommandLine,
  qemuArguments,
  ROOT_PORTS,
} from '../../../host/hypervisor/qemu/command-line.ts';
import { blockNode, diskDevice } from '../../../host/hypervisor/qemu/disk.ts';
import { MAX_LOGGED_BYTES, MAX_LOGGED_LINES, WordsLog } from '../../../host/hypervisor/qemu/log.ts';
import { NO_BLOCK, NO_MORE_DEVICES, vmConfig } from './vm-config.ts';

const NO_DEVICES = { arguments: [], fds: [] };
const NO_MEMORY = { prealloc: false, hugePages: undefined, reclaim: false };
const DISK = { node: 'block-0', path: '/disk.img', blockDevice: false, readOnly: false, index: 5 };

function line(changes: Partial<VmConfig>, accelerator: 'kvm' | 'tcg' = 'tcg'): string[] {
  return qemuArguments(vmConfig(changes), NO_DEVICES, accelerator);
}

function withDevices(devices: Partial<MachineDevices>, changes: Partial<VmConfig> = {}): string[] {
  return line({ ...changes, devices: { ...NO_MORE_DEVICES, ...devices } });
}

function valuesOf(args: readonly string[], option: string): string[] {
  return args.flatMap((argument, index) => (argument === option ? [args[index + 1] ?? ''] : []));
}

function refusal(step: () => unknown): string {
  try {
    step();
  } catch (thrown) {
    assert.is((thrown as KataError).code, 'failed_precondition');
    return (thrown as KataError).message;
  }
  return assert.unreachable('should have failed') as never;
}

const configured = suite('a configured machine');

configured('nothing configured is nothing on the command line', () => {
  const bare = { block: NO_BLOCK, memory: NO_MEMORY, devices: NO_MORE_DEVICES };
  for (const changes of [
    {},
    { guest: 'kata' },
    { initrd: undefined, image: '/i.img' },
    { machineType: 'virt' },
  ] as const) {
    assert.equal(line({ ...changes, ...bare }), line(changes));
    assert.is(kernelCommandLine(vmConfig({ ...changes, ...bare }), 'tcg'), kernelCommandLine(vmConfig(changes), 'tcg'));
  }
  assert.equal(diskDevice(DISK, NO_BLOCK, false), diskDevice(DISK, undefined, false));
});

configured('random numbers of the device that is named', () => {
  const ours = withDevices({ entropySource: '/dev/hwrng' });
  assert.ok(valuesOf(ours, '-object').includes('rng-random,id=rng0,filename=/dev/hwrng'));
  assert.ok(valuesOf(ours, '-device').includes('virtio-rng-pci,rng=rng0,disable-legacy=on'));
  const kata = withDevices({ entropySource: '/dev/hwrng' }, { guest: 'kata' });
  assert.is(kata.filter((argument) => argument.startsWith('virtio-rng')).length, 1);
  assert.ok(valuesOf(kata, '-object').includes('rng-random,id=rng0,filename=/dev/hwrng'));
});

configured('an IOMMU comes before what is behind it, and with its interrupts', () => {
  const args = withDevices({ iommu: true });
  assert.is(valuesOf(args, '-device')[0], 'intel-iommu,intremap=on,device-iotlb=on,caching-mode=on');
  assert.match(valuesOf(args, '-machine')[0] ?? '', /,kernel_irqchip=split$/);
  const params = kernelCommandLine(
    vmConfig({ devices: { ...NO_MORE_DEVICES, iommu: true }, kernelParams: 'last' }),
    'tcg',
  );
  assert.match(params, / intel_iommu=on iommu=pt last$/);
  assert.match(
    refusal(() => withDevices({ iommu: true }, { machineType: 'virt' })),
    /enable_iommu: a virt has no IOMMU/,
  );
  assert.is(diskDevice(DISK, undefined, true).iommu_platform, true);
});

configured('ports for devices that are not passed through are refused', () => {
  assert.match(
    refusal(() => withDevices({ vfioPort: 'root-port' })),
    /cold_plug_vfio or hot_plug_vfio is "root-port".*set both to "no-port"/,
  );
});

for (const [kind, mode] of [
  ['hmp', 'mode=readline'],
  ['qmp', 'mode=control'],
  ['qmp-pretty', 'mode=control,pretty=on'],
] as const) {
  configured(`a second monitor: ${kind}`, () => {
    const config = vmConfig({ devices: { ...NO_MORE_DEVICES, monitor: kind } });
    const args = qemuArguments(config, NO_DEVICES, 'tcg', { monitor: 7 });
    assert.ok(valuesOf(args, '-chardev').includes('socket,id=extra-monitor,fd=7,server=on,wait=off'));
    assert.equal(valuesOf(args, '-mon'), ['chardev=qmp,mode=control', `chardev=extra-monitor,${mode}`]);
  });
}

configured("QEMU tells of a guest's mistakes only where it is asked to", () => {
  assert.equal(valuesOf(line({ debug: true }), '-d'), ['guest_errors']);
  assert.not(line({}).includes('-d'));
});

configured('firmware: one image, or one for everybody and variables of its own', () => {
  assert.equal(valuesOf(withDevices({ firmware: '/fw.bin' }), '-bios'), ['/fw.bin']);
  const args = withDevices({ pflashes: ['/code.fd', '/vars.fd'] }, { directory: '/run/sb' });
  assert.match(valuesOf(args, '-machine')[0] ?? '', /,pflash0=pflash0,pflash1=pflash1$/);
  assert.equal(
    valuesOf(args, '-blockdev').map((node) => JSON.parse(node)),
    [
      {
        driver: 'raw',
        'node-name': 'pflash0',
        'read-only': true,
        file: { driver: 'file', filename: '/code.fd', 'read-only': true },
      },
      {
        driver: 'raw',
        'node-name': 'pflash1',
        'read-only': false,
        file: { driver: 'file', filename: '/run/sb/firmware-variables.fd', 'read-only': false },
      },
    ],
  );
});

configured('a machine that is to be dumped stands still at its end', () => {
  const dump = { directory: '/var/crash', paging: false };
  assert.equal(valuesOf(withDevices({ dump }), '-action'), ['panic=pause,reboot=shutdown,shutdown=pause']);
  assert.not(valuesOf(withDevices({ dump }), '-device').includes('pvpanic'));
  assert.ok(valuesOf(withDevices({ dump }, { guest: 'kata' }), '-device').includes('pvpanic'));
  assert.ok(valuesOf(withDevices({ dump }, { guest: 'kata', machineType: 'virt' }), '-device').includes('pvpanic-pci'));
  assert.not(line({}).includes('-action'));
});

configured("a Kata guest's console is a UART where that is asked for", () => {
  const legacy = { guest: 'kata', devices: { ...NO_MORE_DEVICES, legacySerial: true } } as const;
  assert.not.match(line(legacy).join(' '), /virtconsole|mux=on/);
  assert.match(kernelCommandLine(vmConfig(legacy), 'kvm'), /^console=ttyS0 quiet/);
  assert.ok(valuesOf(line(legacy), '-device').some((device) => device.startsWith('virtio-rng-pci')));
});

configured('an image is checked block by block where its hashes are given', () => {
  const verity = { rootHash: 'ab01', salt: 'cd02', dataBlocks: 8192, dataBlockSize: 4096, hashBlockSize: 1024 };
  const config = vmConfig({ initrd: undefined, image: '/i.img', devices: { ...NO_MORE_DEVICES, verity } });
  const params = kernelCommandLine(config, 'kvm');
  assert.ok(
    params.includes(
      'dm-mod.create="dm-verity,,,ro,0 65536 verity 1 /dev/vda1 /dev/vda2 4096 1024 8192 0 sha256 ab01 cd02" root=/dev/dm-0 rootflags=',
    ),
    params,
  );
  assert.not.match(params, /root=\/dev\/vda1/);
});

configured('more root ports, where devices are plugged into those', () => {
  const ports = (machineType: string, rootPorts: number): number =>
    valuesOf(withDevices({ rootPorts }, { machineType }), '-device').filter((each) => each.startsWith('pcie-root-port'))
      .length;
  assert.is(ports('virt', 12), 12);
  assert.is(hotplugSlots('virt', 12).length, 12);
  assert.equal(hotplugSlots('virt', MAX_ROOT_PORTS).at(-1), { bus: 'rp15', addr: '0x0', path: '1f/00' });
  assert.is(ports('virt', 2), ROOT_PORTS);
  assert.is(ports('q35', 12), 0);
});

configured('free pages are told by a balloon', () => {
  const args = line({ memory: { ...NO_MEMORY, reclaim: true } });
  assert.ok(
    valuesOf(args, '-device').includes('virtio-balloon-pci,id=balloon,free-page-reporting=on,disable-legacy=on'),
  );
});

configured("KVM's interrupt controller is left out where there is no KVM", () => {
  const changes = { machineType: 'virt', machineAccelerators: 'usb=off,gic-version=host' };
  assert.is(valuesOf(line(changes), '-machine')[0], 'virt,gic-version=3,memory-backend=mem,usb=off');
  assert.match(valuesOf(line(changes, 'kvm'), '-machine')[0] ?? '', /,usb=off,gic-version=host$/);
});

configured('iothreads, and disks dealt to them in turn', () => {
  const block = { ...NO_BLOCK, ioThreads: 3 };
  assert.equal(
    valuesOf(line({ block }), '-object').filter((object) => object.startsWith('iothread')),
    ['iothread,id=iothread-0', 'iothread,id=iothread-1', 'iothread,id=iothread-2'],
  );
  assert.is(diskDevice(DISK, block, false).iothread, 'iothread-2');
});

configured('disks as QMP has them', () => {
  const settings = { ...NO_BLOCK, logicalSectorBytes: 512, physicalSectorBytes: 4096, queueSize: 128, queues: 2 };
  const device = diskDevice({ ...DISK, readOnly: true }, settings, false);
  assert.equal(device, {
    driver: 'virtio-blk-pci',
    drive: 'block-0',
    'share-rw': true,
    'disable-legacy': 'on',
    logical_block_size: 512,
    physical_block_size: 4096,
    'queue-size': 128,
    'num-queues': 2,
  });
  assert.equal(blockNode(DISK, 'native', { direct: true, noFlush: false }), {
    driver: 'raw',
    'node-name': 'block-0',
    'read-only': false,
    cache: { direct: true, 'no-flush': false },
    file: { driver: 'file', filename: '/disk.img', 'read-only': false, aio: 'native' },
  });
  assert.equal(blockNode({ ...DISK, blockDevice: true }, undefined, undefined), {
    driver: 'raw',
    'node-name': 'block-0',
    'read-only': false,
    file: { driver: 'host_device', filename: '/disk.img', 'read-only': false },
  });
});

const pages = suite<{ directory: string }>('huge pages');

pages.before.each((context) => {
  context.directory = mkdtempSync(join(tmpdir(), 'kata-huge-'));
});
pages.after.each(({ directory }) => rmSync(directory, { recursive: true }));

function pool(directory: string, kib: number, counts: Record<string, number>): void {
  const path = join(directory, `hugepages-${kib}kB`);
  mkdirSync(path);
  for (const [name, count] of Object.entries(counts)) writeFileSync(join(path, name), `${count}\n`);
}

pages('memory is of usual pages, all or none of it taken at once', () => {
  assert.is(memoryBackend(256, undefined), 'memory-backend-memfd,id=mem,size=256M,share=on');
  assert.is(hugePageSize(256, NO_MEMORY), undefined);
  assert.match(memoryBackend(256, { ...NO_MEMORY, prealloc: true }), /,share=on,prealloc=on$/);
});

pages('those of a size that divides the memory, and of which enough are free', ({ directory }) => {
  const huge = { prealloc: true, hugePages: 'hugetlbfs', reclaim: false } as const;
  const files = { pools: directory, shared: '/none' };
  pool(directory, 1048576, { nr_hugepages: 2, free_hugepages: 2 });
  assert.is(hugePageSize(1024, huge, files), 1048576);
  assert.match(
    refusal(() => hugePageSize(256, huge, files)),
    /needs 256 MiB of huge pages, and 2 of 2 pages of 1024 MiB are free/,
  );
  pool(directory, 2048, { nr_hugepages: 128, free_hugepages: 128, resv_hugepages: 0 });
  assert.is(hugePageSize(256, huge, files), 2048);
  assert.is(hugePageSize(1024, huge, files), 1048576);
  assert.is(
    memoryBackend(256, huge, { hugePageKib: 2048 }),
    'memory-backend-memfd,id=mem,size=256M,share=on,hugetlb=on,hugetlbsize=2048K,prealloc=on',
  );
});

pages('pages that others are promised are not free, those that may be made are', ({ directory }) => {
  const huge = { prealloc: true, hugePages: 'hugetlbfs', reclaim: false } as const;
  const files = { pools: directory, shared: '/none' };
  pool(directory, 2048, { nr_hugepages: 128, free_hugepages: 128, resv_hugepages: 1 });
  const message = refusal(() => hugePageSize(256, huge, files));
  assert.match(
    message,
    /enable_hugepages: .*127 of 128 pages of 2 MiB are free; reserve 128 more \(sysctl vm.nr_hugepages\)/,
  );
  writeFileSync(join(directory, 'hugepages-2048kB', 'nr_overcommit_hugepages'), '1');
  assert.is(hugePageSize(256, huge, files), 2048);
  assert.match(
    refusal(() => hugePageSize(256, huge, { pools: join(directory, 'none'), shared: '/none' })),
    /this kernel has none/,
  );
});

pages('transparent ones need a kernel that gives them to shared memory', ({ directory }) => {
  const thp = { prealloc: false, hugePages: 'thp', reclaim: false } as const;
  const shared = join(directory, 'shmem_enabled');
  const files = { pools: directory, shared };
  for (const [text, good] of [
    ['always within_size [advise] never deny force', true],
    ['[always] within_size advise never deny force', true],
    ['always within_size advise [never] deny force', false],
    ['always within_size advise never [deny] force', false],
    ['', false],
  ] as const) {
    writeFileSync(shared, `${text}\n`);
    // In a file of its own, mapped where such a page fits.
    assert.is(
      memoryBackend(256, thp, { descriptor: 6 }),
      'memory-backend-file,id=mem,size=256M,mem-path=/proc/self/fd/6,share=on,align=2M',
    );
    if (good) assert.is(hugePageSize(256, thp, files), undefined);
    else
      assert.match(
        refusal(() => hugePageSize(256, thp, files)),
        /hugepage_type is "thp".*write "advise" into it/,
      );
  }
});

const words = suite("QEMU's own words");

words('are logged line by line, escaped, up to a limit', () => {
  const told: string[] = [];
  const log = new WordsLog({
    warn: (message, fields) => told.push(`${message}: ${fields?.text ?? fields?.lines}`),
    error: () => {},
  });
  log.push(Buffer.from('one\ntw'));
  log.push(Buffer.from('o \x1b[2J\n\n'));
  assert.equal(told.splice(0), ['QEMU says: one', 'QEMU says: two \\x1b[2J']);
  log.push(Buffer.from(`${'x'.repeat(2 * MAX_LOGGED_BYTES)}\n`));
  assert.equal(told.splice(0), [`QEMU says: ${'x'.repeat(MAX_LOGGED_BYTES)}`]);
  log.push(Buffer.from('again\n'.repeat(2 * MAX_LOGGED_LINES)));
  assert.is(told.length, MAX_LOGGED_LINES - 3 + 1);
  assert.is(told.at(-1), `QEMU says more than is logged: ${MAX_LOGGED_LINES}`);
  log.push(Buffer.from('more\n'));
  assert.is(told.length, MAX_LOGGED_LINES - 3 + 1);
});

configured.run();
pages.run();
words.run();
