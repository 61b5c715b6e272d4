import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type Configuration,
  loadConfiguration,
  MAX_VCPUS,
  type Machine,
  MIN_MEMORY_MIB,
} from '../../../host/config/configuration.ts';
import { findFile, MAX_DROP_INS, MAX_FILE_BYTES } from '../../../host/config/files.ts';
import { configPathOf } from '../../../host/config/options.ts';
import type { KataError } from '../../../host/error.ts';
import { encode } from '../../../host/proto/codec.ts';
import { Options } from '../../../host/proto/messages/runtimeoptions.ts';

interface Context {
  directory: string;
  file: string;
  machine: Machine;
}

const test = suite<Context>('configuration');

test.before.each((context) => {
  context.directory = mkdtempSync(join(tmpdir(), 'kata-config-'));
  context.file = join(context.directory, 'configuration.toml');
  const guest = join(context.directory, 'guest');
  mkdirSync(guest);
  for (const name of ['vmlinux', 'Image', 'initramfs.cpio.gz', 'other.img']) writeFileSync(join(guest, name), 'x');
  context.machine = { arch: 'x64', guest, cpus: 4, memoryMib: 8192 };
});
test.after.each(({ directory }) => rmSync(directory, { recursive: true }));

function load({ file, machine }: Context, text: string): Promise<Configuration> {
  writeFileSync(file, text);
  return loadConfiguration(file, machine);
}

async function refusal(loading: Promise<unknown>): Promise<KataError> {
  try {
    await loading;
  } catch (thrown) {
    return thrown as KataError;
  }
  throw new Error('it was accepted');
}

test('without a file everything has a default', async ({ machine }) => {
  const x64 = await loadConfiguration(undefined, machine);
  assert.is(x64.machineType, 'q35');
  assert.is(x64.kernel, join(machine.guest, 'vmlinux'));
  assert.is(x64.initrd, join(machine.guest, 'initramfs.cpio.gz'));
  assert.equal([x64.vcpus, x64.maxVcpus, x64.memoryMib, x64.ownGuest], [1, 4, 256, true]);
  const arm64 = await loadConfiguration(undefined, { ...machine, arch: 'arm64' });
  assert.equal([arm64.machineType, arm64.qemuPath], ['virt', '/usr/bin/qemu-system-aarch64']);
  assert.is(arm64.kernel, join(machine.guest, 'Image'));
});

test("a file of Kata's: keys with effect are taken, the others reported", async (context) => {
  const image = join(context.machine.guest, 'other.img');
  writeFileSync(image, Buffer.concat([Buffer.alloc(510), Buffer.from([0x55, 0xaa])]));
  const configuration = await load(
    context,
    `[hypervisor.qemu]
path = "${process.execPath}"
image = "${image}"
default_vcpus = 1.5
default_memory = 2048
kernel_params = "quiet"
msize_9p = 8192
[agent.kata]
dial_timeout = 7
kernel_modules = ["a b=1"]
[runtime]
create_container_timeout = 9
disable_guest_seccomp = false
use_passfd_io = true
[hypervisor.qemu.nested]
x = 1
`,
  );
  assert.equal(
    [configuration.qemuPath, configuration.image, configuration.initrd, configuration.ownGuest],
    [process.execPath, image, undefined, false],
  );
  assert.equal([configuration.vcpus, configuration.memoryMib, configuration.kernelParams], [1.5, 2048, 'quiet']);
  assert.equal([configuration.bootTimeoutMs, configuration.createContainerTimeoutMs], [7000, 9000]);
  assert.is(configuration.disableGuestSeccomp, false);
  assert.equal(configuration.kernelModules, ['a b=1']);
  const { file } = context;
  assert.equal(
    configuration.ignored.map(({ key, line, harmless }) => [key, line, harmless]),
    [
      ['msize_9p', 7, true],
      ['use_passfd_io', 14, false],
    ],
  );
  assert.equal(configuration.unknown, [{ table: 'hypervisor.qemu.nested', key: 'x', file, line: 16, suggestion: '' }]);
});

test('numbers out of range are brought into it', async (context) => {
  const vcpus = async (value: string) => (await load(context, `[hypervisor.qemu]\ndefault_vcpus = ${value}`)).vcpus;
  assert.equal([await vcpus('0'), await vcpus('-1'), await vcpus('9'), await vcpus('3')], [1, 4, 4, 3]);
  const many = { ...context, machine: { ...context.machine, cpus: MAX_VCPUS + 1 } };
  assert.is((await load(many, '[hypervisor.qemu]\ndefault_maxvcpus = 0')).maxVcpus, MAX_VCPUS);
  assert.is((await load(context, '[agent.kata]\ndial_timeout = 0')).bootTimeoutMs, 45_000);
});

