/**
 * What containerd 1.6, 1.7 and 2.1 really called (test/fixtures/shim-calls), put on the wire again: every request is
 * found by the scanners, dispatched, decoded, and encodes to the same bytes again.
 */
import { deepStrictEqual } from 'node:assert/strict';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { RECORD_FAULT, RECORD_PAYLOAD, RECORD_PAYLOAD_LENGTH, RECORD_STREAM } from '../../../assembly/layout.ts';
import { decode, encode, type MessageType } from '../../../host/proto/codec.ts';
import { Dispatch } from '../../../host/ttrpc/dispatch.ts';
import { service } from '../../../host/ttrpc/types.ts';
import {
  type Message,
  messageFrom,
  RECORDED_SERVICES,
  type RecordedCall,
  recordedCalls,
} from '../../harness/recorded-calls.ts';
import { implementations, scan } from './implementations.ts';
import { request, response } from './wire.ts';

const handled = Object.entries(RECORDED_SERVICES).map(([name, methods]) =>
  service(name, methods, Object.fromEntries(Object.keys(methods).map((method) => [method, () => ({})]))),
);
const dispatch = new Dispatch(handled);

for (const [file, recorded] of recordedCalls()) {
  const test = suite(`recorded: ${file}`);
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
    const open = new Map<string, RecordedCall>();
    for (const call of recorded) {
      const key = `${call.conn}/${call.sid}`;
      if (call.ev === 'req') {
        open.set(key, call);
        continue;
      }
      const [, type] = methodOf((open.get(key) as RecordedCall).service, call.method);
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
  const found = RECORDED_SERVICES[serviceName]?.[method];
  assert.ok(found, `${serviceName}/${method}`);
  return found as unknown as [MessageType<Message>, MessageType<Message>];
}

/** `whole`, without the fields that `part` does not have. */
function partOf(whole: unknown, part: unknown): unknown {
  if (Array.isArray(part)) return part.map((item, i) => partOf((whole as unknown[])[i], item));
  if (typeof part !== 'object' || part === null || part instanceof Uint8Array) return whole;
  const out = Object.create(Object.getPrototypeOf(part)) as Message;
  for (const key of Object.keys(part)) out[key] = partOf((whole as Message)[key], (part as Message)[key]);
  return out;
}
