/** What a sandbox's shim says, with the sandbox's name on every series. Kata's own shims are read as well. */
import { OF_SANDBOXES, SANDBOX_LABELS } from '../metrics/catalogue.ts';
import { type Description, escapedLabel, type Families, type MetricType, type Suffix } from '../metrics/family.ts';
import { familyOf, numberOf, parseText, SHIM_LIMITS, textOfLabels, withoutControls } from '../metrics/parse.ts';

export interface SandboxName {
  readonly id: string;
  /** Of its pod; each may be empty. */
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
}

/** Families of ours, of Kata's, and of every Prometheus client; the monitor's own are nobody else's. */
const NAME = /^kata_(?!monitor_)[a-zA-Z0-9_]+$/;
const CLIENT_NAME = /^(go|process)_[a-zA-Z0-9_]+$/;
const RESERVED: ReadonlySet<string> = new Set(SANDBOX_LABELS);
/** Longest value of a sandbox's label, characters. */
export const MAX_NAME_LENGTH = 256;

/** What a text says of its families. */
interface Said {
  type?: MetricType;
  help?: string;
}

/**
 * Adds a sandbox's metrics.
 * @param descriptions of families that are not in the catalogue, by name: the same for all sandboxes of one scrape
 * @returns how many lines were not taken
 */
export function addSandboxText(
  families: Families,
  text: string,
  sandbox: SandboxName,
  descriptions: Map<string, Description> = new Map(),
  wanted: (family: string) => boolean = () => true,
): number {
  const said = new Map<string, Said>();
  const suffix = sandboxLabels(sandbox);
  return parseText(text, SHIM_LIMITS, {
    described(name, what) {
      if (said.size < SHIM_LIMITS.families || said.has(name)) said.set(name, { ...said.get(name), ...what });
    },
    sample(name, labels, value) {
      const found = placeOf(name, said, descriptions);
      if (!found || !areLabels(labels, found)) return false;
      const [description, end] = found;
      if (!wanted(description.name)) return true;
      const own = textOfLabels(labels);
      return families.add(description, own === '' ? suffix : `${own},${suffix}`, value, end);
    },
  });
}

/** The family that a sample belongs to, and what its name adds to the family's. */
function placeOf(
  sample: string,
  said: ReadonlyMap<string, Said>,
  descriptions: Map<string, Description>,
): readonly [Description, Suffix] | undefined {
  const [base, suffix] = familyOf(sample);
  for (const [name, end] of [
    [sample, ''],
    [base, suffix],
  ] as const) {
    const known = OF_SANDBOXES.get(name);
    if (known && hasSuffix(known.type, end)) return [known, end];
  }
  const renamed = publicName(sample);
  if (renamed === undefined) return undefined;
  const ofBase = suffix === '' ? undefined : typeOf(said.get(base)?.type, descriptions.get(publicName(base) ?? ''));
  const isPart = ofBase !== undefined && hasSuffix(ofBase, suffix);
  const type = typeOf(said.get(isPart ? base : sample)?.type, descriptions.get(renamed)) ?? 'untyped';
  const name = isPart ? (publicName(base) as string) : renamed;
  const end = isPart ? suffix : '';
  if (!hasSuffix(type, end)) return undefined;
  return [describe(name, type, said.get(isPart ? base : sample)?.help, descriptions), end] as const;
}

/** What all sandboxes of a scrape call a family: as the first of them did. */
function typeOf(said: MetricType | undefined, described: Description | undefined): MetricType | undefined {
  return described?.type ?? said;
}

function describe(
  name: string,
  type: MetricType,
  help: string | undefined,
  descriptions: Map<string, Description>,
): Description {
  let description = descriptions.get(name);
  if (!description) {
    description = { name, type, help: help || 'Reported by the shim' };
    descriptions.set(name, description);
  }
  return description;
}

/** The name under which a family is told; undefined: it is not. */
function publicName(name: string): string | undefined {
  if (NAME.test(name)) return name;
  return CLIENT_NAME.test(name) ? `kata_shim_${name}` : undefined;
}

/** Whether a sample of a family of this type may be called so. */
function hasSuffix(type: MetricType, suffix: Suffix): boolean {
  if (type === 'histogram') return suffix !== '';
  if (type === 'summary') return suffix !== '_bucket';
  return suffix === '';
}

function areLabels(labels: ReadonlyMap<string, string>, [{ type }, suffix]: readonly [Description, Suffix]): boolean {
  for (const name of labels.keys()) if (RESERVED.has(name) || name.startsWith('__')) return false;
  const isNumber = (name: string): boolean => numberOf(labels.get(name) ?? '') !== undefined;
  if (type === 'histogram' && suffix === '_bucket') return isNumber('le');
  if (type === 'summary' && suffix === '') return isNumber('quantile');
  return !labels.has('le') && (!labels.has('quantile') || type !== 'summary');
}

/** The labels of a sandbox, as they are written. */
export function sandboxLabels({ id, uid, name, namespace }: SandboxName): string {
  return [id, uid, name, namespace]
    .map((value, i) => `${SANDBOX_LABELS[i]}="${escapedLabel(withoutControls(value.slice(0, MAX_NAME_LENGTH)))}"`)
    .join(',');
}
