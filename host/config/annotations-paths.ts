/**
 * Paths of the host that a pod may name: only files that exist, and that a list of the configuration allows once every link and
 * every `..` on the way has been followed. What is used from then on is the path that was found.
 */
import { realpathSync, type Stats, statSync } from 'node:fs';
import { posix } from 'node:path';
import { KataError } from '../error.ts';
import { show } from './values.ts';

/** Longest path, characters. */
export const MAX_PATH_LENGTH = 1024;

/** A list of the configuration: patterns as a shell's, where `*` and `?` stop at a slash. */
export interface PathList {
  /** As messages name it: the file where it was set, table and key. */
  readonly key: string;
  readonly patterns: readonly string[];
}

/** What has to be there. */
export type PathKind = 'file' | 'program' | 'directory' | 'device';

const KINDS: Readonly<Record<PathKind, { readonly fits: (stat: Stats) => boolean; readonly words: string }>> = {
  file: { fits: (stat) => stat.isFile(), words: 'a regular file' },
  // What others may write, or own, is not the administrator's any more.
  program: {
    fits: (stat) => stat.isFile() && (stat.mode & 0o111) !== 0 && (stat.mode & 0o002) === 0 && isOurs(stat),
    words: "an executable file of root's that others may not write",
  },
  directory: { fits: (stat) => stat.isDirectory(), words: 'a directory' },
  device: { fits: (stat) => stat.isCharacterDevice(), words: 'a character device' },
};

/**
 * The file that an annotation names.
 * @returns its path without links
 * @throws KataError `permission_denied` for one outside the list, whether it exists or not; `failed_precondition` for one inside
 *   that is not there, or of another kind; `invalid_argument` for what is no absolute path
 */
export function allowedPath(name: string, text: string, list: PathList, kind: PathKind): string {
  checkText(name, text);
  const found = resolved(text);
  // Of what is outside the list nothing is told, not even that it is there.
  if (!matches(list.patterns, found ?? posix.normalize(text))) throw outside(name, text, list);
  if (found === undefined) {
    throw new KataError('failed_precondition', `annotation ${name}: there is no ${show(text)} on this node`);
  }
  const stat = statSync(found, { throwIfNoEntry: false });
  if (stat && KINDS[kind].fits(stat)) return found;
  throw new KataError('failed_precondition', `annotation ${name}: ${show(text)} must be ${KINDS[kind].words}`);
}

/**
 * A path of the guest's, where no link can be followed from here: it has to be written in full.
 * @throws KataError as `allowedPath`
 */
export function allowedGuestPath(name: string, text: string, list: PathList): string {
  checkText(name, text);
  if (posix.normalize(text) !== text || text.endsWith('/')) {
    throw new KataError(
      'invalid_argument',
      `annotation ${name} is ${show(text)}; it must be written without "." and "..", and without slashes twice or last`,
    );
  }
  if (!list.patterns.some((pattern) => matchesPattern(pattern, text))) throw outside(name, text, list);
  return text;
}

/** Whether a pattern matches a path from end to end. `*`, `?` and `[…]` stop at a slash; a backslash takes a character as it is. */
export function matchesPattern(pattern: string, path: string): boolean {
  const wanted = pattern.split('/');
  const names = path.split('/');
  return wanted.length === names.length && wanted.every((part, at) => matchesName(part, names[at] ?? ''));
}

function isOurs({ uid }: Stats): boolean {
  return uid === 0 || uid === process.geteuid?.();
}

function checkText(name: string, text: string): void {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  if (text.startsWith('/') && text.length <= MAX_PATH_LENGTH && !/[\u0000-\u001f\u007f]/.test(text)) return;
  throw new KataError(
    'invalid_argument',
    `annotation ${name} is ${show(text)}; it must be an absolute path of at most ${MAX_PATH_LENGTH} characters`,
  );
}

function outside(name: string, text: string, { key, patterns }: PathList): KataError {
  const why = patterns.length === 0 ? 'is empty' : 'does not allow it';
  return new KataError(
    'permission_denied',
    `annotation ${name} names ${show(text)}, and ${key} ${why}; the node's administrator can add a pattern there`,
  );
}

function resolved(path: string): string | undefined {
  try {
    return realpathSync.native(path);
  } catch {
    return undefined;
  }
}

/** The administrator's own links are followed as well: `/opt/kata/current/*` is what `current` leads to. */
function matches(patterns: readonly string[], path: string): boolean {
  return patterns.some((pattern) => matchesPattern(pattern, path) || matchesPattern(unlinked(pattern), path));
}

/** A pattern with the links of the directories before its first wildcard followed. */
function unlinked(pattern: string): string {
  const parts = pattern.split('/');
  const wild = parts.findIndex((part) => /[*?[\\]/.test(part));
  const fixed = wild < 0 ? parts.length : wild;
  const head = parts.slice(0, fixed).join('/');
  const found = head === '' ? '' : resolved(head);
  if (found === undefined) return pattern;
  // A directory's own name may hold what would be a wildcard.
  const plain = found.replace(/[*?[\]\\]/g, '\\$&');
  return [plain === '/' ? '' : plain, ...parts.slice(fixed)].join('/');
}

/** In steps of pattern times name: after a mismatch the last `*` takes one character more. */
function matchesName(pattern: string, name: string): boolean {
  const tokens = tokensOf(pattern);
  const characters = [...name];
  let token = 0;
  let at = 0;
  let star = -1;
  let taken = 0;
  while (at < characters.length) {
    const current = tokens[token];
    if (current === '*') {
      star = token++;
      taken = at;
    } else if (current !== undefined && fits(current, characters[at] ?? '')) {
      token++;
      at++;
    } else if (star >= 0) {
      token = star + 1;
      at = ++taken;
    } else return false;
  }
  return tokens.slice(token).every((rest) => rest === '*');
}

/** `*`, `?`, `[…]` with its brackets, or a backslash and a character. */
function tokensOf(pattern: string): string[] {
  return pattern.match(/\*|\?|\[\^?[^\]]+\]|\\.|[^*?\\]/gsu) ?? [];
}

function fits(token: string, character: string): boolean {
  if (token === '?') return true;
  if (token.startsWith('\\')) return token.slice(1) === character;
  if (token.length === 1) return token === character;
  const negated = token.startsWith('[^');
  const members = token.slice(negated ? 2 : 1, -1);
  return inClass(members, character) !== negated;
}

function inClass(members: string, character: string): boolean {
  for (let at = 0; at < members.length; at++) {
    const first = members[at] ?? '';
    const last = members[at + 1] === '-' && at + 2 < members.length ? (members[at + 2] ?? '') : first;
    if (character >= first && character <= last) return true;
    if (last !== first) at += 2;
  }
  return false;
}
