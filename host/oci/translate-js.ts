/**
 * The JavaScript twin of assembly/oci/translate.ts: the same documents, the same results, the same faults.
 * It is the fallback where WebAssembly cannot be had, words the faults that the WASM core found, and checks it in tests.
 */
import {
  EXPECTED_ARRAY,
  EXPECTED_BOOL,
  EXPECTED_END,
  EXPECTED_NUMBER,
  EXPECTED_OBJECT,
  EXPECTED_STRING,
  NOT_WHOLE,
  NUL_CHARACTER,
  OUT_OF_RANGE,
  OUTPUT_FULL,
  TOO_LARGE,
} from '../../assembly/oci/errors.ts';
import { MAX_INPUT } from '../../assembly/oci/limits.ts';
import { encode, type Field, type Int64, type MessageType } from '../proto/codec.ts';
import { LinuxResources, Process, Spec } from '../proto/messages/oci.ts';
import { type Document, Fault, wordFault } from './fault.ts';
import { END, isNumberStart, JsonScanner, OPEN_BRACE, OPEN_BRACKET, QUOTE } from './json.ts';
import { OCI_NAMES } from './names.ts';

type Values = Record<string, unknown>;

const ROOTS = { Spec, Process, LinuxResources } as const;

/** Of a number's kind: least and greatest value. */
const RANGES: Readonly<Record<string, readonly [bigint, bigint]>> = {
  uint32: [0n, 2n ** 32n - 1n],
  uint64: [0n, 2n ** 64n - 1n],
  int64: [-(2n ** 63n), 2n ** 63n - 1n],
};

/** The digits of the greatest number that any field holds; longer ones are out of range without being read. */
const MAX_DIGITS = 20;

/**
 * Translates a document to protobuf.
 * @throws KataError `invalid_argument` where it is no such document
 */
export function translateInJs(document: Document, json: Uint8Array): Uint8Array {
  try {
    return translateOrFault(document, json);
  } catch (thrown) {
    throw thrown instanceof Fault ? wordFault(document, json, thrown) : thrown;
  }
}

/**
 * Translates a document to protobuf.
 * @throws Fault where it is no such document
 */
export function translateOrFault(document: Document, json: Uint8Array): Uint8Array {
  if (json.length > MAX_INPUT) throw new Fault(TOO_LARGE, MAX_INPUT, []);
  const scanner = new JsonScanner(json);
  const type = ROOTS[document] as MessageType<unknown>;
  const value = readMessage(scanner, type, 0);
  if (scanner.peek() !== END) scanner.fail(EXPECTED_END);
  const encoded = encode(type, value as never);
  if (encoded.length > MAX_INPUT) throw new Fault(OUTPUT_FULL, json.length, []);
  return encoded;
}

/** Fields by their names in JSON, of the message types met so far. */
const fieldsByKey = new Map<MessageType<unknown>, Map<string, Field>>();

function fieldsOf(type: MessageType<unknown>): Map<string, Field> {
  let fields = fieldsByKey.get(type);
  if (!fields) {
    const byName = new Map(type.fields().map((field) => [field[1], field]));
    const names = Object.entries(OCI_NAMES[type.name] ?? {});
    fields = new Map(names.map(([key, name]) => [key, byName.get(name) as Field]));
    fieldsByKey.set(type, fields);
  }
  return fields;
}

function readMessage(scanner: JsonScanner, type: MessageType<unknown>, level: number): Values {
  if (scanner.peek() !== OPEN_BRACE) scanner.fail(EXPECTED_OBJECT);
  const fields = fieldsOf(type);
  const out: Values = {};
  scanner.members((key) => {
    const field = fields.get(key);
    if (field) out[field[1]] = scanner.takeWord('null') ? undefined : readField(scanner, field, level);
    else scanner.skipValue(level + 1);
  });
  return out;
}

function readField(scanner: JsonScanner, field: Field, level: number): unknown {
  const [, , kind, occurs] = field;
  if (occurs === 'map') return readMap(scanner);
  if (occurs !== 'repeated') return readOne(scanner, kind, level);
  if (scanner.peek() !== OPEN_BRACKET) scanner.fail(EXPECTED_ARRAY);
  const list: unknown[] = [];
  scanner.elements(() => list.push(scanner.takeWord('null') ? emptyOf(kind) : readOne(scanner, kind, level)));
  return list;
}

function readOne(scanner: JsonScanner, kind: Field[2], level: number): unknown {
  if (typeof kind === 'object') return readMessage(scanner, kind, level + 1);
  if (kind === 'string') return readText(scanner);
  if (kind === 'bool') return readBool(scanner);
  return readWhole(scanner, kind);
}

function emptyOf(kind: Field[2]): unknown {
  if (typeof kind === 'object') return {};
  return kind === 'string' ? '' : 0;
}

function readMap(scanner: JsonScanner): Values {
  if (scanner.peek() !== OPEN_BRACE) scanner.fail(EXPECTED_OBJECT);
  // No prototype: `__proto__` is a key like any other.
  const map: Values = Object.create(null);
  scanner.members((key) => {
    if (key.includes('\0')) scanner.fail(NUL_CHARACTER, scanner.keyAt);
    map[key] = scanner.takeWord('null') ? '' : readText(scanner);
  });
  return map;
}

function readText(scanner: JsonScanner): string {
  if (scanner.peek() !== QUOTE) scanner.fail(EXPECTED_STRING);
  const start = scanner.at;
  const text = scanner.takeString();
  if (text.includes('\0')) scanner.fail(NUL_CHARACTER, start);
  return text;
}

function readBool(scanner: JsonScanner): boolean {
  if (scanner.takeWord('true')) return true;
  if (!scanner.takeWord('false')) scanner.fail(EXPECTED_BOOL);
  return false;
}

function readWhole(scanner: JsonScanner, kind: string): Int64 {
  if (!isNumberStart(scanner.peek())) scanner.fail(EXPECTED_NUMBER);
  const start = scanner.at;
  const { text, whole } = scanner.takeNumber();
  if (!whole) scanner.fail(NOT_WHOLE, start);
  if (text.length > MAX_DIGITS) scanner.fail(OUT_OF_RANGE, start);
  const value = BigInt(text);
  const [least, greatest] = RANGES[kind] as readonly [bigint, bigint];
  if (value < least || value > greatest) scanner.fail(OUT_OF_RANGE, start);
  return Number.isSafeInteger(Number(value)) ? Number(value) : value;
}
