/**
 * Reads Prometheus text (format 0.0.4) that others wrote, line by line and within limits. What breaks a rule is dropped and
 * counted; the rest is read. Nothing of the text is kept but names, numbers, and label values, escaped anew.
 */
import { escapedLabel, type MetricType, type Suffix } from './family.ts';

export interface ParseLimits {
  /** Characters of the text that are read. */
  readonly text: number;
  readonly lines: number;
  /** Characters of a line. */
  readonly line: number;
  /** Samples of all families. */
  readonly series: number;
  readonly families: number;
  /** Of one sample. */
  readonly labels: number;
  /** Characters of a metric's or label's name. */
  readonly name: number;
  /** Characters of a label's value. */
  readonly value: number;
}

/** What a guest may say. Kata's says some 130 KB in 700 lines. */
export const GUEST_LIMITS: ParseLimits = {
  text: 1024 * 1024,
  lines: 10_000,
  line: 4096,
  series: 5000,
  families: 128,
  labels: 4,
  name: 128,
  value: 512,
};

/** What a shim may say: its own besides its guest's. */
export const SHIM_LIMITS: ParseLimits = {
  text: 4 * 1024 * 1024,
  lines: 40_000,
  line: 8192,
  series: 20_000,
  families: 512,
  labels: 8,
  name: 128,
  value: 1024,
};

/** Called with one sample after the other. */
export interface Sink {
  /**
   * @param name of the sample, suffix included
   * @param labels by name, values unescaped
   * @returns whether it was taken
   */
  sample(name: string, labels: ReadonlyMap<string, string>, value: number): boolean;
  /** Says what the text calls a family. Absent: nobody cares. */
  described?(name: string, what: { type?: MetricType; help?: string }): void;
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LABEL_NAME = /^[a-zA-Z_][a-zA-Z0-9_]*$/;
/** What may follow a sample's name and labels: a value, and milliseconds since 1970, which nobody uses. */
const VALUE = /^[ \t]+(\S+)(?:[ \t]+-?\d{1,18})?[ \t]*$/;
const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,4})?$/;
const DESCRIPTION = /^#[ \t]+(HELP|TYPE)[ \t]+(\S+)(?:[ \t]+(.*))?$/;
const TYPES: ReadonlySet<string> = new Set(['counter', 'gauge', 'histogram', 'summary', 'untyped']);
/** C0 and C1 controls and line separators: a terminal or a log would obey them. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g;

/** @returns how many lines were dropped: wrong, beyond a limit, or refused by the sink */
export function parseText(text: string, limits: ParseLimits, sink: Sink): number {
  let dropped = 0;
  let lines = 0;
  let series = 0;
  const end = Math.min(text.length, limits.text);
  for (let from = 0; from < end; ) {
    const newline = text.indexOf('\n', from);
    const to = newline < 0 ? text.length : newline;
    const line = to - from > limits.line || to > end ? undefined : text.slice(from, to);
    from = to + 1;
    if (++lines > limits.lines) return dropped + 1;
    if (line !== undefined && isBlank(line)) continue;
    if (line?.startsWith('#')) {
      describe(line, limits, sink);
      continue;
    }
    if (line === undefined || series >= limits.series || !sampleOf(line, limits, sink)) dropped++;
    else series++;
  }
  return text.length > limits.text ? dropped + 1 : dropped;
}

/**
 * A number as the format has it.
 * @returns undefined for anything else, and for one beyond what a double holds
 */
export function numberOf(text: string): number | undefined {
  if (NUMBER.test(text)) {
    const value = Number(text);
    return Number.isFinite(value) ? value : undefined;
  }
  const word = text.toLowerCase();
  if (word === 'nan') return NaN;
  if (word === '+inf' || word === 'inf') return Infinity;
  return word === '-inf' ? -Infinity : undefined;
}

/**
 * Labels as they are written, in the order of their names: two texts are the same series only if they are the same. Names were checked
 * when they were read; an empty value is as good as none.
 */
