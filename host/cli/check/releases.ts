/** Newer releases, from the list that the environment names. Without one nothing is asked of any network. */
import { KataError, reasonOf } from '../../error.ts';
import type { Call } from '../call.ts';

/** How long the list may take, ms. */
export const RELEASES_MS = 10_000;
/** Largest list that is read, bytes, and most entries of it. */
export const MAX_LIST_BYTES = 4 * 1024 * 1024;
export const MAX_RELEASES = 1000;
/** Most characters of an entry's text. */
const MAX_TEXT = 512;

export interface Release {
  readonly version: string;
  readonly date: string;
  readonly url: string;
  readonly prerelease: boolean;
}

interface Wish {
  /** Every newer release, not only whether there is one. */
  readonly list: boolean;
  /** Pre-releases too. */
  readonly all: boolean;
}

/**
 * Tells of newer releases.
 * @returns the exit status: 1 where no list could be had
 */
export async function releases({ output, environment, version }: Call, { list, all }: Wish): Promise<number> {
  const address = environment.KATA_RELEASE_URL ?? '';
  if (address === '') {
    output.error(
      'no list of releases is known: set KATA_RELEASE_URL to one (https://…, JSON as GitHub\'s "releases"); this program asks nobody by itself',
    );
    return 1;
  }
  let newer: Release[];
  try {
    const known = releasesOf(JSON.parse(await download(address)));
    newer = known.filter((one) => (all || !one.prerelease) && compareVersions(one.version, version.version) > 0);
  } catch (thrown) {
    output.error(`no releases from ${address}: ${reasonOf(thrown)}`);
    return 1;
  }
  newer.sort((a, b) => compareVersions(b.version, a.version));
  const [newest] = newer;
  if (!newest) output.line(`No newer release available (this is ${version.version})`);
  else if (list) for (const one of newer) output.line(`${one.version};${one.date};${one.url}`);
  else
    output.line(
      `Newer release available: ${newest.version} (${newest.date}): ${newest.url}; this is ${version.version}`,
    );
  return 0;
}

/**
 * @param document parsed JSON: a list of GitHub's releases
 * @throws KataError `invalid_argument` when it is none
 */
export function releasesOf(document: unknown): Release[] {
  if (!Array.isArray(document)) throw new KataError('invalid_argument', 'the answer is no list of releases');
  return document.slice(0, MAX_RELEASES).flatMap((entry: unknown) => {
    if (typeof entry !== 'object' || entry === null) return [];
    const { tag_name: tag, published_at: date, html_url: url, prerelease, draft } = entry as Record<string, unknown>;
    const version = text(tag).replace(/^v/, '');
    if (draft === true || !parts(version)) return [];
    return [{ version, date: text(date), url: text(url), prerelease: prerelease === true || version.includes('-') }];
  });
}

/** By semver.org, without build metadata. A text that is no version is older than any. @returns below 0: `a` is older */
export function compareVersions(a: string, b: string): number {
  const left = parts(a);
  const right = parts(b);
  if (!left || !right) return (left ? 1 : 0) - (right ? 1 : 0);
  for (let at = 0; at < 3; at++) {
    const difference = (left.numbers[at] ?? 0) - (right.numbers[at] ?? 0);
    if (difference !== 0) return difference;
  }
  return comparePre(left.pre, right.pre);
}

function parts(version: string): { numbers: number[]; pre: string[] } | undefined {
  const match = /^(\d{1,9})\.(\d{1,9})\.(\d{1,9})(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?$/.exec(version);
  if (!match) return undefined;
  return { numbers: match.slice(1, 4).map(Number), pre: match[4]?.split('.') ?? [] };
}

/** A version without pre-release is newer than one with; numbers are older than words. */
function comparePre(a: readonly string[], b: readonly string[]): number {
  if (a.length === 0 || b.length === 0) return b.length - a.length;
  for (let at = 0; at < Math.max(a.length, b.length); at++) {
    const [left, right] = [a[at], b[at]];
    if (left === undefined || right === undefined) return left === undefined ? -1 : 1;
    if (left === right) continue;
    const [leftIsNumber, rightIsNumber] = [/^\d+$/.test(left), /^\d+$/.test(right)];
    if (leftIsNumber && rightIsNumber) return Number(left) - Number(right);
    if (leftIsNumber !== rightIsNumber) return leftIsNumber ? -1 : 1;
    return left < right ? -1 : 1;
  }
  return 0;
}

async function download(address: string): Promise<string> {
  const { protocol } = new URL(address);
  if (protocol !== 'https:' && protocol !== 'http:') throw new Error(`${protocol} is neither https: nor http:`);
  const signal = AbortSignal.timeout(RELEASES_MS);
  const answer = await fetch(address, { signal, headers: { accept: 'application/json' } }).catch((thrown: unknown) => {
    const { cause } = thrown as { cause?: unknown };
    throw signal.aborted ? new Error(`no answer within ${RELEASES_MS / 1000} s`) : (cause ?? thrown);
  });
  if (!answer.ok) throw new Error(`HTTP status ${answer.status}`);
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of answer.body ?? []) {
    length += chunk.length;
    if (length > MAX_LIST_BYTES) throw new Error(`the answer has more than ${MAX_LIST_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function text(value: unknown): string {
  return typeof value === 'string' ? value.slice(0, MAX_TEXT).replaceAll('\n', ' ') : '';
}
