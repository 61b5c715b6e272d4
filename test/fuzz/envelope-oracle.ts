/** Envelopes as others read them: protobufjs what they say, the table codec whether they are messages at all. */
import { deepStrictEqual, strictEqual } from 'node:assert/strict';
import protobuf from 'protobufjs';
import { RECORD_CODE, RECORD_METADATA_LENGTH, RECORD_TIMEOUT_HIGH, RECORD_TIMEOUT_LOW } from '../../assembly/layout.ts';
import { decode, type MessageType, message, ProtoError } from '../../host/proto/codec.ts';
import { hasGroup, hasLongVarint } from './protobuf.ts';

const type = (name: string, ...fields: protobuf.Field[]): protobuf.Type => {
  const made = new protobuf.Type(name);
  for (const field of fields) made.add(field);
  return made;
};
const field = protobuf.Field;
/** As the scanner reads them: strings and what is nested in metadata stay bytes. */
const RequestOracle = type(
  'Request',
  new field('service', 1, 'bytes'),
  new field('method', 2, 'bytes'),
  new field('payload', 3, 'bytes'),
  new field('timeout', 4, 'int64'),
  new field('metadata', 5, 'bytes', 'repeated'),
);
const StatusOracle = type('Status', new field('code', 1, 'int32'), new field('message', 2, 'bytes'));
const ResponseOracle = type('Response', new field('status', 1, 'Status'), new field('payload', 2, 'bytes'));
new protobuf.Root().add(RequestOracle).add(StatusOracle).add(ResponseOracle);

interface Request {
  service: Uint8Array;
  method: Uint8Array;
  payload: Uint8Array;
  timeout: { low: number; high: number } | number;
  metadata: Uint8Array[];
}
interface Response {
  status: { code: number; message: Uint8Array } | null;
  payload: Uint8Array;
}

/** The same as tables of ours. */
const RequestTable = message('fuzz.Request', () => [
  [1, 'service', 'bytes'],
  [2, 'method', 'bytes'],
  [3, 'payload', 'bytes'],
  [4, 'timeout', 'int64'],
  [5, 'metadata', 'bytes', 'repeated'],
]);
const StatusTable = message('fuzz.Status', () => [
  [1, 'code', 'int32'],
  [2, 'message', 'bytes'],
  [3, 'details', 'bytes', 'repeated'],
]);
const ResponseTable = message('fuzz.Response', () => [
  [1, 'status', StatusTable],
  [2, 'payload', 'bytes'],
]);

/** Whether the codec takes the bytes for a message. */
export function isRequest(data: Uint8Array): boolean {
  return isMessage(RequestTable, data);
}

export function isResponse(data: Uint8Array): boolean {
  return isMessage(ResponseTable, data);
}

function isMessage(type: MessageType<unknown>, data: Uint8Array): boolean {
  try {
    decode(type, data);
    return true;
  } catch (error) {
    if (error instanceof ProtoError) return false;
    throw error;
  }
}

/** @param found service, method, payload and metadata, as the record places them */
export function checkRequest(records: Uint32Array, record: number, data: Uint8Array, found: Uint8Array[]): void {
  const expected = decoded<Request>(RequestOracle, data);
  if (!expected) return;
  const [service, method, payload, metadata] = found as [Uint8Array, Uint8Array, Uint8Array, Uint8Array];
  same(service, expected.service, 'service');
  same(method, expected.method, 'method');
  same(payload, expected.payload, 'payload');
  const { low, high } =
    typeof expected.timeout === 'number'
      ? { low: expected.timeout, high: expected.timeout < 0 ? -1 : 0 }
      : expected.timeout;
  strictEqual(records[record + RECORD_TIMEOUT_LOW], low >>> 0, 'timeout, low word');
  strictEqual(records[record + RECORD_TIMEOUT_HIGH], high >>> 0, 'timeout, high word');
  const entries = decoded<Request>(RequestOracle, metadata);
  deepStrictEqual(entries?.metadata.map(hex), expected.metadata.map(hex), 'metadata');
  strictEqual(metadata.length, records[record + RECORD_METADATA_LENGTH]);
}

/** @param found status message and payload, as the record places them */
export function checkResponse(records: Uint32Array, record: number, data: Uint8Array, found: Uint8Array[]): void {
  const expected = decoded<Response>(ResponseOracle, data);
  if (!expected) return;
  const [text, payload] = found as [Uint8Array, Uint8Array];
  strictEqual((records[record + RECORD_CODE] as number) | 0, expected.status?.code ?? 0, 'status code');
  same(text, expected.status?.message ?? new Uint8Array(0), 'status message');
  same(payload, expected.payload, 'payload');
}

/** What protobufjs reads; undefined for what it alone refuses, as Go does not: long forms of tags and lengths, deep groups. */
function decoded<T>(oracle: protobuf.Type, data: Uint8Array): T | undefined {
  try {
    return oracle.decode(data) as unknown as T;
  } catch (error) {
    if (hasLongVarint(data) || hasGroup(data)) return undefined;
    throw error;
  }
}

function same(found: Uint8Array, wanted: ArrayLike<number>, what: string): void {
  // protobufjs' default is an array.
  const expected = wanted instanceof Uint8Array ? wanted : Uint8Array.from(wanted);
  if (Buffer.compare(found, expected) !== 0) strictEqual(hex(found), hex(expected), what);
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
