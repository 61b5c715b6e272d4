import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { CODES, KataError } from '../../../host/error.ts';
import { decode, encode } from '../../../host/proto/codec.ts';
import type { Any } from '../../../host/proto/messages/google.ts';
import { Status } from '../../../host/proto/messages/rpc_status.ts';
import { Response } from '../../../host/proto/messages/ttrpc.ts';
import { errorOf, MAX_STATUS_DETAILS, MAX_STATUS_TEXT, StatusError, statusOf } from '../../../host/ttrpc/status.ts';

const test = suite('ttrpc status');

const DETAILS: Any[] = [
  { type_url: 'type.googleapis.com/google.rpc.ErrorInfo', value: Buffer.from('one') },
  { type_url: 'unknown/thing', value: Buffer.of(0xff) },
];

test('codes there and back', () => {
  for (const [code, number] of Object.entries(CODES)) {
    if (code === 'ok') continue;
    const error = errorOf(number, 'text');
    assert.is(error.code, code);
    assert.equal(statusOf(error), { code: number, message: 'text', details: new Uint8Array(0) });
  }
  assert.is(errorOf(99, 'x').code, 'unknown');
  assert.is(errorOf(-1, 'x').code, 'unknown');
});

test('a failure is never success', () => {
  assert.is(statusOf(new KataError('ok', 'odd')).code, CODES.unknown);
  assert.is(statusOf('a string').code, CODES.unknown);
  assert.is(statusOf(undefined).message, 'undefined');
});

test('details there and back', () => {
  const { code, message, details } = statusOf(new StatusError('aborted', 'text', DETAILS));
  assert.equal([code, message], [CODES.aborted, 'text']);
  const read = decode(Status, details).details;
  assert.equal(
    read.map(({ type_url, value }) => [type_url, Buffer.from(value)]),
    DETAILS.map(({ type_url, value }) => [type_url, value]),
  );
  const error = errorOf(77, 'text', encode(Response, { status: { code: 77, details: DETAILS } })) as StatusError;
  assert.equal([error.code, error.status, error.details.length], ['unknown', 77, 2]);
  assert.is(error.details, error.details, 'read once');
});

test('details of two statuses in one response are all there', () => {
  const response = Buffer.concat(DETAILS.map((detail) => encode(Response, { status: { code: 5, details: [detail] } })));
  assert.is((errorOf(5, 'x', response) as StatusError).details.length, 2);
});

test('details that cannot be read', () => {
  assert.equal((errorOf(5, 'x', Uint8Array.of(0x0a, 2, 0x1a, 5)) as StatusError).details, []);
});

test('limits', () => {
  assert.is(statusOf(new Error('x'.repeat(MAX_STATUS_TEXT + 5))).message.length, MAX_STATUS_TEXT + 1);
  const value = Buffer.alloc(MAX_STATUS_DETAILS - 8);
  assert.ok(statusOf(new StatusError('aborted', 'x', [{ value }])).details.length > value.length);
  const large = Buffer.alloc(MAX_STATUS_DETAILS);
  assert.is(statusOf(new StatusError('aborted', 'x', [{ value: large }])).details.length, 0);
});

test.run();
