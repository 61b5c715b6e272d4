/**
 * Text of a configuration.toml: the quick reader reads what a parser of all of TOML reads or leaves it alone, every value has a
 * place in a line with its key, and all checks end in errors of bounded length or in a configuration.
 */
import { ok, strictEqual } from 'node:assert/strict';
import { keyProblems } from '../../../host/config/check.ts';
import { ignoredKeys, tellKeys, unknownKeys } from '../../../host/config/effects.ts';
import type { Merged } from '../../../host/config/files.ts';
import { refusalsOf } from '../../../host/config/refusals.ts';
import { locate } from '../../../host/config/toml/locate.ts';
import { readPlain } from '../../../host/config/toml/plain.ts';
import { readToml } from '../../../host/config/toml/read.ts';
import type { Tables } from '../../../host/config/toml/tables.ts';
import { problemsOf } from '../../../host/config/values.ts';
import { KataError } from '../../../host/error.ts';
import { mutate } from '../buffer.ts';
import type { Target } from '../target.ts';

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const SAMPLES = [
  '[hypervisor.qemu]\npath = "/usr/bin/qemu-system-x86_64"\ndefault_memory = 2048\ndefault_vcpus = 1.5\n',
  'enable_annotations = ["default_memory", "kernel_params"] # a list\nvirtio_fs_extra_args = []\n',
  '[[hypervisor.qemu.guest_extension_images]]\nname = "a"\npath = "/b"\n',
  '[runtime]\nenable_debug = true\nexperimental = [\n  "force_guest_pull", # one\n]\n',
  'agent.kata.dial_timeout = 45\n"quoted" = \'literal\'\n',
  'text = """\n[no.table]\nx = 1\n"""\nother = \'\'\'a\'\'\'\n',
  'inline = { a = 1, b = [ { c = 2.0 } ] }\nbig = 9223372036854775807\nwhen = 1979-05-27T07:32:00Z\n',
].map((text) => encoder.encode(text));
const TOKENS = [
  '[',
  ']',
  '[[',
  ']]',
  '{',
  '}',
  '=',
  '.',
  ',',
  '"',
  "'",
  '"""',
  "'''",
  '#',
  '\n',
  '\r\n',
  '\\',
  '\\u0000',
]
  .concat([
    'true',
    'nan',
    '-0',
    '1_000',
    '0x1f',
    '1e5',
    'hypervisor',
    'qemu',
    'runtime',
    '__proto__',
    '\u0000',
    '\ufeff',
    'é',
  ])
  .map((text) => encoder.encode(text));
const MAX_CHANGES = 10;
/** Characters of a message: a value is quoted with 80. */
const LONGEST_MESSAGE = 1500;
const FILE = '/file';

export function tomlTarget(): Target {
  return {
    name: 'toml',
    room: 8 * 1024,
    generate(buffer, random) {
      for (let i = random.below(6); i >= 0; i--) buffer.append(random.pick(SAMPLES));
      for (let i = random.below(MAX_CHANGES); i > 0; i--) mutate(buffer, 0, random, SAMPLES, TOKENS);
    },
    async check(input) {
      const text = decoder.decode(input);
      const plain = readPlain(text);
      locate(text);
      // An empty table at the end, which the quick reader does not know, leads to the parser.
      const full = await tablesOf(`${text}\n["the end"]\n`);
      if (plain) strictEqual(tell(plain), tell(full ?? new Map()), 'the two readers differ');
      if (!full) return;
      const lines = text.split('\n');
      for (const [, keys] of full) {
        for (const [key, { line }] of keys) {
          const last = key.startsWith('"') ? (JSON.parse(key) as string) : key;
          const source = lines[line - 1] ?? '';
          ok(source.includes(last) || source.includes('\\'), `${key} is not in line ${line}: ${source}`);
        }
      }
      judge(full);
    },
  };
}

/** Whatever it says, it is told and nothing is thrown. */
function judge(tables: Tables): void {
  const merged: Merged = new Map();
  for (const [table, keys] of tables) {
    merged.set(table, new Map([...keys].map(([key, entry]) => [key, { ...entry, file: FILE }])));
  }
  const hypervisor = 'hypervisor.qemu';
  for (const { message } of [...keyProblems(merged), ...problemsOf(merged), ...refusalsOf(merged, hypervisor)]) {
    ok(message.length < LONGEST_MESSAGE, message);
  }
  tellKeys([...ignoredKeys(merged, hypervisor), ...unknownKeys(merged, hypervisor)]);
}

async function tablesOf(text: string): Promise<Tables | undefined> {
  try {
    return await readToml(text, FILE);
  } catch (thrown) {
    if (!(thrown instanceof KataError)) throw thrown;
    ok(thrown.message.length < LONGEST_MESSAGE, thrown.message);
    return undefined;
  }
}

/** Keys with values and places, in an order of their own. */
function tell(tables: Tables): string {
  const plain = (_: string, value: unknown): unknown => (typeof value === 'bigint' ? `${value}n` : value);
  return [...tables]
    .flatMap(([table, keys]) => [...keys].map(([key, entry]) => `${table} ${key} ${JSON.stringify(entry, plain)}`))
    .sort()
    .join('\n');
}
