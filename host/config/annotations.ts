/**
 * What a pod may say of its own virtual machine, by annotations `io.katacontainers.…`. Whoever may make pods writes them. Each is
 * a key of configuration.toml set otherwise: within the node's limits, and as far as its administrator lets pods go
 * (`enable_annotations`, `valid_*_paths`). The table of all is in ./annotations-hypervisor.ts and ./annotations-runtime.ts.
 */
import type { Configuration } from './configuration.ts';

/** Before every annotation of Kata's, and before those that stand for keys. */
export const PREFIX = 'io.katacontainers.';
export const CONFIG_PREFIX = 'io.katacontainers.config.';
/** The one of Kata's that is not below it. */
export const SGX = 'sgx.intel.com/epc';
/** What Kata's own programs write, and storage: they are no wishes of the pod about its machine. */
const NOT_OURS = ['io.katacontainers.pkg.', 'io.katacontainers.fs-opt.', 'io.katacontainers.volume'];
/** Most annotations of this kind a pod may have, and the longest name, characters. */
export const MAX_ANNOTATIONS = 128;
export const MAX_NAME_LENGTH = 128;

/** An annotation without effect, for the log. */
export interface Ignored {
  readonly name: string;
  readonly why: string;
}

/** A file that has to be what a pod says it is. */
export interface AssetHash {
  /** Annotation that says so. */
  readonly name: string;
  readonly path: string;
  /** 128 hexadecimal digits. */
  readonly sha512: string;
}

export interface Annotated {
  readonly configuration: Configuration;
  readonly ignored: readonly Ignored[];
  /** To be compared before the virtual machine starts. */
  readonly hashes: readonly AssetHash[];
}

/**
 * Applies a pod's annotations.
 * @param annotations of the sandbox, not of containers in it
 * @throws KataError `permission_denied` for one that the configuration does not let pods use, naming the key that would;
 *   `unimplemented` for one that we do not have; `invalid_argument` for a value; what `reconfigure` throws
 */
export async function annotate(
  configuration: Configuration,
  annotations: Readonly<Record<string, string>>,
): Promise<Annotated> {
  const names = Object.keys(annotations).filter(concerns);
  if (names.length === 0) return { configuration, ignored: [], hashes: [] };
  // Most pods have none.
  const { applyAnnotations } = await import('./annotations-apply.ts');
  return applyAnnotations(configuration, new Map(names.sort().map((name) => [name, annotations[name] ?? ''])));
}

function concerns(name: string): boolean {
  return name === SGX || (name.startsWith(PREFIX) && !NOT_OURS.some((prefix) => name.startsWith(prefix)));
}
