/** What the schema says of one key of configuration.toml. */

export type ValueType = 'string' | 'boolean' | 'unsigned' | 'integer' | 'number' | 'strings' | 'tables';

export interface Key {
  readonly type: ValueType;
  /** TOML text of what holds where the key is not set, or words; empty: nothing. */
  readonly default: string;
  /** What Kata 4.1's file for QEMU has, as TOML text: of its Go runtime, and of runtime-rs. Absent: it does not have the key. */
  readonly go?: string;
  readonly rs?: string;
  readonly unit?: string;
  /** Words that are taken; an empty one is the default. */
  readonly choices?: readonly string[];
  /** Least and largest number. */
  readonly range?: readonly [number, number];
  /** Whether a string is a path: absolute, or empty. */
  readonly path?: boolean;
  readonly effect: 'used' | 'ignored';
  /** Of an ignored key: why, in a clause. */
  readonly why?: string;
  /** Why no sandbox is made where the key is set to anything but false, 0, an empty string or an empty list. */
  readonly refused?: string;
  /** Where not every value is refused: those that are. */
  readonly refusedValues?: readonly string[];
  /** The other spelling of the same setting, `table.key`: of the Go runtime where this is runtime-rs's, and the other way round. */
  readonly alias?: string;
  /** Of a list of tables: the type of each key in them. */
  readonly fields?: Readonly<Record<string, ValueType>>;
  /** One sentence. */
  readonly doc: string;
}

/** Keys of one table. */
export type TableSchema = Readonly<Record<string, Key>>;
