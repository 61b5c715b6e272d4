/**
 * Metrics in memory, and as Prometheus text (format 0.0.4): a family's samples stand together below its HELP and TYPE,
 * and no series occurs twice.
 */

/** What a scrape is answered with. */
export const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

export type MetricType = 'counter' | 'gauge' | 'histogram' | 'summary' | 'untyped';
/** What a sample's name adds to its family's. */
export type Suffix = '' | '_bucket' | '_sum' | '_count';
/** Label values by name, in the order in which they are written. */
export type Labels = Readonly<Record<string, string>>;

export interface Description {
  readonly name: string;
  readonly type: MetricType;
  /** One line without markup. */
  readonly help: string;
}

export interface Sample {
  readonly suffix: Suffix;
  /** As written between the braces: `item="vmrss"`; empty: none. */
  readonly labels: string;
  readonly value: number;
}

/** Families by name, in the order in which they were first added to. */
export class Families {
  readonly #families = new Map<string, Collected>();

  /**
   * Adds a sample; one whose series is there already is left out, and so is one without a number.
   * @param labels as text they are escaped already
   * @returns whether it was added
   */
  add(description: Description, labels: Labels | string, value: number | undefined, suffix: Suffix = ''): boolean {
    if (value === undefined) return false;
    const text = typeof labels === 'string' ? labels : labelText(labels);
    let family = this.#families.get(description.name);
    if (!family) {
      family = { description, series: new Set(), samples: [] };
      this.#families.set(description.name, family);
    }
    const series = `${suffix}{${text}`;
    if (family.series.has(series)) return false;
    family.series.add(series);
    family.samples.push({ suffix, labels: text, value });
    return true;
  }

  /** Every family, with its description and samples. */
  *[Symbol.iterator](): Generator<readonly [Description, readonly Sample[]]> {
    for (const { description, samples } of this.#families.values()) yield [description, samples];
  }

  /** The families as text. */
  toString(): string {
    let out = '';
    for (const [description, samples] of this) out += familyText(description, samples);
    return out;
  }
}

/** One family as text. */
export function familyText(description: Description, samples: readonly Sample[]): string {
  return headText(description) + samplesText(description.name, samples);
}

/** What stands above a family's samples. */
export function headText({ name, help, type }: Description): string {
  const head = help === '' ? '' : `# HELP ${name} ${escapedHelp(help)}\n`;
  return `${head}# TYPE ${name} ${type}\n`;
}

/** A family's samples, a line each. */
export function samplesText(name: string, samples: readonly Sample[]): string {
  let out = '';
  for (const { suffix, labels, value } of samples) {
    out +=
      labels === '' ? `${name}${suffix} ${numberText(value)}\n` : `${name}${suffix}{${labels}} ${numberText(value)}\n`;
  }
  return out;
}

/** Labels as they are written between braces. Names are the caller's to have checked. */
export function labelText(labels: Labels): string {
  let out = '';
  for (const name in labels) out += `${out === '' ? '' : ','}${name}="${escapedLabel(labels[name] as string)}"`;
  return out;
}

/** A label's value between its quotes. */
export function escapedLabel(value: string): string {
  if (!/[\\"\n]/.test(value)) return value;
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}

/** A sample's value. */
export function numberText(value: number): string {
  if (Number.isFinite(value)) return String(value);
  if (Number.isNaN(value)) return 'NaN';
  return value > 0 ? '+Inf' : '-Inf';
}

interface Collected {
  readonly description: Description;
  readonly series: Set<string>;
  readonly samples: Sample[];
}

function escapedHelp(help: string): string {
  return help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}
