/** What is wrong with a document of containerd's, told to its user. */
import {
  BAD_CALL,
  BAD_ESCAPE,
  BAD_NUMBER,
  BAD_UTF8,
  CONTROL_CHARACTER,
  EXPECTED_ARRAY,
  EXPECTED_BOOL,
  EXPECTED_COLON,
  EXPECTED_COMMA_OR_BRACE,
  EXPECTED_COMMA_OR_BRACKET,
  EXPECTED_END,
  EXPECTED_KEY,
  EXPECTED_NUMBER,
  EXPECTED_OBJECT,
  EXPECTED_STRING,
  EXPECTED_VALUE,
  NOT_WHOLE,
  NUL_CHARACTER,
  OUT_OF_RANGE,
  OUTPUT_FULL,
  TOO_DEEP,
  TOO_LARGE,
  UNTERMINATED_STRING,
} from '../../assembly/oci/errors.ts';
import { MAX_DEPTH, MAX_INPUT } from '../../assembly/oci/limits.ts';
import { KataError } from '../error.ts';

/** Most bytes of the document that a message quotes. */
export const MAX_EXCERPT = 32;
/** Most characters of the key path that a message names; map keys are the user's and may be long. */
export const MAX_PATH = 200;

/** The documents: name in messages, and who wrote it. */
export const DOCUMENTS = {
  Spec: { name: 'config.json', advice: 'correct the OCI spec in the bundle, or the tool that wrote it' },
  Process: { name: 'exec process', advice: 'correct the OCI process given to exec' },
  LinuxResources: { name: 'update resources', advice: 'correct the OCI resources given to update' },
} as const;

export type Document = keyof typeof DOCUMENTS;

const EXPECTED: Readonly<Record<number, string>> = {
  [EXPECTED_VALUE]: 'a JSON value',
  [EXPECTED_STRING]: 'a string',
  [EXPECTED_NUMBER]: 'a number',
  [EXPECTED_BOOL]: 'true or false',
  [EXPECTED_OBJECT]: 'an object',
  [EXPECTED_ARRAY]: 'an array',
  [EXPECTED_KEY]: 'a key in double quotes',
  [EXPECTED_COLON]: "':' after the key",
  [EXPECTED_COMMA_OR_BRACE]: "',' or '}'",
  [EXPECTED_COMMA_OR_BRACKET]: "',' or ']'",
  [EXPECTED_END]: 'nothing after the document',
  [UNTERMINATED_STRING]: 'a closing quote before the end of the document',
  [BAD_ESCAPE]: 'one of the escapes \\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX',
  [CONTROL_CHARACTER]: 'an escape in place of a control character',
  [BAD_UTF8]: 'text in UTF-8',
  [NUL_CHARACTER]: 'a string without U+0000',
  [BAD_NUMBER]: "a number by JSON's grammar",
  [NOT_WHOLE]: 'a whole number without fraction and exponent',
  [OUT_OF_RANGE]: "a number within its field's range",
  [TOO_DEEP]: `at most ${MAX_DEPTH} objects and arrays within each other`,
  [TOO_LARGE]: `at most ${MAX_INPUT} bytes`,
  [OUTPUT_FULL]: `a document that translates to at most ${MAX_INPUT} bytes`,
  [BAD_CALL]: 'a call with memory that is there',
};

/** A document that cannot be translated: what for (a code of assembly/oci/errors.ts), where, and within which keys. */
export class Fault extends Error {
  override readonly name = 'Fault';

  constructor(
    readonly code: number,
    /** Bytes from the document's start. */
    readonly offset: number,
    readonly path: readonly (string | number)[],
  ) {
    super(`fault ${code} at byte ${offset}`);
  }
}

/** The fault as its user shall read it. */
export function wordFault(document: Document, json: Uint8Array, fault: Fault): KataError {
  const { name, advice } = DOCUMENTS[document];
  const expected = EXPECTED[fault.code] ?? `no fault ${fault.code}`;
  if (fault.code === TOO_LARGE) {
    return new KataError('invalid_argument', `${name}: expected ${expected}, found ${json.length}; ${advice}`);
  }
  const { line, column } = placeOf(json, fault.offset);
  const within = fault.path.length ? ` (${pathText(fault.path)})` : '';
  return new KataError(
    'invalid_argument',
    `${name}: line ${line} column ${column}${within}: expected ${expected}, found ${excerpt(json, fault.offset)}; ${advice}`,
  );
}

/** Line and column of a byte, both from 1; columns count bytes. */
function placeOf(json: Uint8Array, offset: number): { line: number; column: number } {
  let line = 1;
  let start = 0;
  for (let at = json.indexOf(0x0a); at !== -1 && at < offset; at = json.indexOf(0x0a, at + 1)) {
    line++;
    start = at + 1;
  }
  return { line, column: offset - start + 1 };
}

function pathText(path: readonly (string | number)[]): string {
  let text = '';
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`;
    else if (/^[A-Za-z_]\w*$/.test(step)) text += text ? `.${step}` : step;
    else text += `[${printable(JSON.stringify(step))}]`;
    if (text.length > MAX_PATH) return `${text.slice(0, MAX_PATH)}…`;
  }
  return text;
}

/** In ASCII: what a document holds must not steer the terminal that shows the message. */
function printable(text: string): string {
  return text.replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** What stands at a place, in printable ASCII. */
function excerpt(json: Uint8Array, offset: number): string {
  if (offset >= json.length) return 'the end of the document';
  let text = '';
  let at = offset;
  for (; at < json.length && at - offset < MAX_EXCERPT; at++) {
    const byte = json[at] as number;
    if (byte === 0x0a || byte === 0x0d) break;
    text += byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, '0')}`;
  }
  if (text === '') return 'the end of the line';
  return at < json.length && at - offset === MAX_EXCERPT ? `${text}…` : text;
}
