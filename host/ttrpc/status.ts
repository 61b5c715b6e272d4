/** The one mapping between KataError and a ttrpc status (google.rpc.Status). */
import { CODES, type Code, KataError, reasonOf } from '../error.ts';

/** Longest status message sent or taken from a peer, UTF-16 units; the rest is cut. */
export const MAX_STATUS_TEXT = 16 * 1024;

const NAMES = new Map<number, Code>(Object.entries(CODES).map(([name, code]) => [code, name as Code]));

export interface StatusValue {
  readonly code: number;
  readonly message: string;
}

/** What the caller is told of an error: a KataError's code, else `unknown`. */
export function statusOf(thrown: unknown): StatusValue {
  const code = thrown instanceof KataError ? CODES[thrown.code] : CODES.unknown;
  // A failure must never look like success.
  return { code: code === CODES.ok ? CODES.unknown : code, message: cut(reasonOf(thrown)) };
}

/** The error a peer's status stands for; a code without a name is `unknown`. */
export function errorOf(code: number, message: string): KataError {
  return new KataError(NAMES.get(code) ?? 'unknown', cut(message));
}

function cut(text: string): string {
  return text.length > MAX_STATUS_TEXT ? `${text.slice(0, MAX_STATUS_TEXT)}…` : text;
}
