/**
 * OCI documents as we read them and as Go does (encoding/json into runtime-spec's types, which is how containerd and Kata's
 * Go shim read them). What we read differently, and why:
 *
 * Refused by us alone
 * - Text that is not UTF-8: Go puts U+FFFD in its place, so that two different paths may become one.
 * - U+0000 in what is carried over: the kernel would end the string there.
 * - More than MAX_DEPTH levels (Go: 10 000) and more than MAX_INPUT bytes (Go: no limit).
 * - `null` in place of the document: a container of nothing.
 * - Numbers beyond the protocol's 32 bits where Go has `uint` (consoleSize, errnoRet, seccomp's argument index).
 *
 * Taken by us alone
 * - Any value where the protocol has no field: it is checked to be JSON and dropped.
 * - -0 where a number has no sign, and weights of block I/O above 16 bits, which the kernel's limit refuses.
 *
 * Taken by both, but not for the same
 * - Keys in another case than the specification's are unknown to us, as they are to crun and to Kata's Rust shim.
 * - Of a key that occurs twice we take the last value whole; Go merges objects into what came before.
 */
import { deepStrictEqual } from 'node:assert';
import { isUtf8 } from 'node:buffer';
import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BAD_UTF8, EXPECTED_OBJECT, NUL_CHARACTER, OUT_OF_RANGE, TOO_DEEP } from '../../assembly/oci/errors.ts';
import { core } from '../../host/core/core.ts';
import { type Document, Fault } from '../../host/oci/fault.ts';
import { OCI_NAMES } from '../../host/oci/names.ts';
import { translateInWasm } from '../../host/oci/translate-wasm.ts';
import { change, damage, messageOf, spaces, type Tree, write } from '../unit/oci/documents.ts';
import { reading } from '../unit/oci/oracle.ts';
import { GoSpec } from './go-spec.ts';

const SEED = 20_261_121;
const FIXTURES = new URL('../fixtures/oci/', import.meta.url);
const DOCUMENTS = ['Spec', 'Process', 'LinuxResources'] as const;

/** Faults of documents that Go takes. */
const STRICTER = new Set([BAD_UTF8, NUL_CHARACTER, TOO_DEEP]);
/** Fields of runtime-spec that the protocol has no place for, as Go names them in errors. */
const NOT_CARRIED =
  /\.(uidMappings|gidMappings|scheduler|ioPriority|execCPUAffinity|commandLine|timeOffsets|intelRdt|solaris|windows|vm|zos|rdma|netDevices|memoryPolicy|listenerPath|listenerMetadata|checkBeforeUpdate)\b/;

const go = new GoSpec();
const spec = suite('OCI documents, by us and by Go');

function ours(document: Document, json: Uint8Array): Uint8Array | Fault {
  try {
    return translateInWasm(core().exports, document, json);
  } catch (thrown) {
    if (thrown instanceof Fault) return thrown;
    throw thrown;
  }
}

/** What a document says: without messages that say nothing, which Go writes where a struct is no pointer. */
function meaning(document: Document, encoded: Uint8Array): unknown {
  const bare = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map((item) => bare(item) ?? {});
    if (typeof value !== 'object' || value === null) return value;
    const entries = Object.entries(value).map(([key, item]) => [key, bare(item)] as const);
    const said = entries.filter(([, item]) => item !== undefined);
    return said.length > 0 ? Object.fromEntries(said) : undefined;
  };
  return bare(reading(document, encoded));
}

/** Both read the same in a document that both take. */
async function same(document: Document, json: Uint8Array, encoded: Uint8Array, again: string): Promise<void> {
  const theirs = ours(document, Buffer.from(again));
  if (theirs instanceof Fault) throw new Error(`Go wrote what we refuse (${theirs.message}): ${again}`);
  deepStrictEqual(meaning(document, encoded), meaning(document, theirs), Buffer.from(json).toString());
}

for (const name of readdirSync(FIXTURES)) {
  spec(`${name}: the same`, async () => {
    const json = readFileSync(new URL(name, FIXTURES));
    const { verdict, text } = await go.ask('Spec', json);
    assert.is(verdict, 'accepted', text);
    await same('Spec', json, ours('Spec', json) as Uint8Array, text);
  });
}

for (const document of DOCUMENTS) {
  spec(`any ${document}: the same`, async () => {
    let compared = 0;
    await fc.assert(
      fc.asyncProperty(messageOf(document), spaces, async (tree, space) => {
        const json = Buffer.from(write(once(tree), space));
        const encoded = ours(document, json);
        assert.ok(!(encoded instanceof Fault), json.toString());
        const { verdict, text } = await go.ask(document, json);
        if (verdict === 'mistyped' && /of type uint16$/.test(text)) return;
        assert.is(verdict, 'accepted', `${text}: ${json}`);
        await same(document, json, encoded as Uint8Array, text);
        compared++;
      }),
      { seed: SEED, numRuns: 1500 },
    );
    assert.ok(compared > 1000, `${compared} compared`);
  });
}

