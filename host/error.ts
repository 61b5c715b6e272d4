/**
 * The one error class. Its code becomes the ttrpc status in host/ttrpc/status.ts and nowhere else.
 * A message says what went wrong, with which value, and what to do about it.
 */

/** gRPC status codes by name, https://grpc.io/docs/guides/status-codes/ */
export const CODES = {
  ok: 0,
  cancelled: 1,
  unknown: 2,
  invalid_argument: 3,
  deadline_exceeded: 4,
  not_found: 5,
  already_exists: 6,
  permission_denied: 7,
  resource_exhausted: 8,
  failed_precondition: 9,
  aborted: 10,
  out_of_range: 11,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  data_loss: 15,
  unauthenticated: 16,
} as const;

export type Code = keyof typeof CODES;

export class KataError extends Error {
  override readonly name = 'KataError';

  constructor(
    readonly code: Code,
    message: string,
    options?: { cause?: unknown },
  ) {
    super(message, options);
  }
}

/** The text of whatever was thrown. */
export function reasonOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
