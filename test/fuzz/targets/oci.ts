/**
 * The OCI translation: debug WASM, release WASM and JavaScript refuse the same documents at the same byte for the same reason, or say
 * the same; JSON.parse agrees on what is JSON; nothing is written but output, padding and the module's own scratch.
 */
import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict';
import { isUtf8 } from 'node:buffer';
import {
  MEMORY_BYTES,
  OCI_INPUT_BASE,
  OCI_INPUT_BYTES,
  OCI_OUTPUT_BASE,
  OCI_OUTPUT_BYTES,
  RECORDS_BASE,
  STATIC_BASE,
} from '../../../assembly/layout.ts';
import {
  BAD_ESCAPE,
  BAD_NUMBER,
  BAD_UTF8,
  CONTROL_CHARACTER,
  EXPECTED_COLON,
  EXPECTED_COMMA_OR_BRACE,
  EXPECTED_COMMA_OR_BRACKET,
  EXPECTED_END,
  EXPECTED_KEY,
  EXPECTED_VALUE,
  OUTPUT_FULL,
  UNTERMINATED_STRING,
} from '../../../assembly/oci/errors.ts';
import { PADDING } from '../../../assembly/oci/limits.ts';
import { type CoreExports, instantiate } from '../../../host/core/core.ts';
import { type Document, Fault } from '../../../host/oci/fault.ts';
import { OCI_ROOTS } from '../../../host/oci/names.ts';
import { translateOrFault } from '../../../host/oci/translate-js.ts';
import { decode, type MessageType } from '../../../host/proto/codec.ts';
import { built } from '../../unit/core/builds.ts';
import { oracleType } from '../../unit/oci/oracle.ts';
import { makeDocument, ROOTS } from '../documents.ts';
import { saidByJson } from '../oci-oracle.ts';
import type { Target } from '../target.ts';
import { Untouched } from '../untouched.ts';

const DOCUMENTS: readonly Document[] = ['Spec', 'Process', 'LinuxResources'];
/** What only a document that is no JSON is refused for. */
const SYNTAX = new Set([
  BAD_ESCAPE,
  BAD_NUMBER,
  BAD_UTF8,
  CONTROL_CHARACTER,
  EXPECTED_COLON,
  EXPECTED_COMMA_OR_BRACE,
  EXPECTED_COMMA_OR_BRACKET,
  EXPECTED_END,
  EXPECTED_KEY,
  EXPECTED_VALUE,
  UNTERMINATED_STRING,
]);
/** One case in so many is compared with what is slow: JSON.parse and protobufjs. */
const ORACLE_EVERY = 4;
/** Bytes behind the output's capacity that are watched. */
const BEHIND = 64;
/** More than any case is, translated: what is behind must stay as it is. */
const MOST_OUTPUT = 512 * 1024;

interface Result {
  /** Bytes written, or -1. */
  readonly length: number;
  readonly code: number;
  readonly offset: number;
}

interface Module {
  readonly exports: CoreExports;
  readonly memory: Uint8Array;
  readonly garbage: number;
}