for (const [what, text, expected] of [
  [
    'a wrong type',
    '[hypervisor.qemu]\ndefault_memory = "lots"',
    /hypervisor\.qemu\.default_memory is "lots"; it must be a whole number/,
  ],
  ['a negative size', '[hypervisor.qemu]\ndefault_memory = -1', /whole number, 0 or more/],
  ['too little memory', `[hypervisor.qemu]\ndefault_memory = ${MIN_MEMORY_MIB - 1}`, /63 MiB/],
  ['a relative path', '[hypervisor.qemu]\nkernel = "vmlinux"', /kernel is "vmlinux"; it must be an absolute path/],
  ['a list of mixed things', '[agent.kata]\nkernel_modules = ["a", 1]', /list of strings/],
  [
    'image and initrd',
    '[hypervisor.qemu]\nimage = "/a"\ninitrd = "/b"',
    /:2: hypervisor\.qemu\.image is "\/a", and .*:3: hypervisor\.qemu\.initrd is "\/b"/,
  ],
  ['another hypervisor', '[hypervisor.clh]\npath = "/x"', /hypervisor\.clh/],
  ['no TOML', '[hypervisor.qemu\n', /configuration\.toml:1: no valid TOML: .*a table stands between brackets/],
] as const) {
  test(`refuses ${what}, naming file and key`, async (context) => {
    const thrown = await refusal(load(context, text));
    assert.is(thrown.code, 'invalid_argument');
    assert.match(thrown.message, expected);
    assert.ok(thrown.message.includes(context.file));
  });
}

test('an asset that does not exist, or is empty, is named', async (context) => {
  const missing = await refusal(load(context, '[hypervisor.qemu]\nkernel = "/no/such/kernel"'));
  assert.is(missing.code, 'failed_precondition');
  assert.match(missing.message, /:2: hypervisor\.qemu\.kernel: the guest's kernel \/no\/such\/kernel does not exist/);
  writeFileSync(join(context.machine.guest, 'initramfs.cpio.gz'), '');
  assert.match((await refusal(load(context, ''))).message, /initramfs\.cpio\.gz/);
});

test('drop-ins replace values, in lexical order', async (context) => {
  mkdirSync(join(context.directory, 'config.d'));
  writeFileSync(join(context.directory, 'config.d', '20-b'), '[hypervisor.qemu]\ndefault_memory = 512');
  writeFileSync(
    join(context.directory, 'config.d', '10-a.toml'),
    '[hypervisor.qemu]\ndefault_memory = 300\nkernel_params = "a"',
  );
  const { memoryMib, kernelParams } = await load(context, '[hypervisor.qemu]\ndefault_memory = 128');
  assert.equal([memoryMib, kernelParams], [512, 'a']);
  mkdirSync(join(context.directory, 'config.d', '30-directory'));
  assert.match((await refusal(load(context, ''))).message, /30-directory/);
});

test('limits of files', async (context) => {
  const thrown = await refusal(load(context, `#${'x'.repeat(MAX_FILE_BYTES)}`));
  assert.match(thrown.message, /at most/);
  mkdirSync(join(context.directory, 'config.d'));
  for (let index = 0; index <= MAX_DROP_INS; index++)
    writeFileSync(join(context.directory, 'config.d', String(index)), '');
  assert.match((await refusal(load(context, ''))).message, /at most 256/);
});

test('which file: options, then KATA_CONF_FILE, then the search path', ({ directory, file }) => {
  const searchPath = [join(directory, 'absent.toml'), join(directory, 'link.toml')];
  const lookup = { optionsPath: '', environmentPath: '', searchPath };
  assert.is(findFile(lookup), undefined);
  writeFileSync(file, '');
  symlinkSync(file, join(directory, 'link.toml'));
  assert.is(findFile(lookup), file, 'links are resolved');
  const other = join(directory, 'other.toml');
  writeFileSync(other, '');
  assert.is(findFile({ ...lookup, optionsPath: other, environmentPath: file }), other);
  assert.is(findFile({ ...lookup, environmentPath: file }), file);
  assert.throws(() => findFile({ ...lookup, environmentPath: other }), /KATA_CONF_FILE.*is not one of/);
  assert.throws(() => findFile({ ...lookup, optionsPath: '/no/such' }), /\/no\/such/);
  assert.throws(() => findFile({ ...lookup, optionsPath: 'relative' }), /absolute/);
});

test('runtime options', () => {
  const ours = { type_url: 'runtimeoptions.v1.Options', value: encode(Options, { config_path: '/etc/k.toml' }) };
  assert.is(configPathOf(undefined), '');
  assert.is(configPathOf({ type_url: '', value: new Uint8Array(0) }), '');
  assert.is(configPathOf(ours), '/etc/k.toml');
  assert.is(configPathOf({ ...ours, type_url: 'type.googleapis.com/cri.runtimeoptions.v1.Options' }), '/etc/k.toml');
  assert.is(configPathOf({ type_url: 'containerd.runc.v1.Options', value: new Uint8Array([255]) }), '');
  assert.throws(() => configPathOf({ type_url: 'made.up.Options', value: new Uint8Array(0) }), /"made\.up\.Options"/);
  assert.throws(() => configPathOf({ ...ours, value: new Uint8Array([255]) }), /no runtimeoptions/);
});

test.run();
