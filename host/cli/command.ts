/** What a command is: its help text, the completion of shells and docs/kata-runtime.md are all made from this. */
import type { Call } from './call.ts';

/** What a value names, for completion. */
export type ValueKind = 'text' | 'file' | 'directory' | 'sandbox';

export interface Option {
  /** Long name, without dashes. */
  readonly name: string;
  /** Other long names of it. */
  readonly aliases?: readonly string[];
  readonly letter?: string;
  /** What stands for its value in the usage, in upper case; absent: it takes none. */
  readonly value?: string;
  readonly kind?: ValueKind;
  /** The values there are; absent: any. */
  readonly choices?: readonly string[];
  readonly summary: string;
}

/** A word that is no option. */
export interface Operand {
  /** In upper case. */
  readonly name: string;
  readonly kind?: ValueKind;
  readonly choices?: readonly string[];
  readonly optional?: boolean;
  readonly summary: string;
}

/**
 * The file of a command imports nothing of weight: `run` loads what it needs with `await import(...)`, so that
 * `--help` and `--version` answer at once.
 */
export interface Command {
  readonly name: string;
  readonly aliases?: readonly string[];
  /** One line, no full stop. */
  readonly summary: string;
  /** Paragraphs. */
  readonly description?: readonly string[];
  readonly operands?: readonly Operand[];
  /** What stands for the words after `--` in the usage; absent: it takes none. */
  readonly rest?: string;
  readonly options?: readonly Option[];
  /** Commands below this one; it then has no `run`. */
  readonly commands?: readonly Command[];
  /** Words after the program's name, and what they do. */
  readonly examples?: readonly (readonly [words: string, what: string])[];
  /** Other than 0, and 1 for an error. */
  readonly exitStatus?: readonly (readonly [status: string, meaning: string])[];
  /** @returns the exit status */
  readonly run?: (call: Call) => Promise<number>;
}

/** Whether a command goes by this name. */
export function goesBy(command: Command, name: string): boolean {
  return command.name === name || (command.aliases?.includes(name) ?? false);
}
