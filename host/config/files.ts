/** Finds configuration.toml and its drop-ins by Kata's rules, and merges them. */
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { KataError, reasonOf } from '../error.ts';

/** Largest configuration file, bytes. */
export const MAX_FILE_BYTES = 1024 * 1024;
/** Most drop-ins beside one file. */
export const MAX_DROP_INS = 256;

/** Where a configuration is looked for, the first that exists wins. */
export const SEARCH_PATH: readonly string[] = [
  '/etc/kata-containers/configuration.toml',
  '/usr/share/defaults/kata-containers/configuration.toml',
  '/opt/kata/share/defaults/kata-containers/configuration.toml',
];

export type Table = { [key: string]: unknown };

/** One value and the file it came from. */
export interface Origin {
  readonly file: string;
  readonly value: unknown;
}

/** Values by table name (`hypervisor.qemu`), then key. */
export type Merged = Map<string, Map<string, Origin>>;

export interface Lookup {
  /** Path that containerd's runtime options name; empty: none. */
  readonly optionsPath: string;
  /** KATA_CONF_FILE; empty: not set. */
  readonly environmentPath: string;
  readonly searchPath?: readonly string[];
}

/**
 * The configuration file in use.
 * @returns its resolved path; undefined: there is none, the defaults hold
 * @throws KataError `not_found` for an explicit path that does not exist, `invalid_argument` for a KATA_CONF_FILE outside
 *   the search path
 */
export function findFile({ optionsPath, environmentPath, searchPath = SEARCH_PATH }: Lookup): string | undefined {
  if (optionsPath !== '') return resolve(optionsPath, 'ConfigPath of the runtime options');
  if (environmentPath !== '') {
    const path = resolve(environmentPath, 'KATA_CONF_FILE');
    const allowed = searchPath.filter((candidate) => existsSync(candidate)).map((candidate) => realpathSync(candidate));
    if (!allowed.includes(path)) {
      throw new KataError(
        'invalid_argument',
        `KATA_CONF_FILE=${environmentPath} is not one of ${searchPath.join(', ')}; name another file by ConfigPath in containerd's runtime options`,
      );
    }
    return path;
  }
  const found = searchPath.find((candidate) => existsSync(candidate));
  return found === undefined ? undefined : resolve(found, 'the configuration');
}

/**
 * Reads a file and the drop-ins in `config.d` beside it, in lexical order; a later value replaces an earlier one.
 * @param parse TOML text to tables
 * @throws KataError `invalid_argument` naming file and line
 */
export function readMerged(path: string, parse: (text: string) => Table): Merged {
  const merged: Merged = new Map();
  for (const file of [path, ...dropIns(path)]) merge(merged, '', parseFile(file, parse), file);
  return merged;
}

function resolve(path: string, what: string): string {
  if (!path.startsWith('/')) {
    throw new KataError('invalid_argument', `${what}: ${JSON.stringify(path)} must be an absolute path`);
  }
  try {
    return realpathSync(path);
  } catch (thrown) {
    throw new KataError('not_found', `${what}: ${path} cannot be used: ${reasonOf(thrown)}`, { cause: thrown });
  }
}

function dropIns(path: string): string[] {
  const directory = join(dirname(path), 'config.d');
  if (!existsSync(directory)) return [];
  const names = readdirSync(directory).sort();
  if (names.length > MAX_DROP_INS) {
    throw new KataError(
      'invalid_argument',
      `${directory} holds ${names.length} files; at most ${MAX_DROP_INS} are read`,
    );
  }
  return names.map((name) => join(directory, name));
}

function parseFile(file: string, parse: (text: string) => Table): Table {
  let fd = -1;
  let text: string;
  try {
    fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
    const stat = fstatSync(fd);
    if (!stat.isFile()) throw new Error('not a regular file');
    if (stat.size > MAX_FILE_BYTES) throw new Error(`${stat.size} bytes; at most ${MAX_FILE_BYTES} are read`);
    text = readFileSync(fd, 'utf8');
  } catch (thrown) {
    throw new KataError('invalid_argument', `configuration ${file}: ${reasonOf(thrown)}`, { cause: thrown });
  } finally {
    if (fd >= 0) closeSync(fd);
  }
  try {
    return parse(text);
  } catch (thrown) {
    const { line } = thrown as { line?: unknown };
    const where = typeof line === 'number' ? `, line ${line}` : '';
    // The parser's first line says what; the others draw a picture.
    const what = reasonOf(thrown).split('\n')[0];
    throw new KataError('invalid_argument', `configuration ${file}${where} is no valid TOML: ${what}`, {
      cause: thrown,
    });
  }
}

function merge(merged: Merged, table: string, values: Table, file: string): void {
  for (const [key, value] of Object.entries(values)) {
    if (isTable(value)) {
      merge(merged, table === '' ? key : `${table}.${key}`, value, file);
      continue;
    }
    let keys = merged.get(table);
    if (!keys) {
      keys = new Map();
      merged.set(table, keys);
    }
    keys.set(key, { file, value });
  }
  if (!merged.has(table)) merged.set(table, new Map());
}

function isTable(value: unknown): value is Table {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}
