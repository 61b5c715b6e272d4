/** What a sandbox is called, and the names derived from it. */
import { createHash } from 'node:crypto';
import { KataError } from '../error.ts';

/** Longest identifier containerd itself accepts, characters. */
export const MAX_IDENTIFIER_LENGTH = 76;
/** Where sandboxes keep their sockets and state. */
export const RUNTIME_DIRECTORY = '/run/kata-containers';
/** Where containerd expects the sockets of shims. */
export const SOCKET_DIRECTORY = '/run/containerd/s';
/** Hex digits of a sandbox's key: 128 bits are unique, and leave room in a socket path. */
const KEY_DIGITS = 32;
/** containerd's rule for ids and namespaces: words of letters and digits, joined by single `.`, `_` or `-`. */
const IDENTIFIER = /^[A-Za-z0-9]+([._-][A-Za-z0-9]+)*$/;

export interface Identity {
  readonly namespace: string;
  readonly id: string;
  /** containerd's gRPC socket. */
  readonly address: string;
  /** SHA-256 of `<address>/<namespace>/<id>`, lower-case hex. */
  readonly hash: string;
  /** Names the sandbox on disk. */
  readonly key: string;
  /** `/run/kata-containers/<key>` */
  readonly directory: string;
}

/**
 * @param what names the value in the error, e.g. `id`
 * @throws KataError `invalid_argument`
 */
export function checkIdentifier(what: string, value: string): void {
  if (value === '') throw new KataError('invalid_argument', `${what} must not be empty`);
  if (value.length > MAX_IDENTIFIER_LENGTH) {
    throw new KataError(
      'invalid_argument',
      `${what} ${JSON.stringify(`${value.slice(0, MAX_IDENTIFIER_LENGTH)}…`)} has ${value.length} characters; at most ${MAX_IDENTIFIER_LENGTH} are allowed`,
    );
  }
  if (!IDENTIFIER.test(value)) {
    throw new KataError(
      'invalid_argument',
      `${what} ${JSON.stringify(value)} is not valid: use letters and digits, joined by single dots, dashes or underscores`,
    );
  }
}

/**
 * @param runtimeDirectory absolute; tests use their own
 * @throws KataError `invalid_argument` for a namespace or id that containerd would not accept either
 */
export function identify(
  address: string,
  namespace: string,
  id: string,
  runtimeDirectory: string = RUNTIME_DIRECTORY,
): Identity {
  checkIdentifier('namespace', namespace);
  checkIdentifier('id', id);
  const hash = createHash('sha256').update(`${address}/${namespace}/${id}`).digest('hex');
  const key = hash.slice(0, KEY_DIGITS);
  return { namespace, id, address, hash, key, directory: `${runtimeDirectory}/${key}` };
}
