/** Where a command's answers and messages go. Nothing that could steer a terminal gets through. */
import { appendFileSync, writeSync } from 'node:fs';
import { reasonOf } from '../error.ts';
import { escapeText } from '../tail.ts';

export const LEVELS = ['trace', 'debug', 'info', 'warning', 'error', 'critical'] as const;
export type Level = (typeof LEVELS)[number];

export interface OutputOptions {
  /** Name before each message. */
  readonly program: string;
  /** Messages below it are left out. */
  readonly level: Level;
  readonly json: boolean;
  /** File that gets every message too; empty: none. */
  readonly log: string;
}

/** Characters that JSON and TOML leave as they are, and a terminal may not: controls and format characters. */
const UNPRINTABLE_IN_QUOTES = /[^\P{C}\n]/gu;

export class Output {
  readonly #options: OutputOptions;
  #logFailed = false;

  constructor(options: OutputOptions) {
    this.#options = options;
  }

  /** Text on stdout, followed by a line feed unless it ends with one. Unprintable characters become escapes. */
  line(text: string): void {
    this.write(text.endsWith('\n') ? text : `${text}\n`);
  }

  /** Text on stdout; unprintable characters become escapes. */
  write(text: string): void {
    process.stdout.write(escapeText(text));
  }

  /** A value as JSON on stdout. */
  json(value: unknown): void {
    process.stdout.write(`${jsonText(value)}\n`);
  }

  /** A document on stdout, already made safe by `jsonText` or `escapeInQuotes`. */
  data(text: string): void {
    process.stdout.write(text);
  }

  error(message: string): void {
    this.say('error', message);
  }

  warning(message: string): void {
    this.say('warning', message);
  }

  info(message: string): void {
    this.say('info', message);
  }

  private say(level: Level, message: string): void {
    const { program, json, log } = this.#options;
    if (LEVELS.indexOf(level) < LEVELS.indexOf(this.#options.level)) return;
    const record = jsonText({ level, msg: message, name: program, time: new Date().toISOString() }, 0);
    const text = `${program}: ${level === 'error' ? '' : `${level}: `}${escapeText(message)}`;
    writeErr(`${json ? record : text}\n`);
    if (log === '' || this.#logFailed) return;
    try {
      appendFileSync(log, `${json ? record : text}\n`, { mode: 0o640 });
    } catch (thrown) {
      this.#logFailed = true;
      this.warning(`--log ${log} cannot be written: ${reasonOf(thrown)}`);
    }
  }
}

/**
 * JSON that is safe on a terminal: every control and format character is an escape.
 * @param indent blanks; 0: one line
 */
export function jsonText(value: unknown, indent = 2): string {
  return escapeInQuotes(JSON.stringify(value, undefined, indent));
}

/**
 * A document whose texts are all in double quotes: what a terminal may obey becomes `\\uXXXX`.
 * @param wide whether it is TOML, which has `\\UXXXXXXXX` where JSON has two surrogates
 */
export function escapeInQuotes(document: string, wide = false): string {
  return document.replace(UNPRINTABLE_IN_QUOTES, (character) => {
    const code = character.codePointAt(0) ?? 0;
    if (wide && code > 0xffff) return `\\U${code.toString(16).padStart(8, '0')}`;
    const units = Array.from({ length: character.length }, (_, at) => character.charCodeAt(at));
    return units.map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`).join('');
  });
}

/** One cell of a table: no line feed, no tab, nothing that a terminal obeys. */
export function cell(text: string): string {
  return escapeText(text).replaceAll('\n', '\\n').replaceAll('\t', '\\t');
}

/** Columns padded to their widest cell; the last is not. */
export function table(rows: readonly (readonly string[])[]): string {
  const cells = rows.map((row) => row.map(cell));
  const widths: number[] = [];
  for (const row of cells) {
    for (const [at, text] of row.entries()) widths[at] = Math.max(widths[at] ?? 0, text.length);
  }
  return cells
    .map((row) => row.map((text, at) => (at === row.length - 1 ? text : text.padEnd(widths[at] ?? 0))).join('  '))
    .map((line) => `${line.trimEnd()}\n`)
    .join('');
}

/** A stderr that nobody reads is no reason to fail. */
function writeErr(text: string): void {
  try {
    writeSync(2, text);
  } catch {
    // There is nobody to tell.
  }
}
