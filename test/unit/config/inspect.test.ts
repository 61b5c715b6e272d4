/** What an operator is told of a configuration. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { loadConfiguration } from '../../../host/config/configuration.ts';
import { MAX_SUGGESTIONS, MAX_TOLD, tellKey, tellKeys } from '../../../host/config/effects.ts';
import { type Inspection, inspectConfiguration } from '../../../host/config/inspect.ts';
import { distanceBetween, MAX_WORD, nearest } from '../../../host/config/nearest.ts';
import { SCHEMA } from '../../../host/config/schema/schema.ts';

const RUNS = Number(process.env.KATA_FUZZ_RUNS ?? 300);
const directory = mkdtempSync(join(tmpdir(), 'kata-inspect-'));
const file = join(directory, 'configuration.toml');
for (const name of ['vmlinux', 'initramfs.cpio.gz']) writeFileSync(join(directory, name), 'x');
const machine = { arch: 'x64', guest: directory, cpus: 4, memoryMib: 8192 };

const test = suite('inspecting a configuration');
test.after(() => rmSync(directory, { recursive: true }));

function inspect(text: string): Promise<Inspection> {
  writeFileSync(file, text);
  return inspectConfiguration({ optionsPath: file, environmentPath: '' }, machine);
}

async function messages(text: string): Promise<string[]> {
  return (await inspect(text)).errors.map(({ code, message }) => `${code} ${message.replaceAll(file, 'FILE')}`);
}

test('where each value comes from, drop-ins applied', async () => {
  mkdirSync(join(directory, 'config.d'));
  const dropIn = join(directory, 'config.d', '10-more');
  writeFileSync(dropIn, '[runtime]\n\nenable_debug = true\n');
  const found = await inspect('[runtime]\nenable_debug = false\nname = "virt_container"\n');
  rmSync(join(directory, 'config.d'), { recursive: true });
  assert.equal([found.file, found.dropIns], [file, [dropIn]]);
  assert.equal(found.values, [
    { table: 'runtime', key: 'enable_debug', value: true, file: dropIn, line: 3 },
    { table: 'runtime', key: 'name', value: 'virt_container', file, line: 3 },
  ]);
  assert.equal(found.errors, []);
  assert.is(found.configuration?.debug, true);
});

test('no file at all', async () => {
  const found = await inspectConfiguration({ optionsPath: '', environmentPath: '', searchPath: [] }, machine);
  assert.equal([found.file, found.values, found.errors], [undefined, [], []]);
  assert.is(found.configuration?.memoryMib, 256);
});

test('a file that is not there, or of no use, is an error among others', async () => {
  const absent = await inspectConfiguration({ optionsPath: join(directory, 'absent'), environmentPath: '' }, machine);
  assert.equal([absent.errors[0]?.code, absent.configuration], ['not_found', undefined]);
  mkdirSync(join(directory, 'config.d'));
  writeFileSync(join(directory, 'config.d', 'a'), 'no toml');
  writeFileSync(join(directory, 'config.d', 'b'), Buffer.from([0]));
  writeFileSync(join(directory, 'config.d', 'c'), '[runtime]\nenable_debug = 1\n');
  const all = await inspect('[hypervisor.qemu]\ndefault_memory = "2"\n');
  rmSync(join(directory, 'config.d'), { recursive: true });
  assert.is(all.errors.length, 4, all.errors.map(({ message }) => message).join('\n'));
  assert.is(all.configuration, undefined);
});

test('every mistake is told, not the first alone; a start tells how many there are', async () => {
  const text = '[hypervisor.qemu]\ndefault_memory = "2"\npath = 5\n[runtime]\nenable_debug = 1\n';
  assert.is((await messages(text)).length, 3);
  try {
    await loadConfiguration(file, machine);
    assert.unreachable('it was accepted');
  } catch (thrown) {
    assert.match((thrown as Error).message, /:2: .*default_memory.*\(and 2 more mistakes; `kata-runtime env` lists/);
  }
});

test('keys without effect: why, and whether anything is missed', async () => {
  const { ignored } = await inspect(
    '[hypervisor.qemu]\nmsize_9p = 8192\nvirtio_fs_cache_size = 512\n[hypervisor.clh]\npath = "/a"\nanything = 1\n[runtime]\nhypervisor_name = "qemu"\n',
  );
  assert.equal(
    ignored.map(({ table, key, line, harmless }) => [table, key, line, harmless]),
    [
      ['hypervisor.qemu', 'msize_9p', 2, true],
      ['hypervisor.qemu', 'virtio_fs_cache_size', 3, false],
      ['hypervisor.clh', 'path', 5, true],
      ['hypervisor.clh', 'anything', 6, true],
    ],
  );
  assert.match(ignored.map(tellKey)[1] ?? '', /configuration\.toml:3: hypervisor\.qemu\.virtio_fs_cache_size \(.*DAX/);
  assert.match(ignored[2]?.why ?? '', /the hypervisor in use is \[hypervisor\.qemu\]/);
});

test('unknown keys are no error, and come with what was probably meant', async () => {
  const cases: readonly [string, string][] = [
    ['[hypervisor.qemu]\ndefault_memroy = 1', 'did you mean default_memory?'],
    ['[hypervisor.qemu]\nDefault_Memory = 1', 'did you mean default_memory?'],
    ['[hypervisor.qemu]\ndefault_max_vcpus = 1', 'did you mean default_maxvcpus?'],
    ['[hypervisor.qemu]\nsandbox_cgroup_only = true', 'it belongs to [runtime]'],
    ['default_memory = 1', 'it belongs to [hypervisor.qemu]'],
    ['[runtimes]\nenable_debug = true', 'did you mean [runtime]?'],
    ['["hypervisor.qemu"]\npath = "/a"', 'write [hypervisor.qemu], without quotes'],
    ['[agent]\ndial_timeout = 5', 'it belongs to [agent.kata]'],
    ['[proxy.kata]\npath = "/a"', 'Kata has no table [proxy.kata] any more; remove it'],
    ['[runtime]\nkernel_parms = ""', 'did you mean kernel_params of [hypervisor.qemu]?'],
    ['[runtime]\nsomething_entirely_different = 1', ''],
    ['[runtime]\n__proto__ = 1', ''],
    ['[constructor]\nprototype = 1', ''],
    [`[runtime]\n${'x'.repeat(MAX_WORD + 1)} = 1`, ''],
  ];
  for (const [text, suggestion] of cases) {
    const { unknown, errors } = await inspect(`${text}\n`);
    assert.equal(
      unknown.map((key) => key.suggestion),
      [suggestion],
      text,
    );
    assert.equal(errors, [], text);
  }
  const { unknown } = await inspect('[[runtime.shared_mounts]]\nname = "a"\nsrc_pth = "/"\n');
  assert.equal(
    unknown.map(({ table, key, line, suggestion }) => [table, key, line, suggestion]),
    [['runtime.shared_mounts', 'src_pth', 1, 'did you mean src_path?']],
  );
});

test('keys that contradict each other name both lines', async () => {
  const cases: readonly [string, RegExp][] = [
    [
      'image = "/a"\ninitrd = "/b"',
      /FILE:2: hypervisor\.qemu\.image is "\/a", and FILE:3: .*initrd is "\/b"; a guest has/,
    ],
    ['seccompsandbox = "on"\nseccomp_sandbox = "off"', /FILE:2: .*FILE:3: .*they are one setting/],
    ['hot_plug_vfio = "root-port"\ncold_plug_vfio = "root-port"', /set one of them to "no-port"/],
    ['default_vcpus = 3\ndefault_maxvcpus = 2', /default_vcpus is 3, and .*default_maxvcpus is 2; raise/],
    ['default_memory = 300\ndefault_maxmemory = 200', /default_memory is 300, and .*default_maxmemory is 200; raise/],
    ['block_device_logical_sector_size = 4096\nblock_device_physical_sector_size = 512', /a physical sector/],
    ['[runtime]\ncreate_container_timeout = 5\n[agent.kata]\ncreate_container_timeout = 6', /they are one setting/],
    ['[agent.kata]\ncdh_api_timeout = 5\ncdh_api_timeout_ms = 6000', /cdh_api_timeout is 5, .*they are one setting/],
    ['[agent.kata]\ndial_timeout_ms = 50\nreconnect_timeout_ms = 20', /one attempt must not take longer/],
    ['[runtime]\nexperimental = ["force_guest_pull"]\nexperimental_force_guest_pull = false', /they are one setting/],
  ];
  for (const [text, expected] of cases) {
    const found = await messages(`[hypervisor.qemu]\n${text}\n`);
    assert.is(found.length, 1, `${text}: ${found.join('\n')}`);
    assert.match(found[0] ?? '', expected);
    assert.match(found[0] ?? '', /^invalid_argument /);
  }
  const agree = [
    'seccompsandbox = "on"\nseccomp_sandbox = "on"',
    'seccompsandbox = "on"\nseccomp_sandbox = ""',
    'hot_plug_vfio = "no-port"\ncold_plug_vfio = "no-port"',
    'default_vcpus = 2\ndefault_maxvcpus = 0',
    '[agent.kata]\ncdh_api_timeout = 5\ncdh_api_timeout_ms = 5000',
  ];
  for (const text of agree) assert.equal(await messages(`[hypervisor.qemu]\n${text}\n`), [], text);
});

test('a file for another hypervisor', async () => {
  assert.match(
    (await messages('[hypervisor.clh]\npath = "/a"\n'))[0] ?? '',
    /FILE: \[hypervisor\.clh\] is not supported; .*Kata's file for QEMU/,
  );
  assert.match((await messages('[hypervisor.quemu]\npath = "/a"\n'))[0] ?? '', /did you mean \[hypervisor\.qemu\]\?/);
  assert.match(
    (await messages('[runtime]\nhypervisor_name = "clh"\n'))[0] ?? '',
    /FILE:2: runtime\.hypervisor_name is "clh"; it must be/,
  );
  assert.match(
    (await messages('[runtime]\nhypervisor_name = 5\n'))[0] ?? '',
    /FILE:2: runtime\.hypervisor_name is 5; it must be a string/,
  );
});

test('whole numbers beyond 2^53 are kept as they are', async () => {
  const { values, errors } = await inspect('[agent.kata.mem_agent]\ncompact_force_times = 9223372036854775807\n');
  assert.equal(errors, []);
  assert.is(values[0]?.value, '9223372036854775807');
});

test('an initrd larger than the memory', async () => {
  const initrd = join(directory, 'large');
  const content = Buffer.alloc(65 * 2 ** 20);
  content.write('070701');
  writeFileSync(initrd, content);
  const found = await messages(`[hypervisor.qemu]\ninitrd = "${initrd}"\ndefault_memory = 64\n`);
  assert.match(
    found[0] ?? '',
    /FILE:3: .*default_memory is 64 MiB, and the guest's initrd .*large alone has 65 MiB; raise it/,
  );
});

test('a file with any number of unknown keys is read, and told in few words', async () => {
  const lines = Array.from({ length: 20_000 }, (_, index) => `defualt_memory${index % 10}${index} = 1`);
  const { unknown } = await inspect(`[hypervisor.qemu]\n${lines.join('\n')}\n`);
  assert.is(unknown.length, 20_000);
  assert.is(unknown.filter(({ suggestion }) => suggestion !== '').length, MAX_SUGGESTIONS);
  const told = tellKeys(unknown);
  assert.ok(told.endsWith(`, and ${20_000 - MAX_TOLD} more`), told.slice(-100));
  assert.ok(told.length < MAX_TOLD * 300);
  assert.is(tellKeys([]), '');
});

test('whatever a file says of known keys, it is told and nothing is thrown', async () => {
  const keys = Object.entries(SCHEMA).flatMap(([table, all]) =>
    Object.keys(all).map((key): [string, string] => [table, key]),
  );
  const big = '9223372036854775807';
  const values = [
    big,
    `[${big}]`,
    `[[${big}], {a = ${big}}]`,
    '[1979-05-27]',
    '07:32:00',
    '{ a = 1 }',
    'nan',
    '""',
    '[]',
    '"\\u0000"',
  ];
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(fc.tuple(fc.constantFrom(...keys), fc.constantFrom(...values)), {
        selector: ([[table, key]]) => `${table}.${key}`,
        maxLength: 8,
      }),
      async (set) => {
        const text = set.map(([[table, key], value]) => `${table}.${key} = ${value}`).join('\n');
        const found = await inspect(text);
        assert.ok(found.errors.every(({ message }) => message.length < 1500));
        if (found.configuration) assert.ok(found.configuration.memoryMib > 0);
      },
    ),
    { numRuns: RUNS },
  );
});

test('the nearest word', () => {
  assert.is(nearest('defualt', ['default', 'other']), 'default');
  assert.is(nearest('x', ['abc']), undefined);
  assert.is(nearest('', ['abc']), undefined);
  assert.equal(
    [
      distanceBetween('', 'ab'),
      distanceBetween('ab', 'ba'),
      distanceBetween('kitten', 'sitting'),
      distanceBetween('a', 'a'),
    ],
    [2, 1, 3, 0],
  );
});

test.run();