export function ociTarget(): Target {
  const debug = instantiate(built.debug);
  const release = instantiate(built.release);
  const modules: readonly Module[] = [
    { ...debug, garbage: 0x22 },
    { ...release, garbage: 0x7d },
  ];
  const untouched = modules.map(
    ({ memory }) =>
      new Untouched(memory, [
        [0, STATIC_BASE],
        [RECORDS_BASE, OCI_INPUT_BASE],
        [OCI_OUTPUT_BASE + MOST_OUTPUT, MEMORY_BYTES],
      ]),
  );
  let cases = 0;

  /** Both builds' result, which is the same. */
  function translate(root: number, json: Uint8Array, capacity: number): Result {
    // So that reads behind the padding would leave the input's region in every third case.
    const start = json.length % 3 === 0 ? OCI_INPUT_BASE + OCI_INPUT_BYTES - PADDING - json.length : OCI_INPUT_BASE;
    const results = modules.map(({ exports, memory, garbage }) => {
      memory.set(json, start);
      memory.fill(garbage, start + json.length, Math.min(start + json.length + 2 * PADDING, OCI_OUTPUT_BASE));
      memory.fill(garbage, OCI_OUTPUT_BASE + capacity, OCI_OUTPUT_BASE + capacity + BEHIND);
      const length = exports.ociTranslate(root, start, json.length, OCI_OUTPUT_BASE, capacity);
      strictEqual(Buffer.compare(memory.subarray(start, start + json.length), json), 0, 'the document is written to');
      const behind = memory.subarray(OCI_OUTPUT_BASE + capacity, OCI_OUTPUT_BASE + capacity + BEHIND);
      ok(
        behind.every((byte) => byte === garbage),
        'written behind the output',
      );
      memory.fill(0, OCI_OUTPUT_BASE + capacity, OCI_OUTPUT_BASE + capacity + BEHIND);
      ok(length >= -1 && length <= capacity, `length ${length} of ${capacity}`);
      return { length, code: exports.ociError(), offset: exports.ociErrorOffset() >>> 0 };
    }) as [Result, Result];
    deepStrictEqual(results[1], results[0], 'release and debug');
    const [first, second] = modules.map(({ memory }) =>
      memory.subarray(OCI_OUTPUT_BASE, OCI_OUTPUT_BASE + Math.max(0, results[0].length)),
    ) as [Uint8Array, Uint8Array];
    strictEqual(Buffer.compare(first, second), 0, 'output of release and debug');
    return results[0];
  }

  return {
    name: 'oci',
    room: 64 * 1024,
    generate: makeDocument,
    check(input) {
      const control = input[0] ?? 0;
      const index = (control & 3) % DOCUMENTS.length;
      const document = DOCUMENTS[index] as Document;
      const json = input.subarray(1);
      const root = OCI_ROOTS[document];
      const withOracle = ++cases % ORACLE_EVERY === 0;
      const result = translate(root, json, OCI_OUTPUT_BYTES - BEHIND);
      strictEqual(result.code === 0, result.length >= 0, `code ${result.code}, length ${result.length}`);
      const output = release.memory.slice(OCI_OUTPUT_BASE, OCI_OUTPUT_BASE + Math.max(0, result.length));
      ok(output.length <= MOST_OUTPUT);
      const type = ROOTS[index] as MessageType<unknown>;
      const inJs = translateJs(document, json);
      if (inJs instanceof Fault) {
        deepStrictEqual(
          [result.code, result.offset],
          [inJs.code, inJs.offset],
          'WASM and JavaScript: fault and offset',
        );
        if (withOracle && SYNTAX.has(inJs.code)) ok(!isJson(json), `JSON.parse takes what fault ${inJs.code} refuses`);
      } else {
        strictEqual(result.code, 0, `WASM refuses at ${result.offset} what JavaScript takes`);
        strictEqual(Buffer.compare(output, inJs), 0, 'WASM and JavaScript write different bytes');
        checkOnce(document, output);
        if (withOracle) {
          ok(isJson(json), 'JSON.parse refuses what is translated');
          deepStrictEqual(decode(type, output), saidByJson(type, json), 'JSON.parse');
          oracleType(document).decode(output);
        }
      }
      // Too little room, by the case's first byte.
      const capacity = result.length < 0 ? control : Math.floor((result.length * (control >> 2)) / 64);
      const tight = translate(root, json, capacity);
      if (result.length > capacity) deepStrictEqual([tight.length, tight.code], [-1, OUTPUT_FULL], 'a full output');
      if (cases % 16_384 === 0) for (const memory of untouched) memory.check();
    },
    finish() {
      for (const memory of untouched) memory.check();
    },
  };
}

function translateJs(document: Document, json: Uint8Array): Uint8Array | Fault {
  try {
    return translateOrFault(document, json);
  } catch (thrown) {
    if (thrown instanceof Fault) return thrown;
    throw thrown;
  }
}

function isJson(json: Uint8Array): boolean {
  if (!isUtf8(json)) return false;
  try {
    JSON.parse(Buffer.from(json).toString());
    return true;
  } catch {
    return false;
  }
}

/** Every singular field occurs once: some decoders replace a message that comes again instead of merging it. */
function checkOnce(name: string, bytes: Uint8Array): void {
  const type = oracleType(name);
  const seen = new Set<number>();
  for (const { number, value } of fieldsOf(bytes)) {
    const field = type.fieldsById[number];
    ok(field, `${name} has no field ${number}`);
    if (field.repeated || field.map) continue;
    ok(!seen.has(number), `${name}.${field.name} occurs twice`);
    seen.add(number);
    const nested = field.resolve().resolvedType;
    if (nested && value) checkOnce(nested.name, value);
  }
}

/** The fields of a message of varints and byte fields, which is all that OCI's have. */
function* fieldsOf(bytes: Uint8Array): Generator<{ number: number; value: Uint8Array | undefined }> {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[at++] ?? 0;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    const length = varint();
    const isBytes = (tag & 7) === 2;
    yield { number: tag >>> 3, value: isBytes ? bytes.subarray(at, at + length) : undefined };
    if (isBytes) at += length;
  }
  strictEqual(at, bytes.length, 'the fields end with the message');
}
