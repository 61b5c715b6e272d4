/** What a handler throws; the ttrpc server answers with `code` and `message`. Anything else thrown is `internal`. */

/** gRPC status codes by name, https://grpc.io/docs/guides/status-codes/ */
export const CODES = {
  invalid_argument: 3,
  deadline_exceeded: 4,
  not_found: 5,
  already_exists: 6,
  permission_denied: 7,
  resource_exhausted: 8,
  failed_precondition: 9,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
} as const;

export type CodeName = keyof typeof CODES;

export class AgentError extends Error {
  override readonly name = 'AgentError';
  /** The status code as sent. */
  readonly code: number;

  constructor(code: CodeName, message: string) {
    super(message);
    this.code = CODES[code];
  }
}

/** The text of whatever was thrown. */
export function reasonOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** The errno's name of a failed system call, else an empty string. */
export function errnoOf(thrown: unknown): string {
  return thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : '';
}
