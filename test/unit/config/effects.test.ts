/** A key that is said to have an effect changes what is made of a configuration; one without changes nothing. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { inspectConfiguration } from '../../../host/config/inspect.ts';
import { type Key, SCHEMA } from '../../../host/config/schema/schema.ts';

const directory = mkdtempSync(join(tmpdir(), 'kata-effects-'));
const file = join(directory, 'configuration.toml');
for (const name of ['vmlinux', 'initramfs.cpio.gz']) writeFileSync(join(directory, name), 'x');
const image = Buffer.alloc(512);
image.writeUInt16BE(0x55aa, 510);
writeFileSync(join(directory, 'image'), image);
const kernel = Buffer.alloc(0x210);
kernel.write('HdrS', 0x202);
writeFileSync(join(directory, 'kernel'), kernel);

const test = suite('effects of keys');
test.after(() => rmSync(directory, { recursive: true }));

/** A guest of Kata's, since only that hears much of what is told to an agent. */
const GUEST: Readonly<Record<string, string>> = {
  'hypervisor.qemu.kernel': JSON.stringify(join(directory, 'kernel')),
  'hypervisor.qemu.image': JSON.stringify(join(directory, 'image')),
};

const MEM_AGENT: Readonly<Record<string, string>> = { 'agent.kata.mem_agent.mem_agent_enable': 'true' };

/** Keys that count only together with another one. */
const TOGETHER: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'hypervisor.qemu.hugepage_type': { 'hypervisor.qemu.enable_hugepages': 'true' },
  'hypervisor.qemu.extra_monitor_socket': { 'hypervisor.qemu.enable_debug': 'true' },
  'hypervisor.qemu.dbg_monitor_socket': { 'hypervisor.qemu.enable_debug': 'true' },
  'hypervisor.qemu.guest_memory_dump_paging': { 'hypervisor.qemu.guest_memory_dump_path': '"/var/crash"' },
  'hypervisor.qemu.block_device_cache_direct': { 'hypervisor.qemu.block_device_cache_set': 'true' },
  'hypervisor.qemu.block_device_cache_noflush': { 'hypervisor.qemu.block_device_cache_set': 'true' },
  'hypervisor.qemu.indep_iothreads': { 'hypervisor.qemu.enable_iothreads': 'true' },
  'edge.otlp_endpoint': { 'runtime.enable_tracing': 'true' },
  'runtime.jaeger_endpoint': { 'runtime.enable_tracing': 'true' },
  'edge.agent': { 'runtime.hypervisor_name': '"remote"' },
};
/** Values where the rule below finds none that differs from the default. */
const VALUES: Readonly<Record<string, string>> = {
  'hypervisor.qemu.initrd': JSON.stringify(join(directory, 'initramfs.cpio.gz')),
  'hypervisor.qemu.seccompsandbox': '"on"',
  'hypervisor.qemu.seccomp_sandbox': '"on"',
  'hypervisor.qemu.virtio_fs_queue_size': '128',
  'hypervisor.qemu.guest_hook_path': '"/hooks"',
  'hypervisor.qemu.default_maxmemory': '4096',
  'hypervisor.qemu.default_maxvcpus': '3',
  'hypervisor.qemu.memory_slots': '5',
  'edge.otlp_endpoint': '"http://collector:4318"',
  'runtime.jaeger_endpoint': '"http://collector:14268/api/traces"',
  'runtime.experimental': '["force_guest_pull"]',
  'runtime.sandbox_bind_mounts': '["/etc/hostname"]',
  'runtime.hypervisor_name': '"remote"',
  'agent.kata.log_level': '"debug"',
  'agent.kata.reconnect_timeout_ms': '60000',
  'agent.kata.mem_agent.compact_force_times': '5',
  // There is no other.
  'runtime.agent_name': '"kata"',
  'runtime.log_level': '"error"',
};
/** Read where annotations are, or by a program other than the shim. */
const ELSEWHERE = /\.valid_[a-z_]+_paths$|\.valid_entropy_sources$/;

function another(name: string, key: Key): string {
  const { type, choices, default: fallback, range } = key;
  if (VALUES[name] !== undefined) return VALUES[name];
  if (type === 'boolean') return String(fallback !== 'true');
  if (type === 'strings') return JSON.stringify([choices?.[1] ?? 'words']);
  if (type === 'tables') return '[{ name = "a" }]';
  if (type === 'string') {
    const other = choices?.find((choice) => JSON.stringify(choice) !== fallback);
    return JSON.stringify(other ?? (key.path ? join(directory, 'image') : 'words'));
  }
  const number = Number(fallback) + 512;
  return String(range && number > range[1] ? range[1] : number);
}

/** What comes of some keys: settings, or why there are none. */
async function outcome(keys: Readonly<Record<string, string>>): Promise<{ settings: string; errors: string }> {
  writeFileSync(
    file,
    Object.entries(keys)
      .map(([name, value]) => `${name} = ${value}`)
      .join('\n'),
  );
  const machine = { arch: 'x64', guest: directory, cpus: 8, memoryMib: 8192 };
  const { configuration, errors } = await inspectConfiguration({ optionsPath: file, environmentPath: '' }, machine);
  const text = errors.map(({ message }) => message.replace(/^[^ ]*:[0-9]+: /, '')).join('\n');
  if (!configuration) return { settings: '', errors: text };
  const { values: _, ignored: _ignored, unknown: _unknown, ...settings } = configuration;
  return { settings: JSON.stringify(settings), errors: text };
}

function keysOf(effect: Key['effect']): [name: string, key: Key][] {
  return Object.entries(SCHEMA)
    .filter(([table]) => table !== 'hypervisor.remote')
    .flatMap(([table, keys]) => Object.entries(keys).map(([name, key]): [string, Key] => [`${table}.${name}`, key]))
    .filter(([, key]) => key.effect === effect);
}

test('a key with an effect changes the settings, or is refused by name', async () => {
  const silent: string[] = [];
  for (const [name, key] of keysOf('used')) {
    if (ELSEWHERE.test(name)) continue;
    const guest = /qemu\.(initrd|image|kernel)$/.test(name) ? {} : GUEST;
    const memory = name.startsWith('agent.kata.mem_agent.') && !name.endsWith('_enable') ? MEM_AGENT : {};
    const base = { ...guest, ...memory, ...TOGETHER[name] };
    const [before, after] = [await outcome(base), await outcome({ ...base, [name]: another(name, key) })];
    const refused = after.errors !== before.errors && after.errors.includes(name.slice(name.lastIndexOf('.') + 1));
    if (after.settings === before.settings && !refused) silent.push(`${name} = ${another(name, key)}`);
  }
  assert.equal(silent, []);
});

test('a key without effect changes nothing, unless it makes no sandbox', async () => {
  const before = await outcome(GUEST);
  const heard: string[] = [];
  for (const [name, key] of keysOf('ignored')) {
    const after = await outcome({ ...GUEST, [name]: another(name, key) });
    const refused = key.refused !== undefined && after.errors.includes(name);
    if (!refused && (after.settings !== before.settings || after.errors !== before.errors))
      heard.push(`${name}: ${after.errors}`);
  }
  assert.equal(heard, []);
});

test.run();
