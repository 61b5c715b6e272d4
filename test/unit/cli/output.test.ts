/** What reaches a terminal. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { settingsText } from '../../../host/cli/env/text.ts';
import { cell, escapeInQuotes, jsonText, table } from '../../../host/cli/output.ts';

const test = suite('output of kata-runtime');
const EVIL = 'a\x1b[2J\x07\x9b31m\u202e\u{e0041}\r\nb\tc';
/** Anything but printable text and line feeds. */
const UNSAFE = /[^\P{C}\n]/u;

test('a table has a row a line, whatever is in its cells', () => {
  const text = table([
    ['ID', 'NAME'],
    ['x', EVIL],
    ['longer', 'y'],
  ]);
  assert.is(text.split('\n').length, 4);
  assert.not.match(text, UNSAFE);
  assert.ok(text.startsWith('ID      NAME\nx       a\\x1b[2J'));
  assert.not.match(cell(EVIL), /[\n\t]/);
});

test('JSON is safe, and the same when it is read', () => {
  const text = jsonText({ [EVIL]: [EVIL] });
  assert.not.match(text, UNSAFE);
  assert.equal(JSON.parse(text), { [EVIL]: [EVIL] });
  assert.is(jsonText({ a: 1 }, 0), '{"a":1}');
});

test('TOML likewise', async () => {
  const { parse } = await import('smol-toml');
  const text = await settingsText({ A: { Name: EVIL } }, false);
  assert.not.match(text, UNSAFE);
  assert.is((parse(text).A as { Name: string }).Name, EVIL);
  assert.is(escapeInQuotes('ä "ß" 世'), 'ä "ß" 世');
});

test.run();
