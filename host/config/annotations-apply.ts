/** Applies a pod's annotations by the table. Loaded for pods that have any. */
import { KataError } from '../error.ts';
import {
  type Annotated,
  type AssetHash,
  CONFIG_PREFIX,
  type Ignored,
  MAX_ANNOTATIONS,
  MAX_NAME_LENGTH,
  PREFIX,
} from './annotations.ts';
import { enables, lists } from './annotations-enabled.ts';
import { HYPERVISOR_ROWS, REMOTE_ROWS } from './annotations-hypervisor.ts';
import { type HashedAsset, placeOf, type Row, type Rows, schemaOf } from './annotations-row.ts';
import { OTHER_ROWS, RUNTIME_ROWS } from './annotations-runtime.ts';
import { type Configuration, reconfigure } from './configuration.ts';
import type { Merged } from './files.ts';
import { nearest } from './nearest.ts';
import { REMOTE, show } from './values.ts';

const HYPERVISOR = `${CONFIG_PREFIX}hypervisor.`;

/** Before a name, as what has set a key. */
const SET_BY = 'annotation ';

/** What the annotations of a pod come to, while they are read. */
class Wishes {
  readonly overrides: Merged = new Map();
  readonly hashes: { readonly name: string; readonly asset: HashedAsset; readonly sha512: string }[] = [];
  readonly ignored: Ignored[] = [];

  constructor(readonly configuration: Configuration) {}

  set(name: string, path: string, value: unknown): void {
    const dot = path.lastIndexOf('.');
    const table = path.slice(0, dot);
    const full = table === 'hypervisor' ? this.configuration.values.hypervisor : table;
    const keys = this.overrides.get(full) ?? new Map();
    this.overrides.set(full, keys);
    const key = path.slice(dot + 1);
    const file = SET_BY + name;
    const other = keys.get(key);
    if (other && JSON.stringify(other.value) !== JSON.stringify(value)) {
      throw new KataError('invalid_argument', `${other.file} and ${file} contradict each other about ${key}; keep one`);
    }
    keys.set(key, { file, value });
  }
}

/**
 * @param annotations by full name, in the order in which they are applied
 * @throws KataError as `annotate`
 */
export function applyAnnotations(configuration: Configuration, annotations: ReadonlyMap<string, string>): Annotated {
  if (annotations.size > MAX_ANNOTATIONS) {
    throw new KataError(
      'invalid_argument',
      `${annotations.size} annotations ${PREFIX}*: at most ${MAX_ANNOTATIONS} are taken`,
    );
  }
  const wishes = new Wishes(configuration);
  for (const [name, text] of annotations) applyOne(wishes, name, text);
  const result = wishes.overrides.size === 0 ? configuration : reconfigure(configuration, wishes.overrides);
  checkVcpus(configuration, result, wishes.overrides);
  return {
    configuration: result,
    ignored: [...wishes.ignored, ...ignoredKeys(result)],
    hashes: wishes.hashes.map((hash) => located(result, hash)),
  };
}

function applyOne(wishes: Wishes, name: string, text: string): void {
  const { configuration } = wishes;
  if (name.length > MAX_NAME_LENGTH) {
    throw new KataError('invalid_argument', `annotation ${show(name)}: its name is too long`);
  }
  const row = find(name, configuration);
  if (!row) {
    wishes.ignored.push({ name, why: unknown(name, PREFIX, RUNTIME_ROWS) });
    return;
  }
  if (row.refused !== undefined) throw notSupported(name, row.refused);
  if (row.gate !== 'free') checkEnabled(name, row, configuration);
  const entry = row.key === undefined ? undefined : schemaOf(row.key, configuration.remote !== undefined);
  if (row.relied && entry?.effect === 'ignored') throw notSupported(name, entry.why ?? 'it has no effect');
  row.apply({
    name,
    text,
    configuration,
    set: (path, value) => wishes.set(name, path, value),
    compare: (asset, sha512) => void wishes.hashes.push({ name, asset, sha512 }),
  });
  if (row.ignored !== undefined) wishes.ignored.push({ name, why: row.ignored });
}

