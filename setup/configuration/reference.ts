/** docs/configuration.md, made from the schema. */
import { MAX_DROP_INS, MAX_FILE_BYTES, SEARCH_PATH } from '../../host/config/files.ts';
import type { Key } from '../../host/config/schema/schema.ts';
import { isToml } from './default-file.ts';
import { GROUPS, type Group, keysOf } from './groups.ts';

const TYPES: Readonly<Record<Key['type'], string>> = {
  string: 'string',
  boolean: 'true or false',
  unsigned: 'whole number ≥ 0',
  integer: 'whole number',
  number: 'number',
  strings: 'list of strings',
  tables: 'list of tables',
};

/** @returns Markdown */
export function reference(): string {
  const parts = [HEAD, ...GROUPS.map(groupText).filter((text) => text !== ''), ignoredText()];
  return `${parts.join('\n\n')}\n`;
}

const HEAD = `# configuration.toml

<!-- Made by \`npm run configuration\` from host/config/schema: change it there. -->

The file is Kata Containers' own: its keys keep their names and meaning, and Kata 4.1's files for QEMU, of its Go runtime and of
runtime-rs, are read as they are. What Kata does not have stands in \`[edge]\`. Without any file the defaults below hold. Each
shim reads the file once, when its pod starts.

\`kata-runtime env\` shows the file in use and every key that has no effect; \`kata-runtime check\` whether a pod could start.

## Which file

| | |
|---|---|
| 1 | \`ConfigPath\` of the runtime's options in containerd's configuration |
| 2 | \`KATA_CONF_FILE\` in the environment of the shim; it has to be one of the files below |
| 3 | the first of these that exists: ${SEARCH_PATH.map((path) => `\`${path}\``).join(', ')}, then \`share/defaults/kata-containers/configuration.toml\` of the installation itself |

Links are followed. Of a file at most ${MAX_FILE_BYTES / 1024 / 1024} MiB is read; it is UTF-8, with or without a byte order mark, with line ends of either kind.

## Drop-ins

Every entry of the directory \`config.d\` beside the file (beside what a link leads to) is read after it, in the order of the bytes
of their names, whatever their suffix: at most ${MAX_DROP_INS}. A key in a later file replaces the earlier value; lists are replaced as a whole.
Links in it are followed, as Kata's Go runtime does and runtime-rs does not. A sub-directory or a file that cannot be read is
an error: half a configuration is none.

## What is refused

| what | why, and what to do |
|---|---|
| a file that any user may write, or that belongs to neither root nor the shim's user; a directory above it that any user may write, unless it is sticky | it names programs that run as root. The message has the \`chmod\` or \`chown\` that cures it |
| text that is no TOML; a known key with a value of another type, out of its range or none of its choices | the message names file, line, key, what it is and what to write. It does not matter whether the key has an effect |
| keys that contradict each other: \`image\` and \`initrd\`, two names of one setting with different values, \`disable_new_netns\` with a network, \`hot_plug_vfio\` and \`cold_plug_vfio\`, more \`default_vcpus\` than \`default_maxvcpus\`, more \`default_memory\` than \`default_maxmemory\` | the message names both lines |
| a kernel for another CPU, an initrd that is no archive, an image without partitions, files that are missing | the message names the file and the key |
| settings that a pod would count on and that we do not have, as confidential guests | the file is read and checked; no sandbox is made of it |

An unknown key is no error, as in Kata: the shim's log and \`kata-runtime env\` name it, with the one that was probably meant.

\`virtio_fs_daemon = "/usr/libexec/virtiofsd"\`, which all of Kata's files have, is replaced by where the distribution has its
virtiofsd if there is none at that place (Debian 12: \`/usr/lib/qemu/virtiofsd\`), with a line in the log. Any other path has to exist.`;

function groupText(group: Group): string {
  const keys = keysOf(group, 'used');
  if (keys.length === 0) return '';
  const rows = keys.map(
    ([name, key]) => `| \`${name}\` | ${typeText(key)} | ${defaultText(key.default)} | ${about(key)} |`,
  );
  return [
    `## ${group.title}: \`[${group.table}]\``,
    '',
    '| key | type | default | |',
    '|---|---|---|---|',
    ...rows,
  ].join('\n');
}

function ignoredText(): string {
  const rows = GROUPS.filter(({ table }) => table !== 'hypervisor.remote').flatMap((group) =>
    keysOf(group, 'ignored').map(([name, key]) => `| \`${group.table}\` | \`${name}\` | ${cell(whyText(key))} |`),
  );
  return [
    '## Keys without effect',
    '',
    'They are known, their values are checked like all others, and nothing follows from them. `kata-runtime env` lists those that a file sets.',
    '',
    '| table | key | why |',
    '|---|---|---|',
    ...rows,
    '',
    'Of `[hypervisor.remote]` only the keys in its table above have one; the others of `[hypervisor.qemu]` are taken there too, and the peer that makes the machines is not told of them.',
  ].join('\n');
}

function whyText({ why = '', refused }: Key): string {
  return refused === undefined ? why : `${why}; where it is set, no sandbox is made`;
}

function typeText(key: Key): string {
  if (key.choices) return key.choices.map((word) => `\`${word}\``).join(', ');
  const unit = key.unit === undefined ? '' : `, ${key.unit}`;
  const range = key.range ? `, ${key.range[0]} to ${key.range[1]}` : '';
  return `${key.path ? 'path' : TYPES[key.type]}${unit}${range}`;
}

function defaultText(text: string): string {
  return text === '' ? '' : isToml(text) ? `\`${cell(text)}\`` : cell(text);
}

function about(key: Key): string {
  const alias = key.alias ? ` The same setting: \`${key.alias}\`.` : '';
  return cell(`${key.doc}${alias}`);
}

/** A bar would end the cell. */
function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}
