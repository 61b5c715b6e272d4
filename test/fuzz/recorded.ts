/** What mutation begins with: traffic and documents that containerd 1.6, 1.7, 2.1, ctr and docker really sent. */
import { readdirSync, readFileSync } from 'node:fs';
import { encode, type MessageType } from '../../host/proto/codec.ts';
import { Status } from '../../host/proto/messages/containerd_task.ts';
import { EventsService } from '../../host/proto/messages/events_ttrpc.ts';
import { SandboxService } from '../../host/proto/messages/sandbox.ts';
import { TaskService } from '../../host/proto/messages/task_v2.ts';
import { TaskService as TaskServiceV3 } from '../../host/proto/messages/task_v3.ts';
import { Request, Response } from '../../host/proto/messages/ttrpc.ts';
import type { MethodTable } from '../../host/ttrpc/types.ts';

const FIXTURES = new URL('../fixtures/', import.meta.url);
const SERVICES: Readonly<Record<string, MethodTable>> = {
  'containerd.task.v2.Task': TaskService,
  'containerd.task.v3.Task': TaskServiceV3,
  'containerd.runtime.sandbox.v1.Sandbox': SandboxService,
  'containerd.services.events.ttrpc.v1.Events': EventsService,
};

interface Line {
  readonly ev: 'req' | 'resp';
  readonly conn: number;
  readonly sid: number;
  readonly service: string;
  readonly method: string;
  readonly timeout_nano?: number;
  readonly metadata?: Record<string, string>;
  readonly request?: unknown;
  readonly response?: unknown;
  readonly status?: { code: number; message: string };
}

type Values = Record<string, unknown>;

/** A message as it was sent: its type and its bytes. */
export interface Sent {
  readonly type: MessageType<Values>;
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
  const directory = new URL('oci/', FIXTURES);
  return readdirSync(directory).map((name) => new Uint8Array(readFileSync(new URL(name, directory))));
}

export function recordedTraffic(): Recorded {
  const requests = new Map<string, Uint8Array>();
  const responses = new Map<string, Uint8Array>();
  const messages = new Map<string, Sent>();
  const keep = (type: MessageType<unknown>, bytes: Uint8Array): void => {
    messages.set(`${type.name} ${keyOf(bytes)}`, { type: type as MessageType<Values>, bytes });
  };
  for (const name of readdirSync(new URL('shim-calls/', FIXTURES))) {
    const services = new Map<string, string>();
    for (const line of readFileSync(new URL(`shim-calls/${name}`, FIXTURES), 'utf8')
      .trim()
      .split('\n')) {
      const call = JSON.parse(line) as Line;
      const stream = `${call.conn}/${call.sid}`;
      if (call.ev === 'req') services.set(stream, call.service);
      const types = SERVICES[services.get(stream) ?? '']?.[call.method];
      if (!types) continue;
      if (call.ev === 'req') {
        const payload = encode(types[0], valuesOf(types[0], call.request ?? {}));
        const metadata = Object.entries(call.metadata ?? {}).map(([key, value]) => ({ key, value }));
        const { service, method, timeout_nano = 0 } = call;
        const bytes = encode(Request, { service, method, payload, timeout_nano, metadata });
        requests.set(keyOf(bytes), bytes);
        keep(types[0], payload);
        keep(Request, bytes);
      } else {
        const payload = encode(types[1], valuesOf(types[1], call.response ?? {}));
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

/** The message that a recording shows as JSON. */
function valuesOf(type: MessageType<unknown>, json: unknown): Values {
  const out: Values = {};
  for (const [, name, kind, occurs] of type.fields()) {
    const item = (json as Values)[name];
    if (item === undefined) continue;
    const one = (value: unknown): unknown => {
      if (typeof kind === 'object') return valuesOf(kind, value);
      // What an Any holds was recorded decoded, the one enum of these services by name.
      if (kind === 'bytes') return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));
      if (kind === 'int32' && typeof value === 'string') return Status[value as keyof typeof Status];
      return value;
    };
    if (occurs === 'repeated') out[name] = (item as unknown[]).map(one);
    else if (occurs === 'map')
      out[name] = Object.fromEntries(Object.entries(item as Values).map(([key, value]) => [key, one(value)]));
    else out[name] = one(item);
  }
  return out;
}
