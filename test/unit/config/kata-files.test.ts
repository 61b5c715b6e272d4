/** Files with what Kata 4.1 ships for QEMU are taken as they are. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { loadConfiguration } from '../../../host/config/configuration.ts';
import { inspectConfiguration } from '../../../host/config/inspect.ts';
import type { Machine } from '../../../host/config/machine.ts';
import { sizeOfPod } from '../../../host/resources/sizing.ts';
import { type Cpu, kataFile, type Runtime } from './fixture.ts';

const directory = mkdtempSync(join(tmpdir(), 'kata-files-'));
const file = join(directory, 'configuration.toml');
const kernels: Readonly<Record<Cpu, Buffer>> = { x64: Buffer.alloc(0x210), arm64: Buffer.alloc(64) };
kernels.x64.write('HdrS', 0x202);
kernels.arm64.write('ARM\x64', 56, 'latin1');
const image = Buffer.alloc(512);
image.writeUInt16BE(0x55aa, 510);
writeFileSync(join(directory, 'image'), image);
writeFileSync(join(directory, 'firmware'), 'firmware');
for (const [cpu, bytes] of Object.entries(kernels)) writeFileSync(join(directory, cpu), bytes);

const test = suite("Kata's files for QEMU");
test.after(() => rmSync(directory, { recursive: true }));

const FILES = (['go', 'rs'] as const).flatMap((runtime) =>
  (['x64', 'arm64'] as const).map((cpu): [Runtime, Cpu] => [runtime, cpu]),
);

function machine(cpu: Cpu): Machine {
  return { arch: cpu, guest: join(directory, 'none'), cpus: 4, memoryMib: 8192 };
}

/** Nothing but the places of files is this machine's. */
function places(cpu: Cpu): Record<string, string> {
  const firmware = cpu === 'x64' ? '""' : JSON.stringify(join(directory, 'firmware'));
  return {
    'hypervisor.qemu.path': JSON.stringify(process.execPath),
    'hypervisor.qemu.kernel': JSON.stringify(join(directory, cpu)),
    'hypervisor.qemu.image': JSON.stringify(join(directory, 'image')),
    'hypervisor.qemu.firmware': firmware,
    ...(cpu === 'x64' ? {} : { 'hypervisor.qemu.firmware_volume': firmware }),
  };
}

for (const [runtime, cpu] of FILES) {
  test(`${runtime}, ${cpu}: no error, nothing unknown, nothing missed`, async () => {
    writeFileSync(file, kataFile(runtime, cpu, places(cpu)));
    const found = await inspectConfiguration({ optionsPath: file, environmentPath: '' }, machine(cpu));
    assert.equal(
      found.errors.map(({ message }) => message),
      [],
    );
    assert.equal(found.unknown, []);
    assert.equal(
      found.ignored.filter(({ harmless }) => !harmless),
      [],
    );
    assert.ok(found.values.length > 90, `${found.values.length} keys`);
  });

  test(`${runtime}, ${cpu}: makes a virtual machine`, async () => {
    writeFileSync(file, kataFile(runtime, cpu, places(cpu)));
    const configuration = await loadConfiguration(file, machine(cpu));
    assert.equal([configuration.memoryMib, configuration.vcpus, configuration.maxVcpus], [2048, 1, 4]);
    assert.is(configuration.machineType, cpu === 'x64' ? 'q35' : 'virt');
    assert.equal([configuration.sharedFs, configuration.networkModel], ['virtio-fs', 'tcfilter']);
    assert.is(configuration.blockDevices, runtime === 'rs');
    assert.is(configuration.ownGuest, false);
    const size = sizeOfPod({ cpuQuota: 0, cpuPeriod: 0, cpuShares: 0, memoryBytes: 0 }, configuration);
    assert.ok(size.memoryMib >= 2048, String(size.memoryMib));
  });
}

test('a file for confidential guests is read and checked, and makes no sandbox', async () => {
  for (const key of ['confidential_guest', 'sev_snp_guest']) {
    const text = kataFile('go', 'x64', places('x64')).replace('[hypervisor.qemu]', `[hypervisor.qemu]\n${key} = true`);
    writeFileSync(file, text);
    const found = await inspectConfiguration({ optionsPath: file, environmentPath: '' }, machine('x64'));
    assert.ok(found.configuration, 'it is read');
    assert.equal(
      found.errors.map(({ code }) => code),
      ['unimplemented'],
    );
    try {
      await loadConfiguration(file, machine('x64'));
      assert.unreachable('a sandbox could be made');
    } catch (thrown) {
      assert.match((thrown as Error).message, new RegExp(`:2: hypervisor\\.qemu\\.${key} is true: .*no sandbox`));
    }
  }
});

test('what this machine lacks is told apart from what is wrong with the file', async () => {
  writeFileSync(file, kataFile('go', 'x64', { ...places('x64'), 'hypervisor.qemu.kernel': '"/no/kernel"' }));
  const found = await inspectConfiguration({ optionsPath: file, environmentPath: '' }, machine('x64'));
  assert.equal(
    found.errors.map(({ code }) => code),
    ['failed_precondition'],
  );
  assert.match(
    found.errors[0]?.message ?? '',
    /kernel: the guest's kernel \/no\/kernel does not exist; install it, correct the path/,
  );
  assert.ok(found.configuration);
});

test('a drop-in changes what it names and nothing else', async () => {
  writeFileSync(file, kataFile('go', 'x64', places('x64')));
  mkdirSync(join(directory, 'config.d'));
  writeFileSync(
    join(directory, 'config.d', '50-edge.toml'),
    '[hypervisor.qemu]\ndefault_memory = 128\nvirtio_fs_extra_args = ["--thread-pool-size=4"]\n[runtime]\nsandbox_cgroup_only = true\n',
  );
  const configuration = await loadConfiguration(file, machine('x64'));
  rmSync(join(directory, 'config.d'), { recursive: true });
  assert.equal([configuration.memoryMib, configuration.sandboxCgroupOnly], [128, true]);
  assert.equal(configuration.virtioFsExtraArgs, ['--thread-pool-size=4'], 'lists are replaced');
  assert.is(configuration.kernelParams, 'cgroup_no_v1=all systemd.unified_cgroup_hierarchy=1');
});

test.run();
