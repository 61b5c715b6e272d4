/** The one mapping between KataError and a ttrpc status (google.rpc.Status). */
import {
  RECORD_CODE,
  RECORD_DETAILS,
  RECORD_DETAILS_LENGTH,
  RECORD_TEXT,
  RECORD_TEXT_LENGTH,
} from '../../assembly/layout.ts';
import { CODES, type Code, KataError, reasonOf } from '../error.ts';
import { decode, encode, type Init } from '../proto/codec.ts';
import type { Any } from '../proto/messages/google.ts';
import { Status } from '../proto/messages/rpc_status.ts';
import { Response } from '../proto/messages/ttrpc.ts';
import type { FrameScanner } from './frames.ts';

/** Longest status message sent or taken from a peer, UTF-16 units; the rest is cut. */
export const MAX_STATUS_TEXT = 16 * 1024;
/** Most bytes of a status' details, encoded, that are sent or kept of a peer's; beyond this there are none. */
export const MAX_STATUS_DETAILS = 64 * 1024;

const NAMES = new Map<number, Code>(Object.entries(CODES).map(([name, code]) => [code, name as Code]));
const NO_DETAILS = new Uint8Array(0);

export interface StatusValue {
  readonly code: number;
  readonly message: string;
  /** Details fields of a google.rpc.Status, encoded. */
  readonly details: Uint8Array;
}

/** An error with a status' details: what a peer sent, or what a handler adds to its error. */
export class StatusError extends KataError {
  #details: readonly Init<Any>[] | undefined;
  readonly #encoded: Uint8Array;

  /**
   * @param details messages, or a peer's response that holds them: it is read when they are first asked for
   * @param status the number on the wire; codes without a name keep theirs
   */
  constructor(
    code: Code,
    message: string,
    details: readonly Init<Any>[] | Uint8Array,
    readonly status: number = CODES[code],
  ) {
    super(code, message);
    this.#details = details instanceof Uint8Array ? undefined : details;
    this.#encoded = details instanceof Uint8Array ? details : NO_DETAILS;
  }

  /** Empty where the peer sent something else. Their types and what they hold are the peer's words: trust neither. */
  get details(): readonly Init<Any>[] {
    this.#details ??= detailsIn(this.#encoded);
    return this.#details;
  }
}

/** What the caller is told of an error: a KataError's code, else `unknown`. */
export function statusOf(thrown: unknown): StatusValue {
  const code = thrown instanceof KataError ? CODES[thrown.code] : CODES.unknown;
  const details = thrown instanceof StatusError ? encodeDetails(thrown.details) : NO_DETAILS;
  // A failure must never look like success.
  return { code: code === CODES.ok ? CODES.unknown : code, message: cut(reasonOf(thrown)), details };
}

/**
 * The error a peer's status stands for; a code without a name is `unknown`.
 * @param response a ttrpc.Response with the status' details; it is kept
 */
export function errorOf(code: number, message: string, response: Uint8Array = NO_DETAILS): KataError {
  const name = NAMES.get(code) ?? 'unknown';
  if (response.length === 0) return new KataError(name, cut(message));
  return new StatusError(name, cut(message), response, code);
}

/** The error that a failed response stands for: its record starts at word `record`. */
export function errorIn({ records, bytes }: FrameScanner, record: number): KataError {
  const start = records[record + RECORD_TEXT] as number;
  // Cut before decoding: at most 4 bytes a UTF-16 unit count.
  const length = Math.min(records[record + RECORD_TEXT_LENGTH] as number, MAX_STATUS_TEXT * 4);
  const text = new TextDecoder().decode(bytes.subarray(start, start + length));
  const details = records[record + RECORD_DETAILS] as number;
  const detailsLength = records[record + RECORD_DETAILS_LENGTH] as number;
  const kept = detailsLength <= MAX_STATUS_DETAILS ? bytes.slice(details, details + detailsLength) : undefined;
  return errorOf((records[record + RECORD_CODE] as number) | 0, text, kept);
}

function detailsIn(response: Uint8Array): readonly Init<Any>[] {
  try {
    return decode(Response, response).status?.details ?? [];
  } catch {
    // The status itself was readable; details that are not must not hide it.
    return [];
  }
}

function encodeDetails(details: readonly Init<Any>[]): Uint8Array {
  const encoded = details.length === 0 ? NO_DETAILS : encode(Status, { details });
  return encoded.length > MAX_STATUS_DETAILS ? NO_DETAILS : encoded;
}

function cut(text: string): string {
  return text.length > MAX_STATUS_TEXT ? `${text.slice(0, MAX_STATUS_TEXT)}…` : text;
}
