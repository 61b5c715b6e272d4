/** Requests that come again and again, byte for byte: a stream is read by thousands of the same. They are decoded once. */
import type { Request } from '../../host/proto/messages/ttrpc.ts';
import type { Method } from './service-table.ts';
import type { Sys } from './sys.ts';

/** Requests remembered: a few streams that are read at a time. */
export const MAX_REPEATED = 8;
/** Longest request that is remembered, bytes. */
export const MAX_REPEATED_BYTES = 512;

/** Methods whose requests are worth it. Handlers must not change them. */
const WORTH = ['ReadStdout', 'ReadStderr'];

/** A request, decoded. */
export interface Repeated {
  readonly data: Uint8Array;
  readonly request: Request;
  readonly method: Method;
  readonly message: unknown;
}

export class RepeatedRequests {
  private readonly known: Repeated[] = [];
  private next = 0;

  constructor(private readonly sys: Sys) {}

  find(data: Uint8Array): Repeated | undefined {
    for (const one of this.known) if (this.sys.same(one.data, data)) return one;
    return undefined;
  }

  /** @param repeated is kept, and the bytes with it */
  add(repeated: Repeated): void {
    if (!WORTH.includes(repeated.request.method) || repeated.data.length > MAX_REPEATED_BYTES) return;
    this.known[this.next] = repeated;
    this.next = (this.next + 1) % MAX_REPEATED;
  }
}
