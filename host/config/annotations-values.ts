/** What kinds of values annotations have: how a pod's text becomes a key's value. */
import { KataError } from '../error.ts';
import type { Configuration } from './configuration.ts';
import { show } from './values.ts';

/** Longest value of an annotation that has no limit of its own, characters. */
export const MAX_TEXT_LENGTH = 1024;

/** Bytes by unit; without one a number is of MiB. As in Kubernetes and in Kata's Rust runtime, an `i` makes it powers of 1024. */
const UNITS: Readonly<Record<string, number>> = {
  '': 2 ** 20,
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KI: 2 ** 10,
  MI: 2 ** 20,
  GI: 2 ** 30,
  TI: 2 ** 40,
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
  TIB: 2 ** 40,
};

/** A kind of value. */
export interface Kind<T> {
  /** For the documentation: what is taken. */
  readonly limits: string;
  /**
   * @param name of the annotation
   * @param configuration without the pod's annotations
   * @throws KataError `invalid_argument` naming annotation, value and what is expected
   */
  readonly read: (text: string, name: string, configuration: Configuration) => T;
}

/** As Go's strconv.ParseBool. */
export const BOOLEAN: Kind<boolean> = {
  limits: '`true`, `false`',
  read: (text, name) => {
    if (/^(1|t|T|TRUE|true|True)$/.test(text)) return true;
    if (/^(0|f|F|FALSE|false|False)$/.test(text)) return false;
    throw refused(name, text, 'must be true or false');
  },
};

/**
 * A boolean that a pod may only turn towards more protection.
 * @param tight the value that asks for it
 */
export function tightening(tight: boolean, configured: (configuration: Configuration) => boolean): Kind<boolean> {
  return {
    limits: `${BOOLEAN.limits}; \`${!tight}\` only where the configuration says so`,
    read: (text, name, configuration) => {
      const wanted = BOOLEAN.read(text, name, configuration);
      if (wanted === tight || wanted === configured(configuration)) return wanted;
      throw administrators(name, text, `a pod may only ask for ${tight}`);
    },
  };
}

/** The error for a value that only the node's administrator may set. */
export function administrators(name: string, text: string, why: string): KataError {
  return new KataError(
    'permission_denied',
    `annotation ${name} is ${show(text)}, and ${why}; the node's administrator can set it in configuration.toml`,
  );
}

/** A whole number, decimal digits only. */
export function whole(least: number, most: number, unit = ''): Kind<number> {
  const range = `${least} to ${most}${unit === '' ? '' : ` ${unit}`}`;
  return {
    limits: `a whole number, ${range}`,
    read: (text, name) => {
      const value = /^[0-9]{1,16}$/.test(text) ? Number(text) : Number.NaN;
      if (value >= least && value <= most) return value;
      throw refused(name, text, `must be a whole number from ${range}`);
    },
  };
}

/** CPUs up to those that there are. */
export function cpus(syntax: RegExp, least: number, limits: string): Kind<number> {
  return {
    limits: `${limits}, up to the CPUs of the node`,
    read: (text, name, { machine }) => {
      const value = syntax.test(text) ? Number(text) : Number.NaN;
      if (value >= least && value <= machine.cpus) return value;
      throw refused(name, text, `must be a number from ${least} to ${machine.cpus} (CPUs)`);
    },
  };
}

/**
 * A size of memory in MiB, rounded up.
 * @param least MiB
 */
export function memory(least: number): Kind<number> {
  return {
    limits: `MiB, or with a unit as in \`2GiB\` or \`512Mi\`: ${least} MiB up to \`default_maxmemory\` and the node's memory`,
    read: (text, name, { maxMemoryMib }) => {
      const [, digits = '', unit = ''] = /^([0-9]{1,15}(?:\.[0-9]{1,3})?) ?([A-Za-z]{0,3})$/.exec(text) ?? [];
      const bytes = unitOf(unit) * (digits === '' ? Number.NaN : Number(digits));
      const mib = Math.ceil(bytes / 2 ** 20);
      const plain = unit !== '' || /^[0-9]*$/.test(digits);
      if (plain && mib >= least && mib <= maxMemoryMib) return mib;
      throw refused(
        name,
        text,
        `must be a number from ${least} to ${maxMemoryMib} (MiB), or such a size with a unit as 2GiB`,
      );
    },
  };
}

/** One of some words. */
export function choice(...words: readonly string[]): Kind<string> {
  return {
    limits: words.map((word) => `\`${word}\``).join(', '),
    read: (text, name) => {
      if (words.includes(text)) return text;
      throw refused(name, text, `must be one of ${words.join(', ')}`);
    },
  };
}

/** A text that only its length limits: what it means is somebody else's to judge. */
export function text(longest: number): Kind<string> {
  return {
    limits: `up to ${longest} characters`,
    read: (value, name) => {
      if (value.length <= longest && !value.includes('\0')) return value;
      throw new KataError(
        'invalid_argument',
        `annotation ${name} has ${value.length} characters; at most ${longest} are taken, and no zero byte`,
      );
    },
  };
}

/** A power of two, or 0. */
export function sectorSize(): Kind<number> {
  return {
    limits: '0, or a power of two from 512 to 65536 (bytes)',
    read: (value, name) => {
      const size = /^[0-9]{1,5}$/.test(value) ? Number(value) : Number.NaN;
      if (size === 0 || (size >= 512 && size <= 65_536 && Number.isInteger(Math.log2(size)))) return size;
      throw refused(name, value, 'must be 0, or a power of two from 512 to 65536');
    },
  };
}

/** The error for a value of an annotation. */
export function refused(name: string, value: string, what: string): KataError {
  return new KataError('invalid_argument', `annotation ${name} is ${show(value)}; it ${what}`);
}

function unitOf(unit: string): number {
  const known = unit.toUpperCase();
  // `K`, `M`, `G` alone are thousands, as Kubernetes has them.
  const full = /^[KMGT]$/.test(known) ? `${known}B` : known;
  return Object.hasOwn(UNITS, full) ? (UNITS[full] ?? Number.NaN) : Number.NaN;
}
