/** `node --import tsx setup/command-reference.ts`: docs/kata-runtime.md, from the descriptions of the commands. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from '../host/cli/command.ts';
import { COMMANDS } from '../host/cli/commands.ts';
import { commandHelp, programHelp } from '../host/cli/help.ts';
import { ROOT } from './paths.ts';

export const REFERENCE = join(ROOT, 'docs/kata-runtime.md');
const PROGRAM = 'kata-runtime';

/** The whole document. */
export function commandReference(): string {
  const parts = [
    `# ${PROGRAM}\n`,
    "Checks a machine, and looks into running sandboxes. The same program is installed as `kata-ctl`, and takes the arguments of both of Kata's programs.",
    'These are its help texts; `node --import tsx setup/command-reference.ts` writes this page.\n',
    fenced(programHelp(PROGRAM, COMMANDS)),
  ];
  for (const command of COMMANDS) add(parts, [command]);
  return parts.join('\n');
}

function add(parts: string[], path: readonly Command[]): void {
  const command = path[path.length - 1];
  const names = path.map(({ name }) => name).join(' ');
  parts.push(`${'#'.repeat(path.length + 1)} ${PROGRAM} ${names}\n`, fenced(commandHelp(PROGRAM, path)));
  for (const below of command?.commands ?? []) add(parts, [...path, below]);
}

function fenced(text: string): string {
  return `\`\`\`text\n${text.trimEnd()}\n\`\`\`\n`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(REFERENCE, commandReference());
