/**
 * What containerd 1.6, 1.7 and 2.1 really called (test/fixtures/shim-calls), put on the wire again: every request is
 * found by the scanners, dispatched, decoded, and encodes to the same bytes again.
 */
import { deepStrictEqual } from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { RECORD_FAULT, RECORD_PAYLOAD, RECORD_PAYLOAD_LENGTH, RECORD_STREAM } from '../../../assembly/layout.ts';
import { decode, encode, type MessageType } from '../../../host/proto/codec.ts';
import { Status } from '../../../host/proto/messages/containerd_task.ts';
import { EventsService } from '../../../host/proto/messages/events_ttrpc.ts';
import { SandboxService } from '../../../host/proto/messages/sandbox.ts';
import { TaskService } from '../../../host/proto/messages/task_v2.ts';
import { TaskService as TaskServiceV3 } from '../../../host/proto/messages/task_v3.ts';
import { Dispatch } from '../../../host/ttrpc/dispatch.ts';
import { type MethodTable, service } from '../../../host/ttrpc/types.ts';
import { implementations, scan } from './implementations.ts';
import { request, response } from './wire.ts';

const CALLS = new URL('../../fixtures/shim-calls/', import.meta.url);
const SERVICES: Readonly<Record<string, MethodTable>> = {
  'containerd.task.v2.Task': TaskService,
  'containerd.task.v3.Task': TaskServiceV3,
  'containerd.runtime.sandbox.v1.Sandbox': SandboxService,
  'containerd.services.events.ttrpc.v1.Events': EventsService,
};

interface Recorded {
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

type Message = Record<string, unknown>;

const handled = Object.entries(SERVICES).map(([name, methods]) =>
  service(name, methods, Object.fromEntries(Object.keys(methods).map((method) => [method, () => ({})]))),
);
const dispatch = new Dispatch(handled);

for (const file of readdirSync(CALLS)) {
  const test = suite(`recorded: ${file}`);
  const lines = readFileSync(new URL(file, CALLS), 'utf8').trim().split('\n');
  const recorded = lines.map((line) => JSON.parse(line) as Recorded);
  const requests = recorded.filter(({ ev }) => ev === 'req');

  test('requests', () => {
    assert.ok(requests.length > 10);
    for (const { name, scanner } of implementations) {
      for (const call of requests) {
        const [type] = methodOf(call.service, call.method);
        const value = messageFrom(type, call.request ?? {});
        const payload = encode(type, value);
        const metadata = Object.entries(call.metadata ?? {}).map(([key, text]) => ({ key, value: text }));
        const { service: serviceName, method, timeout_nano = 0, sid } = call;
        const frame = request(sid, { service: serviceName, method, payload, timeout_nano, metadata });
        const [record = []] = scan(scanner, frame);
        assert.equal([record[RECORD_STREAM], record[RECORD_FAULT]], [sid, 0], name);
        const served = dispatch.find(scanner, 0);
        assert.is(Buffer.from(served.method).toString(), method);
        assert.is(served.request, type);
        const start = record[RECORD_PAYLOAD] as number;
        const copy = scanner.bytes.slice(start, start + (record[RECORD_PAYLOAD_LENGTH] as number));
        const back = decode(served.request, copy) as Message;
        deepStrictEqual(partOf(back, value), value);
        assert.is(Buffer.compare(encode(served.request, back), payload), 0);
      }
    }
  });

  test('responses', () => {
    const open = new Map<string, Recorded>();
    for (const call of recorded) {
      const key = `${call.conn}/${call.sid}`;
      if (call.ev === 'req') {
        open.set(key, call);
        continue;
      }
      const [, type] = methodOf((open.get(key) as Recorded).service, call.method);
      const payload = encode(type, messageFrom(type, call.response ?? {}));
      for (const { scanner } of implementations) {
        const [record = []] = scan(scanner, response(call.sid, { status: call.status, payload }));
        assert.equal([record[RECORD_STREAM], record[RECORD_FAULT]], [call.sid, 0]);
        const start = record[RECORD_PAYLOAD] as number;
        const copy = scanner.bytes.slice(start, start + (record[RECORD_PAYLOAD_LENGTH] as number));
        assert.is(Buffer.compare(encode(type, decode(type, copy) as Message), payload), 0);
      }
    }
  });

  test.run();
}

function methodOf(serviceName: string, method: string): [MessageType<Message>, MessageType<Message>] {
  const found = SERVICES[serviceName]?.[method];
  assert.ok(found, `${serviceName}/${method}`);
  return found as unknown as [MessageType<Message>, MessageType<Message>];
}

/** The message that a recording shows as JSON; each of its names must be a field. */
function messageFrom(type: MessageType<unknown>, json: unknown): Message {
  const out: Message = {};
  const fields = new Map(type.fields().map((field) => [field[1], field]));
  for (const [name, item] of Object.entries(json as Message)) {
    const field = fields.get(name);
    assert.ok(field, `${type.name} has no field ${name}`);
    const [, , kind, occurs] = field as NonNullable<typeof field>;
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

/** `whole`, without the fields that `part` does not have. */
function partOf(whole: unknown, part: unknown): unknown {
  if (Array.isArray(part)) return part.map((item, i) => partOf((whole as unknown[])[i], item));
  if (typeof part !== 'object' || part === null || part instanceof Uint8Array) return whole;
  const out = Object.create(Object.getPrototypeOf(part)) as Message;
  for (const key of Object.keys(part)) out[key] = partOf((whole as Message)[key], (part as Message)[key]);
  return out;
}
