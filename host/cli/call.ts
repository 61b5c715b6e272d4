/** One call of a command: what was said on the command line, and where answers go. */
import type { Version } from '../shim/info.ts';
import type { Command } from './command.ts';
import type { Output } from './output.ts';

export class Call {
  constructor(
    /** Name that the program was called by. */
    readonly program: string,
    readonly version: Version,
    /** The command and those it is below, outermost first. */
    readonly path: readonly Command[],
    /** Values by the option's (first) long name; `''` for one without a value. */
    private readonly values: ReadonlyMap<string, string>,
    /** Words that are no options, up to `--`. */
    readonly words: readonly string[],
    /** Words after `--`. */
    readonly rest: readonly string[],
    readonly output: Output,
    readonly environment: NodeJS.ProcessEnv,
  ) {}

  flag(name: string): boolean {
    return this.values.has(name);
  }

  /** The value of an option; undefined when it was not given. */
  option(name: string): string | undefined {
    return this.values.get(name);
  }

  /** The path of --config; empty: the search order holds. */
  get config(): string {
    return this.option('config') ?? '';
  }

  /** Directory of the sandboxes' directories; undefined: the usual one. */
  get root(): string | undefined {
    return this.option('root');
  }
}
