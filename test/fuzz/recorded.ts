/** What mutation begins with: traffic and documents that containerd 1.6, 1.7, 2.1, ctr and docker really sent. */
import { readdirSync, readFileSync } from 'node:fs';
import { encode, type MessageType } from '../../host/proto/codec.ts';
import { Request, Response } from '../../host/proto/messages/ttrpc.ts';
import { type Message, messageFrom, RECORDED_SERVICES, recordedCalls } from '../harness/recorded-calls.ts';

const SPECS = new URL('../fixtures/oci/', import.meta.url);

/** A message as it was sent: its type and its bytes. */
export interface Sent {
  readonly type: MessageType<Message>;
  readonly bytes: Uint8Array;
}

export interface Recorded {
  /** Envelopes: ttrpc.Request and ttrpc.Response messages, each once. */
  readonly requests: readonly Uint8Array[];
  readonly responses: readonly Uint8Array[];
  /** What they carry, and the envelopes themselves. */
  readonly messages: readonly Sent[];
}

/** OCI documents: what containerd put into bundles. */
export function recordedSpecs(): readonly Uint8Array[] {
  return readdirSync(SPECS).map((name) => new Uint8Array(readFileSync(new URL(name, SPECS))));
}

export function recordedTraffic(): Recorded {
  const requests = new Map<string, Uint8Array>();
  const responses = new Map<string, Uint8Array>();
  const messages = new Map<string, Sent>();
  const keep = (type: MessageType<unknown>, bytes: Uint8Array): void => {
    messages.set(`${type.name} ${keyOf(bytes)}`, { type: type as MessageType<Message>, bytes });
  };
  for (const calls of recordedCalls().values()) {
    const services = new Map<string, string>();
    for (const call of calls) {
      const stream = `${call.conn}/${call.sid}`;
      if (call.ev === 'req') services.set(stream, call.service);
      const types = RECORDED_SERVICES[services.get(stream) ?? '']?.[call.method];
      if (!types) continue;
      if (call.ev === 'req') {
        const payload = encode(types[0], messageFrom(types[0], call.request ?? {}));
        const metadata = Object.entries(call.metadata ?? {}).map(([key, value]) => ({ key, value }));
        const { service, method, timeout_nano = 0 } = call;
        const bytes = encode(Request, { service, method, payload, timeout_nano, metadata });
        requests.set(keyOf(bytes), bytes);
        keep(types[0], payload);
        keep(Request, bytes);
      } else {
        const payload = encode(types[1], messageFrom(types[1], call.response ?? {}));
        const bytes = encode(Response, { status: call.status, payload });
        responses.set(keyOf(bytes), bytes);
        keep(types[1], payload);
        keep(Response, bytes);
      }
    }
  }
  return {
    requests: [...requests.values()],
    responses: [...responses.values()],
    messages: [...messages.values()],
  };
}

function keyOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1');
}
