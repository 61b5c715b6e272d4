/** What containerd 1.6, 1.7 and 2.1 really called, and were answered: test/fixtures/shim-calls. */
import { readdirSync, readFileSync } from 'node:fs';
import type { MessageType } from '../../host/proto/codec.ts';
import { Status } from '../../host/proto/messages/containerd_task.ts';
import { EventsService } from '../../host/proto/messages/events_ttrpc.ts';
import { SandboxService } from '../../host/proto/messages/sandbox.ts';
import { TaskService } from '../../host/proto/messages/task_v2.ts';
import { TaskService as TaskServiceV3 } from '../../host/proto/messages/task_v3.ts';
import type { MethodTable } from '../../host/ttrpc/types.ts';

const CALLS = new URL('../fixtures/shim-calls/', import.meta.url);

/** The services that were called. */
export const RECORDED_SERVICES: Readonly<Record<string, MethodTable>> = {
  'containerd.task.v2.Task': TaskService,
  'containerd.task.v3.Task': TaskServiceV3,
  'containerd.runtime.sandbox.v1.Sandbox': SandboxService,
  'containerd.services.events.ttrpc.v1.Events': EventsService,
};

export interface RecordedCall {
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

export type Message = Record<string, unknown>;

/** Calls and answers in their order, by recording. */
export function recordedCalls(): ReadonlyMap<string, readonly RecordedCall[]> {
  return new Map(
    readdirSync(CALLS).map((file) => {
      const lines = readFileSync(new URL(file, CALLS), 'utf8').trim().split('\n');
      return [file, lines.map((line) => JSON.parse(line) as RecordedCall)];
    }),
  );
}

/**
 * The message that a recording shows as JSON.
 * @throws Error for a name that is none of the message's fields
 */
export function messageFrom(type: MessageType<unknown>, json: unknown): Message {
  const out: Message = {};
  const fields = new Map(type.fields().map((field) => [field[1], field]));
  for (const [name, item] of Object.entries(json as Message)) {
    const field = fields.get(name);
    if (!field) throw new Error(`${type.name} has no field ${name}`);
    const [, , kind, occurs] = field;
    const one = (value: unknown): unknown => {
      if (typeof kind === 'object') return messageFrom(kind, value);
      // What an Any holds was recorded decoded.
      if (kind === 'bytes')
        return new Uint8Array(Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)));
      // The one enum of these services; it was recorded by name.
      if (kind === 'int32' && typeof value === 'string') return Status[value as keyof typeof Status];
      return value;
    };
    if (occurs === 'repeated') out[name] = (item as unknown[]).map(one);
    else if (occurs === 'map') {
      const map: Message = Object.create(null);
      for (const [key, value] of Object.entries(item as Message)) map[key] = one(value);
      out[name] = map;
    } else out[name] = one(item);
  }
  return out;
}
