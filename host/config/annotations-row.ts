/** What the table of annotations says of one of them. */

import { BOOLEAN, choice, type Kind, text, whole } from './annotations-values.ts';
import type { Configuration } from './configuration.ts';
import { SCHEMA } from './schema/schema.ts';
import { QEMU, REMOTE } from './values.ts';

/** Longest value of a key that is a plain text, characters. */
const MAX_WORD_LENGTH = 1024;
/** Largest number of a key without a range of its own: Kata reads 32 bits. */
const MAX_WHOLE = 2 ** 32 - 1;

/** How a pod comes to use an annotation: by an expression of `enable_annotations`, by its own name there, or freely. */
export type Gate = 'enabled' | 'listed' | 'free';

/** One annotation of a pod, and what it may do about it. */
export interface Ask {
  /** Full name. */
  readonly name: string;
  readonly text: string;
  /** Without the pod's annotations. */
  readonly configuration: Configuration;
  /**
   * Sets a key, `table.key`; the table `hypervisor` is that of the hypervisor in use.
   * @throws KataError `invalid_argument` where another annotation has set it otherwise
   */
  set(key: string, value: unknown): void;
  /** Has a file compared before the virtual machine starts. */
  compare(asset: HashedAsset, digest: string): void;
}

/** What a digest may be of. */
export type HashedAsset = 'hypervisor' | 'kernel' | 'image' | 'initrd' | 'firmware' | 'firmware_volume';

export interface Row {
  readonly gate: Gate;
  /** The key that it sets: what the schema says of that key's effect holds for it. */
  readonly key?: string;
  /** What is taken, in Markdown. */
  readonly limits: string;
  /** One sentence. */
  readonly doc: string;
  /** Whoever sets it counts on it: where the key has no effect the pod is refused. */
  readonly relied?: boolean;
  /** Why it is refused whatever it says. */
  readonly refused?: string;
  /** Why it has no effect, where no key says so. */
  readonly ignored?: string;
  /** Another name by which `enable_annotations` may allow it. */
  readonly alsoEnabledBy?: string;
  readonly apply: (ask: Ask) => void;
}

export type Rows = Readonly<Record<string, Row>>;

/** A row that sets a key to its value. */
export function sets<T>(key: string, kind: Kind<T>, rest: Partial<Row> = {}): Row {
  return {
    gate: key.startsWith('hypervisor.') ? 'enabled' : 'free',
    key,
    limits: kind.limits,
    doc: docOf(key),
    apply: ({ name, text: value, configuration, set }) => set(key, kind.read(value, name, configuration)),
    ...rest,
  };
}

/** A row for a key of the same name and kind. */
export function same(key: string, rest: Partial<Row> = {}): Row {
  return sets(key, kindOf(key), rest);
}

/** A row that refuses. */
export function refuses(why: string, doc: string): Row {
  return { gate: 'free', limits: 'nothing', doc, refused: why, apply: () => {} };
}

/** A row without effect. */
export function ignores(why: string, doc: string): Row {
  return { gate: 'free', limits: 'anything', doc, ignored: why, apply: () => {} };
}

/** A key as messages name it, with the file where it was set. */
export function placeOf({ values }: Configuration, table: string, key: string): string {
  return values.isSet(table, key) ? values.where(table, key) : `${table}.${key} in configuration.toml`;
}

/**
 * What the schema says of a row's key.
 * @param remote whether the hypervisor is the remote one
 */
export function schemaOf(key: string, remote = false) {
  const dot = key.lastIndexOf('.');
  const table = key.slice(0, dot);
  const full = table === 'hypervisor' ? (remote ? REMOTE : QEMU) : table;
  const entry = SCHEMA[full]?.[key.slice(dot + 1)];
  if (!entry) throw new Error(`the schema has no key ${key}`);
  return entry;
}

function docOf(key: string): string {
  return schemaOf(key).doc;
}

function kindOf(key: string): Kind<unknown> {
  const { type, choices, range, unit, refusedValues = [] } = schemaOf(key);
  if (type === 'boolean') return BOOLEAN;
  if (type === 'unsigned') return whole(range?.[0] ?? 0, range?.[1] ?? MAX_WHOLE, unit);
  if (!choices) return text(MAX_WORD_LENGTH);
  // Those that are known and refused are so with their own reason.
  return { ...choice(...choices), limits: choice(...choices.filter((word) => !refusedValues.includes(word))).limits };
}
