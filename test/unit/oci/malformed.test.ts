import { deepStrictEqual } from 'node:assert';
import { readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import * as errors from '../../../assembly/oci/errors.ts';
import { KataError } from '../../../host/error.ts';
import { type Document, MAX_EXCERPT, MAX_PATH } from '../../../host/oci/fault.ts';
import { translate } from '../../../host/oci/translate.ts';
import { BUILDS, faultOf, refuses } from './builds.ts';
import { reading } from './oracle.ts';

const FIXTURE = new URL('../../fixtures/oci/every-field.json', import.meta.url);

function messageOf(json: string | Uint8Array, document: Document = 'Spec'): string {
  const messages = BUILDS.map(({ wasm }) => {
    try {
      translate(wasm, document, Buffer.from(json));
    } catch (thrown) {
      assert.instance(thrown, KataError);
      assert.is((thrown as KataError).code, 'invalid_argument');
      return (thrown as KataError).message;
    }
    return 'translated';
  });
  assert.is(new Set(messages).size, 1);
  return messages[0] as string;
}

const syntax = suite('malformed JSON');

syntax('a document that is cut off anywhere', () => {
  const json = Buffer.from(readFileSync(FIXTURE, 'utf8').trimEnd());
  for (const { translate } of BUILDS) translate('Spec', json);
  // From long to short, so that what follows in the WASM memory is just what was cut off.
  for (let length = json.length - 1; length >= 0; length--) {
    const faults = BUILDS.map((build) => faultOf(build.translate, 'Spec', json.subarray(0, length)));
    for (const fault of faults) {
      assert.ok(fault, `${length} bytes`);
      assert.ok(fault.offset <= length);
      deepStrictEqual([fault.code, fault.offset], [faults[0]?.code, faults[0]?.offset], `${length} bytes`);
    }
  }
});

syntax('no object', () => {
  for (const json of ['', ' ', 'null', '[]', '"x"', '7', 'true', '\u{feff}{}']) {
    refuses(json, errors.EXPECTED_OBJECT, json === ' ' ? 1 : 0);
  }
});

syntax('something after the document', () => {
  for (const rest of ['}', '{}', 'x', ',', '\0', '//']) refuses(`{} ${rest}`, errors.EXPECTED_END, 3);
});

syntax('punctuation', () => {
  refuses('{,}', errors.EXPECTED_KEY, 1);
  refuses('{"a":1,}', errors.EXPECTED_KEY, 7);
  refuses("{'a':1}", errors.EXPECTED_KEY, 1);
  refuses('{a:1}', errors.EXPECTED_KEY, 1);
  refuses('{"a" 1}', errors.EXPECTED_COLON, 5);
  refuses('{"hostname","x"}', errors.EXPECTED_COLON, 11);
  refuses('{"a":1 "b":2}', errors.EXPECTED_COMMA_OR_BRACE, 7);
  refuses('{"hostname":"x"]', errors.EXPECTED_COMMA_OR_BRACE, 15);
  refuses('{"a":[1 2]}', errors.EXPECTED_COMMA_OR_BRACKET, 8);
  refuses('{"mounts":[{}}', errors.EXPECTED_COMMA_OR_BRACKET, 13);
  refuses('{"a":[1,]}', errors.EXPECTED_VALUE, 8);
  refuses('{"mounts":[{},]}', errors.EXPECTED_OBJECT, 14);
  refuses('{"annotations":{"a":"b",}}', errors.EXPECTED_KEY, 24);
  refuses('{"annotations":{"a" "b"}}', errors.EXPECTED_COLON, 20);
});

syntax('words', () => {
  for (const word of ['tru', 'True', 'nul', 'NaN', 'Infinity', 'undefined', '+1', '.5']) {
    refuses(`{"a":${word}}`, errors.EXPECTED_VALUE, 5);
  }
  refuses('{"a":nulll}', errors.EXPECTED_COMMA_OR_BRACE, 9);
  refuses('{"root":nul}', errors.EXPECTED_OBJECT, 8);
});

syntax('strings', () => {
  refuses('{"hostname":"x}', errors.UNTERMINATED_STRING, 12);
  refuses('{"hostname":"x\\"}', errors.UNTERMINATED_STRING, 12);
  refuses('{"a', errors.UNTERMINATED_STRING, 1);
  for (const written of ['\\x', '\\0', '\\u', '\\u12', '\\u12g4', '\\U0041', '\\u 041', '\\', "\\'"]) {
    refuses(
      `{"hostname":"ab${written}"}`,
      written === '\\' ? errors.UNTERMINATED_STRING : errors.BAD_ESCAPE,
      written === '\\' ? 12 : 15,
    );
    refuses(`{"a":["ab${written}x"]}`, errors.BAD_ESCAPE, 9);
  }
  for (let byte = 0; byte < 0x20; byte++) {
    refuses(`{"hostname":"ab${String.fromCharCode(byte)}"}`, errors.CONTROL_CHARACTER, 15);
    refuses(`{"0123456789abcdef${String.fromCharCode(byte)}":1}`, errors.CONTROL_CHARACTER, 18);
  }
});

syntax('U+0000 in what is carried over, raw or escaped', () => {
  refuses('{"hostname":"a\\u0000"}', errors.NUL_CHARACTER, 12);
  refuses('{"process":{"args":["ok","\\u0000"]}}', errors.NUL_CHARACTER, 25);
  refuses('{"annotations":{"a":"\\u0000"}}', errors.NUL_CHARACTER, 20);
  refuses('{"annotations":{"a":"b", "\\u0000":"b"}}', errors.NUL_CHARACTER, 25);
  for (const { translate } of BUILDS)
    deepStrictEqual(reading('Spec', translate('Spec', Buffer.from('{"x":"\\u0000"}'))), {});
});

syntax('text that is not UTF-8', () => {
  const bad = [
    [0x80],
    [0xbf],
    [0xc0, 0x80],
    [0xc1, 0xbf],
    [0xc3],
    [0xc3, 0x28],
    [0xe0, 0x9f, 0xbf],
    [0xe2, 0x82],
    [0xe2, 0x28, 0xac],
    [0xe2, 0x82, 0x28],
    [0xed, 0xa0, 0x80],
    [0xf0, 0x8f, 0xbf, 0xbf],
    [0xf0, 0x9f, 0x98],
    [0xf0, 0x9f, 0x28, 0x80],
    [0xf4, 0x90, 0x80, 0x80],
    [0xf5, 0x80, 0x80, 0x80],
    [0xff],
  ];
  for (const bytes of bad) {
    refuses(Buffer.concat([Buffer.from('{"hostname":"é'), Buffer.from(bytes), Buffer.from('"}')]), errors.BAD_UTF8, 15);
    refuses(
      Buffer.concat([Buffer.from('{"unknown":["é'), Buffer.from(bytes), Buffer.from('"]}')]),
      errors.BAD_UTF8,
      15,
    );
    refuses(Buffer.concat([Buffer.from('{"é'), Buffer.from(bytes)]), errors.BAD_UTF8, 4);
  }
});

syntax('numbers', () => {
  for (const number of ['-', '-a', '1.', '1.e3', '1e', '1e+', '-.5', '1E-']) {
    refuses(`{"a":${number}}`, errors.BAD_NUMBER, 5);
    refuses(`{"uid":${number}}`, errors.BAD_NUMBER, 7, 'Process');
  }
  refuses('{"a":01}', errors.EXPECTED_COMMA_OR_BRACE, 6);
  refuses('{"oomScoreAdj":-01}', errors.EXPECTED_COMMA_OR_BRACE, 17, 'Process');
});

syntax.run();

const types = suite('values that do not fit');

types('another type than the field has', () => {
  refuses('{"hostname":5}', errors.EXPECTED_STRING, 12);
  refuses('{"root":"/"}', errors.EXPECTED_OBJECT, 8);
  refuses('{"mounts":{}}', errors.EXPECTED_ARRAY, 10);
  refuses('{"mounts":[[]]}', errors.EXPECTED_OBJECT, 11);
  refuses('{"annotations":[]}', errors.EXPECTED_OBJECT, 15);
  refuses('{"annotations":{"a":1}}', errors.EXPECTED_STRING, 20);
  refuses('{"terminal": 1}', errors.EXPECTED_BOOL, 13, 'Process');
  refuses('{"terminal":"true"}', errors.EXPECTED_BOOL, 12, 'Process');
  refuses('{"oomScoreAdj":"5"}', errors.EXPECTED_NUMBER, 15, 'Process');
  refuses('{"args":[1]}', errors.EXPECTED_STRING, 9, 'Process');
  refuses('{"user":{"additionalGids":["1"]}}', errors.EXPECTED_NUMBER, 27, 'Process');
  refuses('{"pids":[]}', errors.EXPECTED_OBJECT, 8, 'LinuxResources');
});

types('fractions and exponents, even of whole numbers, as Go refuses them', () => {
  for (const number of ['1.0', '1e3', '0.5', '-2E+1', '0e0']) {
    refuses(`{"oomScoreAdj":${number}}`, errors.NOT_WHOLE, 15, 'Process');
  }
});

types('numbers beyond their field', () => {
  for (const uid of ['4294967296', '-1', '18446744073709551615', '18446744073709551616', `9${'0'.repeat(1000)}`]) {
    refuses(`{"user":{"uid":${uid}}}`, errors.OUT_OF_RANGE, 15, 'Process');
    refuses(`{"user":{"additionalGids":[${uid}]}}`, errors.OUT_OF_RANGE, 27, 'Process');
  }
  for (const limit of [
    '9223372036854775808',
    '-9223372036854775809',
    '-18446744073709551616',
    '28446744073709551616',
  ]) {
    refuses(`{"pids":{"limit":${limit}}}`, errors.OUT_OF_RANGE, 17, 'LinuxResources');
  }
  for (const shares of ['18446744073709551616', '-1', '184467440737095516150', '99999999999999999999']) {
    refuses(`{"cpu":{"shares":${shares}}}`, errors.OUT_OF_RANGE, 17, 'LinuxResources');
  }
});

types.run();

const wording = suite('words for the user');

wording('name place, keys, what was expected, what stands there, and what to do', () => {
  assert.is(
    messageOf('{\n  "process": {\n    "rlimits": [{}, {"hard": "x"}]\n  }\n}'),
    'config.json: line 3 column 30 (process.rlimits[1].hard): expected a number, found "x"}]; correct the OCI spec in the bundle, or the tool that wrote it',
  );
  assert.is(
    messageOf('{"user":{"uid":1e3}}', 'Process'),
    'exec process: line 1 column 16 (user.uid): expected a whole number without fraction and exponent, found 1e3}}; correct the OCI process given to exec',
  );
  assert.is(
    messageOf('[]', 'LinuxResources'),
    'update resources: line 1 column 1: expected an object, found []; correct the OCI resources given to update',
  );
  assert.match(
    messageOf('{"annotations":{"a.b/c":1}}'),
    'column 25 (annotations["a.b/c"]): expected a string, found 1}}',
  );
  assert.match(messageOf('{"hostname":"x"'), "column 16: expected ',' or '}', found the end of the document");
  assert.match(
    messageOf('{"hostname"\n'),
    "line 2 column 1 (hostname): expected ':' after the key, found the end of the document",
  );
});

wording('name the element of a list, however its elements are written', () => {
  const at = (json: string): string => /\((.*?)\): expected/.exec(messageOf(json))?.[1] ?? '';
  assert.is(at('{"process":{"args":["a","b","c",5]}}'), 'process.args[3]');
  assert.is(at('{"process":{"args":[5]}}'), 'process.args[0]');
  assert.is(at('{"process":{"args":["é", "a","\\n" ,"a","b\\u0000"]}}'), 'process.args[4]');
  assert.is(at('{"process":{"args":[null,"a",null,"b",{}]}}'), 'process.args[4]');
  assert.is(at('{"process":{"user":{"additionalGids":[1,2,-3]}}}'), 'process.user.additionalGids[2]');
  assert.is(at('{"mounts":[{},{"options":["a"]},{"options":["a","b",[]]}]}'), 'mounts[2].options[2]');
  assert.is(at('{"x":[1,[2,{"y":[[],tru]}]]}'), 'x[1][1].y[1]');
  assert.is(
    at('{"linux":{"seccomp":{"sysc\\u0061lls":[{"names":["a"]},{"names":[7]}]}}}'),
    'linux.seccomp.syscalls[1].names[0]',
  );
});

wording('name the key, however it is written', () => {
  assert.match(messageOf('{"annotations":{"\\u00e9":1}}'), '(annotations["\\u00e9"])');
  assert.match(messageOf('{"annotations":{"a\\u0000":"b"}}'), '(annotations["a\\u0000"])');
  assert.match(messageOf('{"\\ud800":[nul]}'), '(["\\ufffd"][0])');
  // What was read already is left out once it is complete.
  assert.not.match(messageOf('{"root":{"path":"/"} "x"}'), '(');
});

wording('stay short and printable', () => {
  const key = '\u{1b}[31m\u{7f}\u{202e}é'.repeat(1000);
  const message = messageOf(`{"annotations":{${JSON.stringify(key)}:[${'\u{7f}é'.repeat(1000)}]}}`);
  assert.ok(message.length < MAX_PATH + MAX_EXCERPT * 4 + 300, message);
  assert.ok(/^[ -~…]+$/.test(message), message);
});

wording.run();
