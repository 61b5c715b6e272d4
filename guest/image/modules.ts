/** Kernel modules out of the kernel package, checked to be loadable in the recipe's order. */
import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { KataError } from '../../host/error.ts';
import type { Entry } from './cpio.ts';
import { LAST_EARLY_MODULE, LAST_SANDBOX_MODULE, MODULES } from './recipe.ts';

const DIRECTORY = 'lib/modules';
/** Read by guest/agent/modules.ts. */
const LIST = 'etc/kata-modules';
/** Ends a signed module. Before it struct module_signature, whose last four bytes, big endian, are the signature's length. */
const SIGNATURE_MARK = '~Module signature appended~\n';
const SIGNATURE_INFO_BYTES = 12;

/**
 * The modules as files of the image, and the list the agent loads them by. Those built into this kernel are left out.
 * @param root where the kernel package was unpacked
 * @throws KataError `not_found` for a module the package lacks, `failed_precondition` where the order would not load
 */
export async function moduleEntries(root: string, version: string): Promise<Entry[]> {
  const base = join(root, 'lib/modules', version);
  const files = new Map<string, string>();
  for (const name of await readdir(base, { recursive: true })) {
    if (name.endsWith('.ko')) files.set(plain(basename(name, '.ko')), join(base, name));
  }
  const builtin = await builtinModules(base);
  const entries: Entry[] = [];
  const lines: string[] = [];
  const loaded = new Set(builtin);
  for (const [name, id] of MODULES) {
    const last = name === LAST_EARLY_MODULE || name === LAST_SANDBOX_MODULE;
    if (builtin.has(plain(name))) {
      if (!last) continue;
      throw new KataError(
        'failed_precondition',
        `module ${name}, which ends a part of the list, is built into kernel ${version}; correct guest/image/recipe.ts`,
      );
    }
    const file = files.get(plain(name));
    if (!file)
      throw new KataError('not_found', `kernel ${version} has no module ${name}; correct guest/image/recipe.ts`);
    const data = withoutSignature(await readFile(file));
    for (const needed of dependencies(data)) {
      if (loaded.has(plain(needed))) continue;
      throw new KataError(
        'failed_precondition',
        `module ${name} needs ${needed} before it; correct guest/image/recipe.ts`,
      );
    }
    loaded.add(plain(name));
    const path = `${DIRECTORY}/${name}.ko`;
    entries.push({ type: 'file', path, data });
    lines.push(id === undefined ? `/${path}\n` : `/${path} ${id}\n`);
    if (last) lines.push('\n');
  }
  return [...entries, { type: 'file', path: LIST, data: Buffer.from(lines.join('')) }];
}

/**
 * Modules with all that they need, in an order in which they load, as files of an archive. Those built into the kernel are left out.
 * @param before names that are loaded already
 * @throws KataError `not_found` for a module the package lacks
 */
export async function looseModules(
  root: string,
  version: string,
  names: readonly string[],
  before: readonly (readonly [name: string, virtioId?: number])[],
): Promise<(Entry & { readonly type: 'file' })[]> {
  const base = join(root, 'lib/modules', version);
  const files = new Map<string, string>();
  for (const name of await readdir(base, { recursive: true })) {
    if (name.endsWith('.ko')) files.set(plain(basename(name, '.ko')), join(base, name));
  }
  const done = new Set([...(await builtinModules(base)), ...before.map(([name]) => plain(name))]);
  const entries: (Entry & { readonly type: 'file' })[] = [];
  const add = async (name: string): Promise<void> => {
    if (done.has(plain(name))) return;
    done.add(plain(name));
    const file = files.get(plain(name));
    if (!file)
      throw new KataError('not_found', `kernel ${version} has no module ${name}; correct guest/image/recipe.ts`);
    const data = withoutSignature(await readFile(file));
    for (const needed of dependencies(data)) await add(needed);
    entries.push({ type: 'file', path: `${DIRECTORY}/${plain(name)}.ko`, data });
  };
  for (const name of names) await add(name);
  return entries;
}

/**
 * A module as it was before it was signed. To check a signature takes an emulated processor two milliseconds, and proves
 * nothing in an image whose maker has chosen the kernel and the agent too.
 */
export function withoutSignature(module: Buffer): Buffer {
  const mark = module.length - SIGNATURE_MARK.length;
  if (mark < SIGNATURE_INFO_BYTES || module.toString('latin1', mark) !== SIGNATURE_MARK) return module;
  const end = mark - SIGNATURE_INFO_BYTES - module.readUInt32BE(mark - 4);
  return end > 0 ? module.subarray(0, end) : module;
}

/** Names of modules use `-` and `_` alike. */
function plain(name: string): string {
  return name.replaceAll('-', '_');
}

async function builtinModules(base: string): Promise<Set<string>> {
  const lines = (await readFile(join(base, 'modules.builtin'), 'utf8')).split('\n');
  return new Set(lines.filter((line) => line !== '').map((line) => plain(basename(line, '.ko'))));
}

/** `depends=a,b` of the section .modinfo, whose texts end with NUL. */
function dependencies(module: Buffer): string[] {
  const start = module.indexOf('\0depends=') + '\0depends='.length;
  if (start < '\0depends='.length) return [];
  const text = module.toString('latin1', start, module.indexOf(0, start));
  return text === '' ? [] : text.split(',');
}
