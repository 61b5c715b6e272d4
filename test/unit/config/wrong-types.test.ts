/** Every key of the schema with every wrong type: an error that names file, line, key and type. And with right values: none. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { keyProblems } from '../../../host/config/check.ts';
import type { Merged } from '../../../host/config/files.ts';
import { type Key, SCHEMA, type ValueType } from '../../../host/config/schema/schema.ts';
import { readToml } from '../../../host/config/toml/read.ts';

const FILE = '/etc/kata-containers/configuration.toml';

/** TOML of each type, and how a message names what it ought to be. */
const SAMPLES: Readonly<Record<string, string>> = {
  string: '"words"',
  number: '"2048"',
  boolean: 'true',
  integer: '7',
  negative: '-7',
  float: '1.5',
  whole: '2.0',
  infinite: 'inf',
  huge: '1e400',
  strings: '["a", "b"]',
  mixed: '["a", 1]',
  numbers: '[1, 2]',
  nested: '[["a"]]',
  tables: '[{ name = "a" }]',
  date: '1979-05-27T07:32:00Z',
  zero: '"a\\u0000b"',
};
/** Samples that are of a type. */
const RIGHT: Readonly<Record<ValueType, readonly string[]>> = {
  string: ['string', 'number'],
  boolean: ['boolean'],
  unsigned: ['integer'],
  integer: ['integer', 'negative'],
  number: ['integer', 'negative', 'float', 'whole'],
  strings: ['strings'],
  tables: ['tables'],
};
const NAMES: Readonly<Record<ValueType, string>> = {
  string: 'a string',
  boolean: 'true or false',
  unsigned: 'a whole number, 0 or more',
  integer: 'a whole number',
  number: 'a number',
  strings: 'a list of strings',
  tables: 'a list of tables',
};

const test = suite('every key with every wrong type');

async function problems(table: string, key: string, toml: string): Promise<string[]> {
  const text = `# a comment\n[${table}]\n\n${key} = ${toml} # and another\n`;
  const merged: Merged = new Map();
  for (const [name, entries] of await readToml(text, FILE)) {
    merged.set(name, new Map([...entries].map(([entry, value]) => [entry, { ...value, file: FILE }])));
  }
  return keyProblems(merged).map(({ message }) => message);
}

function eachKey(): [table: string, name: string, key: Key][] {
  return Object.entries(SCHEMA).flatMap(([table, keys]) =>
    Object.entries(keys).map(([name, key]): [string, string, Key] => [table, name, key]),
  );
}

test('a wrong type is told with file, line, key and the type it must have', async () => {
  let told = 0;
  for (const [table, name, key] of eachKey()) {
    for (const [sample, toml] of Object.entries(SAMPLES)) {
      if (RIGHT[key.type].includes(sample)) continue;
      const found = await problems(table, name, toml);
      assert.is(found.length, 1, `${table}.${name} = ${toml}`);
      const [message = ''] = found;
      assert.ok(message.startsWith(`${FILE}:4: ${table}.${name} is `), message);
      assert.ok(message.includes(`; it must be ${NAMES[key.type]}`), message);
      told++;
    }
  }
  assert.ok(told > 2000, `${told} mutations`);
});

test('a value of its type, of its choices and in its range is taken', async () => {
  for (const [table, name, key] of eachKey()) {
    const [least = 0] = key.range ?? [];
    const right: Readonly<Record<ValueType, string>> = {
      string: JSON.stringify(key.choices?.[0] ?? (key.path ? '/some/path' : 'words')),
      boolean: 'false',
      unsigned: String(least),
      integer: '-3',
      number: '1.5',
      strings: JSON.stringify(key.choices ?? ['a', 'b']),
      tables: '[]',
    };
    assert.equal(await problems(table, name, right[key.type]), [], `${table}.${name}`);
    for (const choice of key.type === 'string' ? (key.choices ?? []) : []) {
      assert.equal(await problems(table, name, JSON.stringify(choice)), [], `${table}.${name} = ${choice}`);
    }
  }
});

