/** A command line that cannot be understood. */
import type { Command } from './command.ts';

export class UsageError extends Error {
  override readonly name = 'UsageError';

  /** @param path the commands that were understood, outermost first */
  constructor(
    message: string,
    readonly path: readonly Command[] = [],
  ) {
    super(message);
  }
}
