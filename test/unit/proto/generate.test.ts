import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const ROOT = new URL('../../../', import.meta.url);
const MESSAGES = new URL('host/proto/messages/', ROOT);

test('the committed tables are what proto/*.proto generate', async () => {
  const { generate } = (await import(new URL('proto/generate.mjs', ROOT).href)) as {
    generate: () => Map<string, string>;
  };
  const generated = generate();
  assert.equal(readdirSync(MESSAGES).sort(), [...generated.keys()].sort());
  for (const [name, text] of generated) {
    assert.is(readFileSync(new URL(name, MESSAGES), 'utf8'), text, `${name} is stale: run npm run proto`);
  }
});

test.run();
