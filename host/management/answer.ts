/** What a request asks and what it is answered, apart from how either travels. */
import { type Code, KataError, reasonOf } from '../error.ts';
import { escapeText } from '../tail.ts';

/** Longest text of an error, characters: it may be the guest's. */
export const MAX_ERROR_TEXT = 4096;

export interface Asked {
  readonly query: URLSearchParams;
  readonly body: Buffer;
}

export interface Answered {
  /** Absent: 200. */
  readonly status?: number;
  /** Absent: plain text. */
  readonly type?: string;
  readonly body: string | Uint8Array;
}

export const TEXT = 'text/plain; charset=utf-8';
export const JSON_TYPE = 'application/json';

/** Of HTTP, by what went wrong. */
const STATUSES: Readonly<Record<Code, number>> = {
  ok: 200,
  cancelled: 503,
  unknown: 500,
  invalid_argument: 400,
  deadline_exceeded: 504,
  not_found: 404,
  already_exists: 409,
  permission_denied: 403,
  resource_exhausted: 507,
  failed_precondition: 409,
  aborted: 409,
  out_of_range: 400,
  unimplemented: 501,
  internal: 500,
  unavailable: 503,
  data_loss: 502,
  unauthenticated: 401,
};

export function json(value: unknown): Answered {
  return { type: JSON_TYPE, body: `${JSON.stringify(value)}\n` };
}

/** @param thrown whatever a route has thrown */
export function failed(thrown: unknown): Answered {
  const status = thrown instanceof KataError ? STATUSES[thrown.code] : 500;
  return { status, body: `${printable(reasonOf(thrown)).slice(0, MAX_ERROR_TEXT)}\n` };
}

/** For terminals of whoever asked. */
export function printable(text: string): string {
  return escapeText(text.slice(0, MAX_ERROR_TEXT));
}