test('what is no choice, out of range or a relative path is told with what would do', async () => {
  for (const [table, name, key] of eachKey()) {
    if (key.choices && key.type === 'string') {
      const [message = ''] = await problems(table, name, '"no such word"');
      assert.ok(message.startsWith(`${FILE}:4: ${table}.${name} is "no such word"; it must be one of `), message);
      assert.ok(message.includes(key.choices.join(', ')), message);
    }
    if (key.range) {
      const [message = ''] = await problems(table, name, String(key.range[1] + 1));
      assert.ok(message.includes(`it must be from ${key.range[0]} to ${key.range[1]}`), `${table}.${name}: ${message}`);
    }
    if (key.path) assert.match((await problems(table, name, '"a/b"'))[0] ?? '', /it must be an absolute path/);
  }
});

test('the message says what to write', async () => {
  const cases: readonly [string, string, string, RegExp][] = [
    ['hypervisor.qemu', 'default_memory', '"2048"', /write default_memory = 2048, without quotes$/],
    ['hypervisor.qemu', 'default_memory', '"2G"', /write default_memory = 2048, a number of MiB without quotes$/],
    ['hypervisor.qemu', 'default_memory', '"512 MiB"', /write default_memory = 512, a number of MiB/],
    ['hypervisor.qemu', 'default_memory', '2048.0', /is 2048\.0; .*\(MiB\); write default_memory = 2048$/],
    ['hypervisor.qemu', 'default_memory', '-1', /is -1; .*there is no negative one/],
    ['hypervisor.qemu', 'default_vcpus', '"0.5"', /write default_vcpus = 0\.5, without quotes$/],
    ['hypervisor.qemu', 'enable_debug', '"true"', /write enable_debug = true, without quotes$/],
    ['hypervisor.qemu', 'enable_debug', '1', /write enable_debug = true$/],
    ['hypervisor.qemu', 'enable_debug', '"Off"', /write enable_debug = false, without quotes$/],
    ['hypervisor.qemu', 'kernel', '5', /write kernel = "5", in quotes$/],
    ['hypervisor.qemu', 'kernel_params', '["quiet"]', /write kernel_params = "quiet"$/],
    ['hypervisor.qemu', 'pflashes', '"/a"', /write pflashes = \["\/a"\]$/],
    ['hypervisor.qemu', 'pflashes', '[1]', /put each of its items in quotes$/],
    ['hypervisor.qemu', 'shared_fs', '"virtiofs"', /one of virtio-fs, none; did you mean shared_fs = "virtio-fs"\?$/],
    ['runtime', 'internetworking_model', '"tc-filter"', /did you mean internetworking_model = "tcfilter"\?$/],
    ['runtime', 'shared_mounts', '"a"', /it must be a list of tables; write \[\[…shared_mounts\]\] above its keys$/],
    ['runtime', 'shared_mounts', '[{ name = 5 }]', /has name = 5 in its table 1; it must be a string$/],
    ['edge', 'log_targets', '["fifo", "file"]', /has "file"; it must be one of fifo, journald, syslog$/],
  ];
  for (const [table, key, toml, expected] of cases) {
    assert.match((await problems(table, key, toml))[0] ?? 'nothing', expected, `${key} = ${toml}`);
  }
});

test('a table in place of a key, and a key in place of a table', async () => {
  const of = async (text: string): Promise<string[]> => {
    const merged: Merged = new Map();
    for (const [name, entries] of await readToml(text, FILE)) {
      merged.set(name, new Map([...entries].map(([entry, value]) => [entry, { ...value, file: FILE }])));
    }
    return keyProblems(merged).map(({ message }) => message);
  };
  assert.match(
    (await of('[hypervisor.qemu.kernel]\npath = "/a"'))[0] ?? '',
    /:2: hypervisor\.qemu\.kernel is a table; it must be a string/,
  );
  assert.match(
    (await of('[runtime.shared_mounts]\nname = "a"'))[0] ?? '',
    /it must be a list of tables; write \[\[runtime\.shared_mounts\]\]/,
  );
  const merged: Merged = new Map([
    ['', new Map([['runtime', { value: 5, file: '/b', line: 1 }]])],
    ['runtime', new Map()],
  ]);
  assert.match(keyProblems(merged)[0]?.message ?? '', /^\/b:1: runtime is 5; it must be a table: write \[runtime\]$/);
  assert.match((await of('runtime = 5'))[0] ?? 'nothing', /:1: runtime is 5; it must be a table/);
});

test.run();
