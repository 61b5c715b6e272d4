/** Requests that come again are known by their bytes, and only those of reads are remembered. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { MAX_REPEATED, MAX_REPEATED_BYTES, type Repeated, RepeatedRequests } from '../../../guest/agent/repeated.ts';
import { nodeSys } from './node-sys.ts';

const test = suite('repeated requests');

function request(method: string, text: string): Repeated {
  const data = Buffer.from(text);
  const named = { service: 's', method, payload: data, timeout_nano: 0, metadata: [] };
  const kind = { request: undefined as never, response: undefined as never, handler: undefined };
  return { data, request: named as never, method: kind, message: text };
}

test('the same bytes are known, others are not', () => {
  const known = new RepeatedRequests(nodeSys());
  const one = request('ReadStdout', 'one');
  known.add(one);
  known.add(request('WriteStdin', 'never'));
  known.add(request('ReadStderr', 'x'.repeat(MAX_REPEATED_BYTES + 1)));
  assert.is(known.find(Buffer.from('one')), one);
  for (const other of ['', 'on', 'onf', 'one ', 'never', 'x'.repeat(MAX_REPEATED_BYTES + 1)])
    assert.is(known.find(Buffer.from(other)), undefined, other);
});

test('the oldest is forgotten', () => {
  const known = new RepeatedRequests(nodeSys());
  for (let i = 0; i <= MAX_REPEATED; i++) known.add(request('ReadStderr', `r${i}`));
  assert.is(known.find(Buffer.from('r0')), undefined);
  for (let i = 1; i <= MAX_REPEATED; i++) assert.is(known.find(Buffer.from(`r${i}`))?.message, `r${i}`);
});

test.run();
