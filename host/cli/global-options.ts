/** Options that stand before the command, or after it where the command has none of that name. */
import type { Option } from './command.ts';
import { LEVELS } from './output.ts';

export const GLOBAL_OPTIONS: readonly Option[] = [
  {
    name: 'config',
    aliases: ['kata-config'],
    value: 'FILE',
    kind: 'file',
    summary: 'use this configuration file instead of the first of the search order',
  },
  {
    name: 'root',
    value: 'DIR',
    kind: 'directory',
    summary: "where the sandboxes' directories are (default /run/kata-containers)",
  },
  {
    name: 'log',
    value: 'FILE',
    kind: 'file',
    summary: 'append every message to this file too',
  },
  {
    name: 'log-format',
    value: 'FORMAT',
    choices: ['text', 'json'],
    summary: 'how messages are written: text (default) or json',
  },
  {
    name: 'log-level',
    letter: 'l',
    value: 'LEVEL',
    choices: LEVELS,
    summary: `least important messages that are shown: ${LEVELS.join(', ')} (default info)`,
  },
  { name: 'json-logging', letter: 'j', summary: 'the same as --log-format json' },
  {
    name: 'rootless',
    value: 'WHEN',
    choices: ['true', 'false', 'auto'],
    summary: 'accepted and without effect: sandboxes are always made by root',
  },
  {
    name: 'systemd-cgroup',
    summary: "accepted and without effect: the form of containerd's cgroup path decides",
  },
  {
    name: 'show-default-config-paths',
    aliases: ['kata-show-default-config-paths'],
    summary: 'print where a configuration file is looked for, first match wins, and end',
  },
  { name: 'version', letter: 'v', summary: 'print the version and end' },
  { name: 'help', letter: 'h', summary: 'print this text, or that of the command, and end' },
];
