/**
 * Inputs on which anything but a linear routine would not come to an end while somebody waits: megabytes of what is smallest, of
 * what moves other bytes, of what nests. WASM and its twins agree on them. A routine that is quadratic in them runs for hours, and
 * the time a test file may take is its limit.
 */
import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict';
import { suite } from 'uvu';
import {
  FRAME_HEADER_BYTES,
  FRAME_MAX_DATA_BYTES,
  OCI_INPUT_BASE,
  RECORD_FAULT,
  RECORD_WORDS,
  STATE_CONSUMED,
  TYPE_REQUEST,
  TYPE_RESPONSE,
} from '../../assembly/layout.ts';
import { instantiate } from '../../host/core/core.ts';
import { wasmBytes } from '../../host/core/wasm-bytes.ts';
import { Fault } from '../../host/oci/fault.ts';
import { translateOrFault } from '../../host/oci/translate-js.ts';
import { translateInWasm } from '../../host/oci/translate-wasm.ts';
import { JsScanner } from '../../host/ttrpc/frame-scanner.ts';
import { wasmScanner } from '../../host/ttrpc/frames.ts';

/** Bytes of a document: as many as take the twin a fraction of a second. */
const DOCUMENT_BYTES = 2 * 1024 * 1024;

const core = instantiate(wasmBytes());

/** `unit` as often as there is room between `head` and `tail`. */
function filled(head: string, unit: string, tail: string): string {
  const room = DOCUMENT_BYTES - Buffer.byteLength(head + tail);
  return head + unit.repeat(Math.floor(room / Buffer.byteLength(unit))) + tail;
}

const half = 'x'.repeat(DOCUMENT_BYTES / 2);
const documents: Readonly<Record<string, string>> = {
  'one key again and again': filled('{', '"hostname":"abc",', '"hostname":""}'),
  'keys in turns': filled('{', '"hostname":"abc","domainname":"def","mounts":[],"hooks":{},', '"root":{}}'),
  'keys in turns behind a megabyte': filled(
    `{"hostname":"","annotations":{"k":"${half}"}`,
    ',"hostname":"b","root":{}',
    '}',
  ),
  'messages in turns': filled('{', '"process":{"args":["aaaaaaaa"]},"linux":{"cgroupsPath":"x"},', '"root":{}}'),
  'keys again in each element': filled('{"mounts":[', '{"source":"a","type":"b","source":"c"},', '{}]}'),
  'null again and again': filled(`{"annotations":{"k":"${half}"}`, ',"hostname":null', '}'),
  'empty messages': filled('{"mounts":[', '{},', '{}]}'),
  'messages in messages': filled('{"linux":{"seccomp":{"syscalls":[', '{"args":[{},{},{}]},', '{}]}}}'),
  'empty strings': filled('{"process":{"args":[', '"",', '""]}}'),
  'strings of one character': filled('{"process":{"env":[', '"a",', '""]}}'),
  'entries of a map': filled('{"annotations":{', '"a":"",', '"b":""}}'),
  'small numbers': filled('{"process":{"user":{"additionalGids":[', '1,', '1]}}}'),
  'one number': filled('{"process":{"user":{"uid":', '1', '}}}'),
  'simple escapes': filled('{"hostname":"', '\\n', '"}'),
  'escaped characters': filled('{"hostname":"', '\\u00e9', '"}'),
  'surrogate pairs': filled('{"hostname":"', '\\ud83d\\ude00', '"}'),
  'halves of pairs': filled('{"hostname":"', '\\ud83d', '"}'),
  'characters of two bytes': filled('{"hostname":"', 'é', '"}'),
  'unknown keys': filled('{', '"a":1,', '"a":1}'),
  'keys with escapes': filled('{', '"\\u0061ostname":1,', '"a":1}'),
  'unknown lists': filled('{"a":[', '[[[[[[[[[[[]]]]]]]]]]],', '[]]}'),
  'lists too deep': filled('{"a":', '[', '}'),
  'white space': filled('{', ' ', '}'),
  'no end': filled('{"hostname":"', 'a', ''),
};

