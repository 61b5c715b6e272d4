/** Every place in a command line at which something can follow, for the shells' scripts. */
import type { Command, Operand, Option, ValueKind } from '../command.ts';

export interface Place {
  /** Names of the commands, outermost first, with blanks; empty: before any command. */
  readonly key: string;
  readonly commands: readonly Command[];
  /** Without those of every command. */
  readonly options: readonly Option[];
  readonly operands: readonly Operand[];
}

export interface Grammar {
  readonly places: readonly Place[];
  /** Options of every command. */
  readonly globals: readonly Option[];
}

export function grammarOf(commands: readonly Command[], globals: readonly Option[]): Grammar {
  const places: Place[] = [];
  const visit = (
    key: string,
    below: readonly Command[],
    options: readonly Option[],
    operands: readonly Operand[],
  ): void => {
    places.push({ key, commands: below, options, operands });
    for (const command of below) {
      const named: Operand = { name: 'COMMAND', choices: commands.map(({ name }) => name), summary: '' };
      const taken = command.name === 'help' ? [named] : (command.operands ?? []);
      const path = key === '' ? command.name : `${key} ${command.name}`;
      visit(path, command.commands ?? [], [...(command.options ?? []), ...options], taken);
    }
  };
  visit('', commands, [], []);
  return { places, globals };
}

/** Commands with other names, and these. */
export function aliasesOf({ places }: Grammar): { readonly name: string; readonly aliases: readonly string[] }[] {
  return places.flatMap(({ commands }) =>
    commands.flatMap(({ name, aliases }) => (aliases ? [{ name, aliases }] : [])),
  );
}

/** What values are: of the option or operand at a place, `KEY:OPTION` or `KEY:NUMBER`; `*` is any place. */
export function valuesOf({
  places,
  globals,
}: Grammar): { readonly patterns: readonly string[]; readonly kind: string }[] {
  const ofOptions = (key: string, options: readonly Option[]) =>
    options
      .filter(({ value }) => value !== undefined)
      .map((option) => ({ patterns: spellings(option).map((name) => `${key}:${name}`), kind: kindOf(option) }));
  return [
    ...places.flatMap(({ key, options, operands }) => [
      ...ofOptions(`'${key}'`, options),
      ...operands.map((operand, at) => ({ patterns: [`'${key}':${at}`], kind: kindOf(operand) })),
    ]),
    ...ofOptions('*', globals),
  ];
}

/** All spellings of an option. */
export function spellings({ name, aliases, letter }: Option): string[] {
  return [...[name, ...(aliases ?? [])].map((each) => `--${each}`), ...(letter === undefined ? [] : [`-${letter}`])];
}

/** What a script does for a value: one of these words, or `=` and the words there are. */
function kindOf({ kind, choices }: { kind?: ValueKind; choices?: readonly string[] }): string {
  return choices ? `=${choices.join(' ')}` : (kind ?? 'text');
}
