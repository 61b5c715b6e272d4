/** Where a sandbox's cgroups lie, by its spec's `linux.cgroupsPath`: text that others wrote. */
import { KataError } from '../error.ts';

/** Longest path, bytes, and what one name may have of it. */
export const MAX_PATH_BYTES = 2048;
export const MAX_NAME_BYTES = 255;
/** Deepest sandbox, directories below the mount point: each costs something in every hierarchy. */
export const MAX_DEPTH = 32;
/** Where sandboxes without a path go, and what is relative: Kata's name. */
const DEFAULT_PARENT = '/vc';
/** Where everything but the vCPUs goes when `sandbox_cgroup_only` is off. */
export const OVERHEAD_PARENT = '/kata_overhead';
/** Before the name of a sandbox's cgroup: the container's own name stays free for others. */
export const PREFIX = 'kata_';
/** Where systemd puts what names no slice. */
const DEFAULT_SLICE = 'system.slice';

export interface CgroupPlace {
  /** Directory of the sandbox's cgroup below a hierarchy's mount point, e.g. `/kubepods/podX/kata_ID`. */
  readonly sandbox: string;
  /** That of everything else, where they are apart. */
  readonly overhead: string;
  /** Set where the path was given in systemd's way, `slice:prefix:name`. */
  readonly unit: { readonly slice: string; readonly sliceDirectory: string; readonly scope: string } | undefined;
}

/**
 * @throws KataError `invalid_argument` for a path that leads upwards, is too long, or has names no directory can have
 */
export function placeOf(cgroupsPath: string, sandboxId: string): CgroupPlace {
  if (Buffer.byteLength(cgroupsPath) > MAX_PATH_BYTES) {
    throw invalid(cgroupsPath, `is ${Buffer.byteLength(cgroupsPath)} bytes long; at most ${MAX_PATH_BYTES} are taken`);
  }
  const leaf = `${PREFIX}${sandboxId}`;
  checkName(leaf, 'the sandbox id', sandboxId);
  const overhead = `${OVERHEAD_PARENT}/${sandboxId}`;
  const unit = unitOf(cgroupsPath);
  if (unit) return { sandbox: `${unit.sliceDirectory}/${leaf}`, overhead, unit };
  const absolute = cgroupsPath.startsWith('/') ? cgroupsPath : `${DEFAULT_PARENT}/${cgroupsPath || sandboxId}`;
  const names = absolute.split('/').filter((name) => name !== '' && name !== '.');
  if (names.length > MAX_DEPTH) throw invalid(cgroupsPath, `has ${names.length} names; at most ${MAX_DEPTH} are taken`);
  for (const name of names) checkName(name, 'linux.cgroupsPath', cgroupsPath);
  const parent = names.slice(0, -1).map((name) => `/${name}`);
  return { sandbox: `${parent.join('')}/${leaf}`, overhead, unit: undefined };
}

/** `slice:prefix:name`; undefined for a path of directories. */
function unitOf(path: string): CgroupPlace['unit'] {
  const parts = path.split(':');
  if (parts.length !== 3 || path.includes('/')) return undefined;
  const [slice = '', prefix = '', name = ''] = parts;
  if (slice !== '' && !slice.endsWith('.slice')) return undefined;
  if (!/^[A-Za-z0-9_.@-]*$/.test(slice) || !/^[A-Za-z0-9_.@-]*$/.test(prefix) || !/^[A-Za-z0-9_.@-]+$/.test(name)) {
    throw invalid(path, "must have letters, digits, '_', '.', '@' and '-' only, as slice:prefix:name");
  }
  const scope = `${prefix === '' ? '' : `${prefix}-`}${name}.scope`;
  checkName(scope, 'linux.cgroupsPath', path);
  return { slice: slice || DEFAULT_SLICE, sliceDirectory: sliceDirectory(slice || DEFAULT_SLICE, path), scope };
}

/** systemd.slice(5): `a-b.slice` lies in `a.slice`; `-.slice` is the root. */
function sliceDirectory(slice: string, path: string): string {
  const stem = slice.slice(0, -'.slice'.length);
  if (stem === '-') return '';
  const words = stem.split('-');
  if (words.includes('')) throw invalid(path, `names the slice ${slice}, which has a dash too many`);
  if (words.length > MAX_DEPTH) throw invalid(path, `lies ${words.length} slices deep; at most ${MAX_DEPTH} are taken`);
  let directory = '';
  for (let count = 1; count <= words.length; count++) {
    const name = `${words.slice(0, count).join('-')}.slice`;
    checkName(name, 'linux.cgroupsPath', path);
    directory += `/${name}`;
  }
  return directory;
}

function checkName(name: string, what: string, value: string): void {
  const control = [...name].some((character) => character < ' ' || character === '\x7f');
  if (name !== '..' && !control && !name.includes('/') && Buffer.byteLength(name) <= MAX_NAME_BYTES) return;
  throw new KataError(
    'invalid_argument',
    `${what} ${show(value)} makes no cgroup: ${show(name)} must be a directory's name of at most ${MAX_NAME_BYTES} bytes, without '..'`,
  );
}

function invalid(path: string, what: string): KataError {
  return new KataError('invalid_argument', `linux.cgroupsPath ${show(path)} ${what}`);
}

function show(text: string): string {
  return JSON.stringify(text.length > 120 ? `${text.slice(0, 120)}…` : text);
}
