/** Our client of a peer's server. */
import * as assert from 'uvu/assert';
import { KataError, reasonOf } from '../../host/error.ts';
import type { Init } from '../../host/proto/codec.ts';
import type { TtrpcClient } from '../../host/ttrpc/client.ts';
import type { CallOptions, Method } from '../../host/ttrpc/types.ts';
import { PEER, PeerService } from './peer.ts';

/** Milliseconds until a call counts as lost. */
export const PATIENCE_MS = 20_000;
/** Bytes of a frame's data that the envelopes of Echo take at most. */
export const ENVELOPE_BYTES = 128;

type Unary = { [K in keyof typeof PeerService]: (typeof PeerService)[K] extends { length: 2 } ? K : never };
type UnaryName = Unary[keyof Unary];
type RequestOf<K extends UnaryName> = (typeof PeerService)[K] extends Method<infer Req, unknown> ? Init<Req> : never;
type ResponseOf<K extends UnaryName> = (typeof PeerService)[K] extends Method<infer _, infer Res> ? Res : never;

export class Caller {
  constructor(readonly client: TtrpcClient) {}

  call<K extends UnaryName>(
    name: K,
    request: RequestOf<K>,
    options: CallOptions = { timeoutMs: PATIENCE_MS },
  ): Promise<ResponseOf<K>> {
    const method = PeerService[name] as unknown as Method<never, never>;
    return this.client.call(PEER, name, method, request as never, options);
  }

  /** What comes back is what was sent. */
  async echo(value: Uint8Array): Promise<void> {
    const got = await this.call('Echo', { value });
    assert.is(Buffer.compare(got.value, value), 0, `${value.length} bytes`);
  }
}

/** What a call fails with. */
export async function failureOf(result: Promise<unknown>): Promise<KataError> {
  const error = await result.then(
    () => assert.unreachable('the call was to fail'),
    (thrown: unknown) => thrown,
  );
  assert.instance(error, KataError, reasonOf(error));
  return error as KataError;
}
