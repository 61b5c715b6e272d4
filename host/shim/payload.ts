/** Documents that containerd sends as JSON within an Any. */
import { KataError } from '../error.ts';
import type { Any } from '../proto/messages/google.ts';

/** The JSON in an Any of the type it should be; a prefix before the name is allowed, as everywhere in protobuf. */
export function payloadOf(any: Any | undefined, type: string, what: string): Uint8Array {
  if (!any || !(any.type_url === type || any.type_url.endsWith(`/${type}`))) {
    throw new KataError(
      'invalid_argument',
      `${what} is of type ${JSON.stringify(any?.type_url ?? '')}; ${type} is expected`,
    );
  }
  return any.value;
}
