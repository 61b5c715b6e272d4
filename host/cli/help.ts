/** Help texts, made from the descriptions of the commands. */
import type { Command, Operand, Option } from './command.ts';
import { GLOBAL_OPTIONS } from './global-options.ts';

/** Columns of a text. */
export const WIDTH = 100;
/** Where explanations begin, columns; longer terms have them on the next line. */
const COLUMN = 34;

/** The text of `--help` for the program as a whole. */
export function programHelp(program: string, commands: readonly Command[]): string {
  const rows = commands.map((command): [string, string] => [
    [command.name, ...(command.aliases ?? [])].join(', '),
    command.summary,
  ]);
  return [
    `${program}: checks this machine for Kata Containers, and looks into its running sandboxes\n`,
    `Usage: ${program} [OPTIONS] COMMAND [ARGUMENTS]\n`,
    section('Commands', rows),
    section('Options (also behind the command)', GLOBAL_OPTIONS.map(optionRow)),
    'A sandbox is named by its id, the first characters of its id (4 or more), or the name of its pod.\n',
    `More about a command: ${program} COMMAND --help. An error ends with exit status 1 and a message on stderr.\n`,
  ].join('\n');
}

/**
 * The text of `COMMAND --help`.
 * @param path the command and those it is below, outermost first
 */
export function commandHelp(program: string, path: readonly Command[]): string {
  const command = path[path.length - 1];
  if (!command) return '';
  const parts = [`${wrap(`${[program, ...path.map(({ name }) => name)].join(' ')}: ${command.summary}`, 0)}\n`];
  parts.push(`Usage: ${usageOf(program, path)}\n`);
  if (command.aliases) parts.push(`Also called: ${command.aliases.join(', ')}\n`);
  for (const paragraph of command.description ?? []) parts.push(`${wrap(paragraph, 0)}\n`);
  if (command.operands) parts.push(section('Arguments', command.operands.map(operandRow)));
  if (command.commands)
    parts.push(
      section(
        'Commands',
        command.commands.map((one) => [usageWords(one), one.summary]),
      ),
    );
  const options = path.flatMap((one) => one.options ?? []);
  if (options.length > 0) parts.push(section('Options', options.map(optionRow)));
  if (command.examples) {
    const rows = command.examples.map(
      ([words, what]) => `  ${wrap(`# ${what}`, 2)}\n  ${withProgram(words, program)}\n`,
    );
    parts.push(`Examples:\n${rows.join('\n')}`);
  }
  if (command.run) {
    const rows: (readonly [string, string])[] = [['0', 'done'], ...(command.exitStatus ?? [])];
    if (!rows.some(([status]) => status.startsWith('1'))) rows.push(['1', 'an error; the message is on stderr']);
    const given = rows.filter(([status], at) => at > 0 || !rows.slice(1).some(([other]) => other === status));
    parts.push(section('Exit status', given));
  }
  parts.push(`Options of every command: ${program} --help\n`);
  return parts.join('\n');
}

/** The line after "Usage:". */
export function usageOf(program: string, path: readonly Command[]): string {
  const command = path[path.length - 1];
  const before = path.slice(0, -1).map(({ name }) => name);
  return [program, ...before, command ? usageWords(command) : 'COMMAND'].join(' ');
}

function usageWords(command: Command): string {
  const words = [command.name];
  if (command.options?.length) words.push('[OPTIONS]');
  if (command.commands) words.push('COMMAND');
  for (const { name, optional } of command.operands ?? []) words.push(optional ? `[${name}]` : name);
  if (command.rest !== undefined) words.push(`[-- ${command.rest}]`);
  return words.join(' ');
}

/** Words alone are those after the program's name. */
function withProgram(words: string, program: string): string {
  return words.includes('{program}') ? words.replaceAll('{program}', program) : `${program} ${words}`;
}

function optionRow(option: Option): [string, string] {
  const names = [option.name, ...(option.aliases ?? [])].map((name) => `--${name}`);
  if (option.letter) names.unshift(`-${option.letter}`);
  return [`${names.join(', ')}${option.value === undefined ? '' : ` ${option.value}`}`, option.summary];
}

function operandRow(operand: Operand): [string, string] {
  return [operand.name, operand.summary];
}

function section(title: string, rows: readonly (readonly [string, string])[]): string {
  const widest = Math.max(0, ...rows.map(([term]) => term.length)) + 4;
  const column = Math.min(widest, COLUMN);
  const lines = rows.map(([term, text]) => {
    const head = `  ${term}`;
    const gap = head.length + 2 <= column ? ' '.repeat(column - head.length) : `\n${' '.repeat(column)}`;
    return `${head}${gap}${wrap(text, column)}\n`;
  });
  return `${title}:\n${lines.join('')}`;
}

/** Breaks lines at blanks; all but the first begin at `indent`. */
function wrap(text: string, indent: number): string {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && indent + line.length + 1 + word.length > WIDTH) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  lines.push(line);
  return lines.join(`\n${' '.repeat(indent)}`);
}
