/**
 * Envelopes that chance made of recorded ones, read by our scanners and by ttrpc-go's own decoder: both read the same
 * fields, and refuse the same ones but those of leniency.ts. KATA_INTEROP_SEED and KATA_INTEROP_CASES choose others.
 */
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { WINDOW_BASE, WINDOW_BYTES } from '../../assembly/layout.ts';
import { core } from '../../host/core/core.ts';
import { JsScanner } from '../../host/ttrpc/frame-scanner.ts';
import { type FrameScanner, wasmScanner } from '../../host/ttrpc/frames.ts';
import { Chance, type Envelope, envelope, recorded } from './envelopes.ts';
import { decoder } from './go-peer.ts';
import { isSound } from './leniency.ts';
import { question, REFUSED, verdict, verdictEnd } from './verdict.ts';

const SEED = Number(process.env.KATA_INTEROP_SEED ?? 1);
const CASES = Number(process.env.KATA_INTEROP_CASES ?? 300_000);
/** Cases that are asked for at once. */
const BATCH = 5000;

const scanners: Readonly<Record<string, FrameScanner>> = {
  WASM: wasmScanner(core()),
  JavaScript: new JsScanner(new Uint8Array(WINDOW_BASE + WINDOW_BYTES)),
};
const base = recorded();
const test = suite("envelopes, read by us and by ttrpc-go's decoder");

test('recorded ones', async () => {
  assert.ok(base.length > 300, `${base.length} recorded`);
  assert.is(await compare(base), base.length);
});

test(`${CASES} mutations, seed ${SEED}`, async () => {
  const chance = new Chance(SEED);
  let accepted = 0;
  for (let left = CASES; left > 0; left -= BATCH) {
    const batch = Array.from({ length: Math.min(BATCH, left) }, () => envelope(chance, base));
    accepted += await compare(batch);
  }
  // Neither all garbage nor all sound: both kinds of verdict are put to the test.
  assert.ok(accepted > CASES / 10 && accepted < (CASES * 9) / 10, `${accepted} of ${CASES} were accepted`);
});

const peer = decoder();
const chunks = (peer.stdout as Readable)[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
/** What it has said beyond the last verdict that was asked for. */
let said: Buffer = Buffer.alloc(0);
test.after(async () => {
  peer.stdin?.end();
  await once(peer, 'exit');
});

/** @returns how many were accepted, by both */
async function compare(cases: readonly Envelope[]): Promise<number> {
  peer.stdin?.write(Buffer.concat(cases.map(question)));
  const theirs = await verdicts(cases);
  let accepted = 0;
  for (const [i, one] of cases.entries()) {
    for (const [name, scanner] of Object.entries(scanners)) {
      const ours = verdict(scanner, one);
      const their = theirs[i] as Buffer;
      const agreed = their.equals(REFUSED) ? ours.equals(REFUSED) || !isSound(one) : ours.equals(their) && isSound(one);
      if (agreed) continue;
      const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
      assert.unreachable(`${name}, ${one.type} ${hex(one.data)}: ours ${hex(ours)}, theirs ${hex(their)}`);
    }
    if (theirs[i]?.[0] === 1) accepted++;
  }
  return accepted;
}

async function verdicts(cases: readonly Envelope[]): Promise<Buffer[]> {
  const found: Buffer[] = [];
  let at = 0;
  for (;;) {
    while (found.length < cases.length && at < said.length) {
      const end = verdictEnd(cases[found.length]?.type ?? 'request', said, at);
      if (end === undefined) break;
      found.push(said.subarray(at, end));
      at = end;
    }
    said = said.subarray(at);
    at = 0;
    if (found.length === cases.length) return found;
    const { value, done } = await chunks.next();
    assert.not.ok(done, 'the decoder has ended');
    said = Buffer.concat([said, value]);
  }
}

test.run();
