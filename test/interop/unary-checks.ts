/** What our client asks of any peer's server. */
import type { Test } from 'uvu';
import * as assert from 'uvu/assert';
import { CODES } from '../../host/error.ts';
import { StatusError } from '../../host/ttrpc/status.ts';
import { MAX_DATA_BYTES } from '../../host/ttrpc/types.ts';
import { type Caller, ENVELOPE_BYTES, failureOf, PATIENCE_MS } from './caller.ts';
import { codeOf, pattern } from './peer.ts';

/** @param caller of a connection that the running test has to itself */
export function unaryChecks(test: Test, caller: () => Caller): void {
  test('echo of many sizes', async () => {
    const large = MAX_DATA_BYTES - ENVELOPE_BYTES;
    for (const size of [0, 1, 100, 127, 128, 4095, 16383, 16384, 32 << 10, 256 << 10, 300_000, 1 << 20, large])
      await caller().echo(pattern(size));
  });

  test('calls at the same time', async () => {
    const { client } = caller();
    const worker = async (index: number): Promise<void> => {
      for (let round = 0; round < 50; round++)
        await caller().echo(Buffer.from(`${index}/${round}`.padEnd(index * round, '.')));
    };
    await Promise.all(Array.from({ length: 64 }, (_, index) => worker(index)));
    assert.is(client.unmatched, 0);
  });

  test('a message of 4 MiB is refused before it is sent', async () => {
    const { code } = await failureOf(caller().call('Echo', { value: pattern(MAX_DATA_BYTES) }));
    assert.is(code, 'resource_exhausted');
    await caller().echo(pattern(100));
  });

  test('a deadline is told', async () => {
    const { value } = await caller().call('TimeLeft', {});
    assert.ok(value > 0 && value <= PATIENCE_MS, String(value));
    assert.is((await caller().call('TimeLeft', {}, {})).value, 0);
  });

  test('a deadline passes, here and there', async () => {
    const before = (await caller().call('Abandoned', {})).value;
    const { code } = await failureOf(caller().call('Sleep', { value: PATIENCE_MS }, { timeoutMs: 50 }));
    assert.is(code, 'deadline_exceeded');
    let after = before;
    for (const since = Date.now(); after === before && Date.now() - since < PATIENCE_MS; )
      after = (await caller().call('Abandoned', {})).value;
    assert.is(after, before + 1);
  });

  test('giving up leaves the connection usable', async () => {
    const { client } = caller();
    const given = new AbortController();
    const slow = failureOf(caller().call('Sleep', { value: 200 }, { signal: given.signal }));
    await caller().echo(pattern(100));
    given.abort();
    assert.is((await slow).code, 'cancelled');
    await caller().call('Sleep', { value: 300 });
    assert.is(client.unmatched, 1);
    assert.is(client.inFlight, 0);
  });

  test('metadata', async () => {
    const { value } = await caller().call('Metadata', {}, { metadata: { One: '1', umlaut: 'größe', empty: '' } });
    assert.is(value, 'empty=\none=1\numlaut=größe');
  });

  test('a status with code, message and details', async () => {
    const detail = { type_url: 'type.googleapis.com/google.protobuf.StringValue', value: Uint8Array.of(0x0a, 1, 0x31) };
    for (let code = 1; code <= CODES.unauthenticated; code++) {
      const message = `größer ${code}`;
      const error = await failureOf(caller().call('Fail', { code, message, details: [detail] }));
      assert.equal([error.code, error.message], [codeOf(code), message]);
      assert.instance(error, StatusError);
      assert.equal((error as StatusError).details, [detail]);
    }
  });
}
