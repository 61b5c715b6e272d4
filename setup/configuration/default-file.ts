/** The configuration.toml that is installed: every key with an effect, explained, and the defaults that an edge node wants to see. */
import type { Key, ValueType } from '../../host/config/schema/schema.ts';
import { GROUPS, type Group, keysOf } from './groups.ts';

/** Columns of a comment. */
const WIDTH = 100;

/** Keys that stand in the file as they are; all others are comments. Each has the value that holds without a file. */
const SET: readonly string[] = [
  'hypervisor.qemu.default_vcpus',
  'hypervisor.qemu.default_maxvcpus',
  'hypervisor.qemu.default_memory',
  'hypervisor.qemu.default_maxmemory',
  'hypervisor.qemu.overhead_memory',
  'runtime.static_sandbox_resource_mgmt',
  'runtime.sandbox_cgroup_only',
];

/** What a value of a type looks like, where the default is told in words. */
const EXAMPLES: Readonly<Record<ValueType, string>> = {
  string: '""',
  boolean: 'false',
  unsigned: '0',
  integer: '0',
  number: '0',
  strings: '[]',
  tables: '[]',
};

const HEAD = [
  'configuration.toml of kata-edge, for amd64 and arm64.',
  '',
  'What is commented out shows what holds anyway. To change it, take the "# " away; or better, put your own lines, with the ' +
    'name of their table in brackets above them, into a file of the directory config.d beside this one, as ' +
    'config.d/50-mine.toml: they win, and updates leave them alone.',
  '',
  'A file of Kata Containers for QEMU may take the place of this one as it is. `kata-runtime env` shows what is in use and ' +
    'which keys have no effect here, `kata-runtime check` whether it can work. All keys: docs/configuration.md.',
].join('\n');

/** @returns TOML text */
export function defaultFile(): string {
  const lines = [...comment(HEAD)];
  let table = '';
  for (const group of GROUPS) {
    const keys = keysOf(group, 'used').filter(([, key]) => !isSecondName(key));
    if (keys.length === 0) continue;
    lines.push('', ...banner(group));
    if (group.table !== table) lines.push(isActive(group) ? `[${group.table}]` : `# [${group.table}]`);
    table = group.table;
    for (const [name, key] of keys) lines.push('', ...entry(group, name, key));
  }
  return `${lines.join('\n')}\n`;
}

/** Of two names of a setting the file has that of Kata's Go runtime. */
export function isSecondName({ alias, go }: Key): boolean {
  return alias !== undefined && go === undefined;
}

/** QEMU is the hypervisor in use; a header of another one would ask for that. */
function isActive({ table }: Group): boolean {
  return table !== 'hypervisor.remote';
}

function banner({ title }: Group): string[] {
  return [`# ${'-'.repeat(title.length)}`, `# ${title}`, `# ${'-'.repeat(title.length)}`];
}

function entry({ table }: Group, name: string, key: Key): string[] {
  const toml = isToml(key.default);
  const unit = key.unit === undefined ? '' : ` In ${key.unit}.`;
  const choices = key.choices ? ` One of ${key.choices.join(', ')}.` : '';
  const fallback = toml || key.default === '' ? '' : ` Default: ${key.default}.`;
  const value = toml ? key.default : EXAMPLES[key.type];
  const line = `${name} = ${value}`;
  return [...comment(`${key.doc}${unit}${choices}${fallback}`), SET.includes(`${table}.${name}`) ? line : `# ${line}`];
}

function comment(text: string): string[] {
  return text.split('\n').flatMap((line) => (line === '' ? ['#'] : wrap(line).map((part) => `# ${part}`)));
}

function wrap(text: string): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines[lines.length - 1];
    if (last !== undefined && last.length + 1 + word.length <= WIDTH) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

/** Whether a default is a value as the file writes it, not words about one. */
export function isToml(text: string): boolean {
  return /^(true|false|-?[0-9][0-9.]*|0x[0-9a-f]+|"[^"]*"|\[.*\])$/.test(text);
}