/** Keys set by annotations that the configuration as a whole has no use for. */
function ignoredKeys({ ignored }: Configuration): Ignored[] {
  return ignored.flatMap(({ file, why }) =>
    file.startsWith(SET_BY) ? [{ name: file.slice(SET_BY.length), why }] : [],
  );
}

/** @returns undefined for one that is ignored */
function find(name: string, { remote }: Configuration): Row | undefined {
  const own = (rows: Rows, key: string): Row | undefined => (Object.hasOwn(rows, key) ? rows[key] : undefined);
  if (!name.startsWith(HYPERVISOR)) {
    return name.startsWith(PREFIX) ? own(RUNTIME_ROWS, name.slice(PREFIX.length)) : own(OTHER_ROWS, name);
  }
  const rows = remote ? REMOTE_ROWS : HYPERVISOR_ROWS;
  const row = own(rows, name.slice(HYPERVISOR.length));
  if (row) return row;
  // Kata's Rust runtime too refuses those that it does not know.
  if (remote) throw notSupported(name, `[${REMOTE}] knows no such annotation`);
  throw notSupported(name, unknown(name, HYPERVISOR, rows));
}

function unknown(name: string, prefix: string, rows: Rows): string {
  const meant = nearest(name.slice(prefix.length), Object.keys(rows));
  return `no such annotation is known${meant === undefined ? '' : `; did you mean ${prefix}${meant}?`}`;
}

function checkEnabled(name: string, row: Row, configuration: Configuration): void {
  const { enableAnnotations, values } = configuration;
  const key = name.slice(HYPERVISOR.length);
  const names = row.alsoEnabledBy === undefined ? [key] : [key, row.alsoEnabledBy];
  const listed = row.gate === 'listed';
  if (listed ? lists(enableAnnotations, key) : enables(enableAnnotations, names)) return;
  const where = placeOf(configuration, values.hypervisor, 'enable_annotations');
  const how = listed
    ? `add ${show(key)} itself, since no expression opens the arguments of programs and kernels, to`
    : `add ${show(key)} to`;
  throw new KataError(
    'permission_denied',
    `annotation ${show(name)} is not enabled; the node's administrator can ${how} ${where}`,
  );
}

/** More than the most is told, not made the most: `reconfigure` alone would raise it. */
function checkVcpus(before: Configuration, after: Configuration, overrides: Merged): void {
  const keys = overrides.get(before.values.hypervisor);
  const most = keys?.has('default_maxvcpus') ? Number(keys.get('default_maxvcpus')?.value) : before.maxVcpus;
  if (!keys || after.vcpus <= most) return;
  throw new KataError(
    'invalid_argument',
    `annotation ${HYPERVISOR}default_vcpus or default_max_vcpus: ${after.vcpus} CPUs are more than the ${most} that the virtual machine may have`,
  );
}

function located(configuration: Configuration, hash: Wishes['hashes'][number]): AssetHash {
  const { values, qemuPath } = configuration;
  const paths: Readonly<Record<HashedAsset, string | undefined>> = {
    hypervisor: qemuPath,
    kernel: configuration.kernel,
    image: configuration.image,
    initrd: configuration.initrd,
    firmware: values.string(values.hypervisor, 'firmware', ''),
    firmware_volume: values.string(values.hypervisor, 'firmware_volume', ''),
  };
  const path = paths[hash.asset];
  if (path) return { name: hash.name, path, sha512: hash.sha512 };
  throw new KataError(
    'failed_precondition',
    `annotation ${hash.name}: the virtual machine has no ${hash.asset} that could be compared; remove the annotation`,
  );
}

function notSupported(name: string, why: string): KataError {
  const advice = why.endsWith('?') ? '' : '; remove it from the pod';
  return new KataError('unimplemented', `annotation ${show(name)} is not supported: ${why}${advice}`);
}
