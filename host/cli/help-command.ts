/** `help [COMMAND...]`. */
import type { Command } from './command.ts';
import { commandHelp, programHelp } from './help.ts';

export const help: Command = {
  name: 'help',
  summary: 'print the help text of a command',
  operands: [
    { name: 'COMMAND', optional: true, summary: 'the command; without one the commands are listed' },
    { name: 'SUBCOMMAND', optional: true, summary: 'a command below it' },
  ],
  run: async ({ output, program, words }) => {
    const { COMMANDS } = await import('./commands.ts');
    const { parse } = await import('./parse.ts');
    const { path } = parse(words, COMMANDS, []);
    output.write(path.length === 0 ? programHelp(program, COMMANDS) : commandHelp(program, path));
    return 0;
  },
};