const oci = suite('worst cases: OCI documents');

for (const [name, text] of Object.entries(documents)) {
  oci(name, () => {
    const json = Buffer.from(text);
    const inWasm = attempt(() => translateInWasm(core.exports, 'Spec', json));
    const inJs = attempt(() => translateOrFault('Spec', json));
    if (inWasm instanceof Fault || inJs instanceof Fault) {
      ok(inWasm instanceof Fault && inJs instanceof Fault);
      deepStrictEqual([inWasm.code, inWasm.offset], [inJs.code, inJs.offset]);
    } else strictEqual(Buffer.compare(inWasm, inJs), 0);
  });
}

oci.run();

/** The largest frame, of one unit. */
function frameOf(type: number, unit: readonly number[], tail: readonly number[] = []): Uint8Array {
  const count = Math.floor((FRAME_MAX_DATA_BYTES - tail.length) / unit.length);
  const frame = Buffer.alloc(FRAME_HEADER_BYTES + count * unit.length + tail.length, Uint8Array.from(unit));
  frame.fill(Uint8Array.from(tail), frame.length - tail.length);
  frame.writeUInt32BE(frame.length - FRAME_HEADER_BYTES, 0);
  frame.writeUInt32BE(1, 4);
  frame[8] = type;
  frame[9] = 0;
  return frame;
}

const opened = Array.from({ length: 1000 }, () => 0x7b);
const closed = Array.from({ length: 1000 }, () => 0x7c);
const frames: Readonly<Record<string, Uint8Array>> = {
  'empty payloads': frameOf(TYPE_REQUEST, [0x1a, 0]),
  'empty metadata': frameOf(TYPE_REQUEST, [0x2a, 0]),
  'metadata between payloads': frameOf(TYPE_REQUEST, [0x2a, 0, 0x1a, 0]),
  'names again and again': frameOf(TYPE_REQUEST, [0x0a, 1, 65, 0x12, 1, 66]),
  'one name': frameOf(TYPE_REQUEST, [65], []).fill(0x0a, 10, 11),
  'unknown numbers': frameOf(TYPE_REQUEST, [0x78, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
  'groups in groups': frameOf(TYPE_REQUEST, [...opened, ...closed]),
  'groups that stay open': frameOf(TYPE_RESPONSE, [0x7b]),
  'a status again and again': frameOf(TYPE_RESPONSE, [0x0a, 4, 0x08, 5, 0x1a, 0]),
  'empty statuses': frameOf(TYPE_RESPONSE, [0x0a, 0]),
  'a truncated field at the end': frameOf(TYPE_RESPONSE, [0x12, 0], [0x12, 5]),
};

const ttrpc = suite('worst cases: frames');

for (const [name, frame] of Object.entries(frames)) {
  ttrpc(name, () => {
    const inWasm = wasmScanner(core);
    inWasm.bytes.set(frame, OCI_INPUT_BASE);
    const inJs = new JsScanner(inWasm.bytes, 1);
    const end = OCI_INPUT_BASE + frame.length;
    strictEqual(inWasm.scan(OCI_INPUT_BASE, end), 1);
    strictEqual(inJs.scan(OCI_INPUT_BASE, end), 1);
    strictEqual(inWasm.state[STATE_CONSUMED], end);
    strictEqual(inJs.state[STATE_CONSUMED], end);
    const words = inJs.records[RECORD_FAULT] === 0 ? RECORD_WORDS : RECORD_FAULT + 1;
    deepStrictEqual([...inWasm.records.subarray(0, words)], [...inJs.records.subarray(0, words)]);
  });
}

ttrpc.run();

function attempt(work: () => Uint8Array): Uint8Array | Fault {
  try {
    return work();
  } catch (thrown) {
    if (thrown instanceof Fault) return thrown;
    throw thrown;
  }
}
