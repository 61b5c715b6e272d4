/** Finds configuration.toml and its drop-ins by Kata's rules, and merges them. */
import { existsSync, readdirSync, realpathSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { KataError, reasonOf } from '../error.ts';
import { checkDirectory, checkOwner, readSafely } from './file-safety.ts';
import { readToml } from './toml/read.ts';

export { MAX_FILE_BYTES } from './file-safety.ts';

/** Most drop-ins beside one file. */
export const MAX_DROP_INS = 256;

/** Where a configuration is looked for, the first that exists wins: as Kata's Go runtime, then as its Rust runtime. */
export const SEARCH_PATH: readonly string[] = [
  '/etc/kata-containers/configuration.toml',
  '/usr/share/defaults/kata-containers/configuration.toml',
  '/opt/kata/share/defaults/kata-containers/configuration.toml',
  '/etc/kata-containers/runtime-rs/configuration.toml',
  '/usr/share/defaults/kata-containers/runtime-rs/configuration.toml',
  '/opt/kata/share/defaults/kata-containers/runtime-rs/configuration.toml',
];

/** One value, and where it came from. */
export interface Origin {
  readonly value: unknown;
  readonly line?: number | undefined;
  readonly float?: boolean | undefined;
  /** Or what else set it, as an annotation. */
  readonly file: string;
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

/** SEARCH_PATH, then the file that is installed with the program at `lib`. */
export function searchPathOf(lib: string): readonly string[] {
  return [...SEARCH_PATH, join(lib, '..', 'share', 'defaults', 'kata-containers', 'configuration.toml')];
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
 * Reads a file and the drop-ins in `config.d` beside it; a later value replaces an earlier one.
 * @param files to be read, in this order
 * @param failed what happens about a file that is of no use; absent: it is thrown
 * @throws KataError `invalid_argument` naming file and line; `permission_denied` for a file that others could have written
 */
export async function readMerged(files: readonly string[], failed?: (thrown: unknown) => void): Promise<Merged> {
  const merged: Merged = new Map();
  for (const file of files) {
    try {
      for (const [table, entries] of await readToml(readSafely(file), file)) {
        const keys = merged.get(table) ?? new Map<string, Origin>();
        merged.set(table, keys);
        for (const [key, entry] of entries) keys.set(key, { ...entry, file });
      }
    } catch (thrown) {
      if (!failed) throw thrown;
      failed(thrown);
    }
  }
  return merged;
}

/**
 * Every entry of `config.d` beside a file, in the order of the bytes of their names. Links are followed, as Kata's Go runtime
 * does: Kubernetes places files of a ConfigMap so.
 * @param path resolved
 * @throws KataError `invalid_argument`, `permission_denied`
 */
export function dropInsOf(path: string): string[] {
  const directory = join(dirname(path), 'config.d');
  let names: string[];
  try {
    names = readdirSync(directory);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw new KataError('invalid_argument', `configuration directory ${directory}: ${reasonOf(thrown)}`, {
      cause: thrown,
    });
  }
  const resolved = realpathSync(directory);
  checkOwner(resolved, statSync(resolved));
  checkDirectory(resolved);
  if (names.length > MAX_DROP_INS) {
    throw new KataError(
      'invalid_argument',
      `${directory} holds ${names.length} files; at most ${MAX_DROP_INS} are read`,
    );
  }
  return names.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))).map((name) => join(directory, name));
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
