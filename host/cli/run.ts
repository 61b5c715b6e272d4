/** The operator's command: finds the command among the words and runs it. */
import { reasonOf } from '../error.ts';
import type { Version } from '../shim/info.ts';
import { Call } from './call.ts';
import { COMMANDS } from './commands.ts';
import { GLOBAL_OPTIONS } from './global-options.ts';
import { commandHelp, programHelp, usageOf } from './help.ts';
import { type Level, Output } from './output.ts';
import { type Parsed, parse } from './parse.ts';
import { UsageError } from './usage-error.ts';
import { versionText } from './version-command.ts';

/** Names the program has. */
const PROGRAMS = ['kata-runtime', 'kata-ctl'];

/**
 * @param words the command line without the program
 * @returns the exit status
 */
export async function run(words: readonly string[], version: Version): Promise<number> {
  const program = PROGRAMS.find((name) => name === process.env.KATA_PROGRAM) ?? 'kata-runtime';
  endWithReader();
  let output = new Output({ program, level: 'info', json: false, log: '' });
  try {
    const parsed = parse(words, COMMANDS, GLOBAL_OPTIONS);
    output = new Output({ program, ...messagesOf(parsed) });
    return await answer(parsed, program, version, output);
  } catch (thrown) {
    output.error(reasonOf(thrown));
    if (thrown instanceof UsageError) process.stderr.write(usage(program, thrown));
    return 1;
  }
}

async function answer(parsed: Parsed, program: string, version: Version, output: Output): Promise<number> {
  const { path, values, words, rest, fault } = parsed;
  const command = path[path.length - 1];
  if (values.has('help') || (!command && values.size === 0)) {
    output.write(command ? commandHelp(program, path) : programHelp(program, COMMANDS));
    return 0;
  }
  if (values.has('version')) {
    output.write(versionText(program, version));
    return 0;
  }
  if (values.has('show-default-config-paths')) {
    const { searchPathOf } = await import('../config/files.ts');
    const { libDirectory } = await import('./lib-directory.ts');
    for (const file of searchPathOf(libDirectory())) output.line(file);
    return 0;
  }
  if (fault) throw fault;
  if (!command?.run) throw new UsageError('a command is missing', path);
  return await command.run(new Call(program, version, path, values, words, rest, output, process.env));
}

function messagesOf({ values }: Parsed): { level: Level; json: boolean; log: string } {
  return {
    level: (values.get('log-level') as Level | undefined) ?? 'info',
    json: values.has('json-logging') || values.get('log-format') === 'json',
    log: values.get('log') ?? '',
  };
}

function usage(program: string, { path }: UsageError): string {
  if (path.length > 0) {
    const words = path.map(({ name }) => name).join(' ');
    return `\nUsage: ${usageOf(program, path)}\nMore: ${program} ${words} --help\n`;
  }
  const names = COMMANDS.map(({ name }) => name).join(', ');
  return `\nUsage: ${program} [OPTIONS] COMMAND [ARGUMENTS]\nCommands: ${names}\nMore: ${program} --help\n`;
}

/** `| head` has seen enough: that is no error of ours. */
function endWithReader(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    process.stderr.write(`cannot write: ${error.message}\n`);
    process.exit(1);
  });
}