spec('damaged documents: the same verdict, or a difference that is listed above', async () => {
  const whole = readFileSync(new URL('every-field.json', FIXTURES));
  const met = new Map<string, number>();
  await fc.assert(
    fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 3 }), async (changes) => {
      const json = damage(whole, changes);
      const kind = await compare(json);
      met.set(kind, (met.get(kind) ?? 0) + 1);
    }),
    { seed: SEED, numRuns: 6000 },
  );
  for (const kind of ['both take', 'both refuse', 'stricter']) assert.ok((met.get(kind) ?? 0) > 20, kind);
});

/** @throws where the difference is none that is listed */
async function compare(json: Uint8Array): Promise<string> {
  const encoded = ours('Spec', json);
  const { verdict, text } = await go.ask('Spec', json);
  const shown = `Go ${verdict} (${text.slice(0, 300)}), we ${encoded instanceof Fault ? encoded.message : 'take it'}: ${Buffer.from(json).toString('latin1')}`;
  if (encoded instanceof Fault) {
    if (verdict !== 'accepted') return 'both refuse';
    const isWide = encoded.code === OUT_OF_RANGE || encoded.code === EXPECTED_OBJECT;
    assert.ok(STRICTER.has(encoded.code) || isWide || !isUtf8(json), shown);
    return 'stricter';
  }
  assert.is.not(verdict, 'not JSON', shown);
  if (verdict === 'mistyped') {
    assert.ok(NOT_CARRIED.test(text) || /number -0 |of type uint16$/.test(text), shown);
    return 'laxer';
  }
  // A changed key may differ from another only in its case.
  if (!hasOddCase(json)) await same('Spec', json, encoded, text);
  return 'both take';
}

const KEYS = new Set(Object.values(OCI_NAMES).flatMap((names) => Object.keys(names)));
const FOLDED = new Set([...KEYS].map((key) => key.toLowerCase()));

/** Whether some key is one of the specification's but for its case. */
function hasOddCase(json: Uint8Array): boolean {
  let found = false;
  JSON.parse(Buffer.from(json).toString(), (key, value: unknown) => {
    if (!KEYS.has(key) && FOLDED.has(key.toLowerCase())) found = true;
    return value;
  });
  return found;
}

const LISTED: readonly (readonly [
  json: string | Uint8Array,
  us: 'take' | 'refuse',
  go: string,
  document?: Document,
])[] = [
  [Buffer.from([...Buffer.from('{"hostname":"a'), 0xff, ...Buffer.from('"}')]), 'refuse', 'accepted'],
  ['{"hostname":"a\\u0000"}', 'refuse', 'accepted'],
  [`{"x":${'['.repeat(64)}${']'.repeat(64)}}`, 'refuse', 'accepted'],
  [`{"x":${'['.repeat(20_000)}${']'.repeat(20_000)}}`, 'refuse', 'not JSON'],
  ['null', 'refuse', 'accepted'],
  ['{"process":{"consoleSize":{"height":4294967296}}}', 'refuse', 'accepted'],
  ['{"linux":{"intelRdt":{"closID":5}}}', 'take', 'mistyped'],
  ['{"process":{"user":{"uid":-0}}}', 'take', 'mistyped'],
  ['{"blockIO":{"weight":65536}}', 'take', 'mistyped', 'LinuxResources'],
  ['{"oomScoreAdj":1.0}', 'refuse', 'mistyped', 'Process'],
  ['{"oomScoreAdj":1e2}', 'refuse', 'mistyped', 'Process'],
  ['{"hostname":5}', 'refuse', 'mistyped'],
  ['{"mounts":{}}', 'refuse', 'mistyped'],
  ['\ufeff{}', 'refuse', 'not JSON'],
  ['{} x', 'refuse', 'not JSON'],
  ['{"Hostname":"h"}', 'take', 'accepted'],
  ['{"root":{"path":"a"},"root":{"readonly":true}}', 'take', 'accepted'],
];

for (const [json, us, theirs, document = 'Spec'] of LISTED) {
  const bytes = Buffer.from(json as string);
  spec(`${bytes.subarray(0, 50).toString('latin1')}: we ${us}, Go: ${theirs}`, async () => {
    assert.is(ours(document, bytes) instanceof Fault ? 'refuse' : 'take', us);
    const { verdict, text } = await go.ask(document, bytes);
    assert.is(verdict, theirs, text);
  });
}

spec.after(() => go.close());
spec.run();

/** The same document with every key once. */
function once(tree: Tree): Tree {
  if ('text' in tree) return tree;
  if ('list' in tree) return { list: tree.list.map(once) };
  return { members: [...new Map(tree.members)].map(([key, value]) => [key, once(value)]) };
}