export function textOfLabels(labels: ReadonlyMap<string, string>): string {
  const names = [...labels.keys()];
  if (names.length > 1) names.sort();
  let out = '';
  for (const name of names) {
    const value = labels.get(name) as string;
    if (value !== '') out += `${out === '' ? '' : ','}${name}="${escapedLabel(withoutControls(value))}"`;
  }
  return out;
}

/** A text that neither a terminal nor a log obeys. */
export function withoutControls(text: string): string {
  return text.replace(CONTROLS, '\ufffd');
}

/** The name of the family that a sample of a histogram or summary belongs to, and what its own name adds. */
export function familyOf(name: string): readonly [string, Suffix] {
  for (const suffix of ['_bucket', '_sum', '_count'] as const) {
    if (name.endsWith(suffix)) return [name.slice(0, -suffix.length), suffix];
  }
  return [name, ''];
}

function isBlank(line: string): boolean {
  return line === '' || line.trim() === '';
}

function describe(line: string, limits: ParseLimits, sink: Sink): void {
  if (!sink.described) return;
  const [, what, name = '', rest = ''] = DESCRIPTION.exec(line) ?? [];
  if (what === undefined || name.length > limits.name || !NAME.test(name)) return;
  if (what === 'HELP') sink.described(name, { help: withoutControls(rest.slice(0, limits.value)) });
  else if (TYPES.has(rest.trim())) sink.described(name, { type: rest.trim() as MetricType });
}

function sampleOf(line: string, limits: ParseLimits, sink: Sink): boolean {
  const brace = line.indexOf('{');
  const space = line.search(/[ \t]/);
  const labelled = brace > 0 && (space < 0 || brace <= space || line.slice(space, brace).trim() === '');
  const nameEnd = labelled ? brace : space;
  if (nameEnd <= 0) return false;
  const name = line.slice(0, nameEnd).trimEnd();
  if (name.length > limits.name || !NAME.test(name)) return false;
  const labels = new Map<string, string>();
  const at = labelled ? readLabels(line, brace + 1, limits, labels) : nameEnd;
  if (at < 0) return false;
  // A value may follow the brace at once.
  const [, number = ''] = VALUE.exec(labelled ? ` ${line.slice(at)}` : line.slice(at)) ?? [];
  const value = numberOf(number);
  return value !== undefined && sink.sample(name, labels, value);
}

/**
 * Reads `name="value",…}`.
 * @returns where the text goes on behind the brace; -1: it is wrong or beyond a limit
 */
function readLabels(line: string, from: number, limits: ParseLimits, labels: Map<string, string>): number {
  let at = skipBlanks(line, from);
  while (line[at] !== '}') {
    const equals = line.indexOf('=', at);
    if (equals < 0) return -1;
    const name = line.slice(at, equals).trim();
    if (name.length > limits.name || !LABEL_NAME.test(name) || labels.has(name)) return -1;
    const quote = skipBlanks(line, equals + 1);
    if (line[quote] !== '"' || labels.size >= limits.labels) return -1;
    const end = closingQuote(line, quote + 1);
    if (end < 0) return -1;
    const value = unescaped(line.slice(quote + 1, end));
    if (value.length > limits.value) return -1;
    labels.set(name, value);
    at = skipBlanks(line, end + 1);
    if (line[at] === ',') at = skipBlanks(line, at + 1);
    else if (line[at] !== '}') return -1;
  }
  return at + 1;
}

function closingQuote(line: string, from: number): number {
  for (let at = from; at < line.length; at++) {
    if (line[at] === '\\') at++;
    else if (line[at] === '"') return at;
  }
  return -1;
}

function unescaped(text: string): string {
  if (!text.includes('\\')) return text;
  return text.replace(/\\(.)/g, (whole, letter: string) => {
    if (letter === 'n') return '\n';
    return letter === '\\' || letter === '"' ? letter : whole;
  });
}

function skipBlanks(line: string, from: number): number {
  let at = from;
  while (line[at] === ' ' || line[at] === '\t') at++;
  return at;
}
