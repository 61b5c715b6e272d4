import { deepStrictEqual } from 'node:assert';
import { isUtf8 } from 'node:buffer';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Document } from '../../../host/oci/fault.ts';
import { BUILDS, faultOf } from './builds.ts';
import { change, damage, junk, messageOf, spaces, write } from './documents.ts';
import { oracle, reading } from './oracle.ts';

const SEED = 20_240_229;
const DOCUMENTS = ['Spec', 'Process', 'LinuxResources'] as const;

const properties = suite('OCI properties');

for (const document of DOCUMENTS) {
  properties(`any ${document} is translated as protobufjs has it`, () => {
    fc.assert(
      fc.property(messageOf(document), spaces, (tree, space) => {
        const json = write(tree, space);
        const expected = oracle(document, json);
        for (const { name, translate } of BUILDS) {
          const encoded = translate(document, Buffer.from(json));
          deepStrictEqual(reading(document, encoded), reading(document, expected), name);
          // No field occurs twice: rust-protobuf, which Kata's agent uses, would take the last occurrence alone.
          assert.is(encoded.length, expected.length, name);
        }
      }),
      { seed: SEED, numRuns: 400 },
    );
  });
}

/** The same answer of every build; undefined: translated. */
function verdict(document: Document, json: Uint8Array): string | undefined {
  const faults = BUILDS.map((build) => faultOf(build.translate, document, json));
  const words = faults.map((fault) => (fault ? `${fault.code} at ${fault.offset}` : undefined));
  for (const word of words) assert.is(word, words[0], Buffer.from(json).toString('latin1'));
  return words[0];
}

function isJson(json: Uint8Array): boolean {
  if (!isUtf8(json)) return false;
  try {
    // Not toString, which drops a byte order mark.
    JSON.parse(new TextDecoder('utf-8', { ignoreBOM: true }).decode(json));
    return true;
  } catch {
    return false;
  }
}

properties('a damaged document: all builds agree, and what they translate is JSON', () => {
  const whole = readFileSync(new URL('../../fixtures/oci/every-field.json', import.meta.url));
  let translated = 0;
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), (changes) => {
      const json = damage(whole, changes);
      if (verdict('Spec', json) !== undefined) return;
      translated++;
      assert.ok(isJson(json), Buffer.from(json).toString('latin1'));
    }),
    { seed: SEED, numRuns: 2000 },
  );
  assert.ok(translated > 20, `${translated} documents survived`);
});

properties('JSON below an unknown key is skipped, and nothing else is', () => {
  fc.assert(
    fc.property(junk, spaces, fc.array(change, { maxLength: 2 }), (tree, space, changes) => {
      const value = damage(Buffer.from(write(tree, space)), changes);
      const json = Buffer.concat([Buffer.from('{"unknown":'), value, Buffer.from('}')]);
      // A change may close the value and go on with known keys: then only the builds' agreement counts.
      const agreed = verdict('Spec', json);
      if (isJson(value)) assert.is(agreed, undefined, json.toString('latin1'));
      if (!isJson(json)) assert.is.not(agreed, undefined, json.toString('latin1'));
    }),
    { seed: SEED, numRuns: 2000 },
  );
});

properties('any bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (json) => {
      const agreed = verdict('Process', json);
      if (!isJson(json)) assert.is.not(agreed, undefined);
    }),
    { seed: SEED, numRuns: 1000 },
  );
});

properties.run();
