/** The commands there are, in the order of the help text. */
import { check } from './check.ts';
import type { Command } from './command.ts';
import { help } from './help-command.ts';
import { versionCommand } from './version-command.ts';

export const COMMANDS: readonly Command[] = [check, versionCommand, help];
