/** The agent's way back from grpc.Spec to config.json: always JSON that is an OCI spec again, and says the same of all but linux when it is read again. */
import { strictEqual } from 'node:assert/strict';
import { configOf, type GuestPlace, jsonText } from '../../../guest/agent/oci-config.ts';
import { Fault } from '../../../host/oci/fault.ts';
import { translateOrFault } from '../../../host/oci/translate-js.ts';
import { decode } from '../../../host/proto/codec.ts';
import { Spec } from '../../../host/proto/messages/oci.ts';
import { makeDocument } from '../documents.ts';
import type { Target } from '../target.ts';

const PLACE: GuestPlace = { rootfs: '/run/rootfs', cgroupsPath: '/pod/container', selinux: true };

export function configTarget(): Target {
  return {
    name: 'config',
    room: 64 * 1024,
    generate: makeDocument,
    check(input) {
      const spec = translated(input.subarray(1));
      if (!spec) return;
      const config = configOf(decode(Spec, spec), PLACE);
      const text = jsonText(config);
      JSON.parse(text);
      const again = configOf(decode(Spec, translateOrFault('Spec', Buffer.from(text))), PLACE);
      // Device rules tell "any" from 0 by absence, which the protocol cannot: linux reads otherwise.
      strictEqual(jsonText({ ...again, linux: undefined }), jsonText({ ...config, linux: undefined }));
    },
  };
}

/** Undefined for what is no spec. */
function translated(json: Uint8Array): Uint8Array | undefined {
  try {
    return translateOrFault('Spec', json);
  } catch (thrown) {
    if (thrown instanceof Fault) return undefined;
    throw thrown;
  }
}
