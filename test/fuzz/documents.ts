/** OCI documents put together from what recorded ones hold, member by member: any order, some twice; then changed. */

import { OCI_NAMES } from '../../host/oci/names.ts';
import type { Field, MessageType } from '../../host/proto/codec.ts';
import { LinuxResources, Process, Spec } from '../../host/proto/messages/oci.ts';
import { type CaseBuffer, mutate } from './buffer.ts';
import type { Random } from './random.ts';
import { recordedSpecs } from './recorded.ts';

/** Roots of documents, by the number that a case begins with. */
export const ROOTS = [Spec, Process, LinuxResources] as readonly MessageType<unknown>[];

/** Most members of an object and elements of a list of objects. */
const MAX_MEMBERS = 6;
const MAX_ELEMENTS = 3;
/** Elements that are kept of a recorded list of strings. */
const KEPT = 3;

type Values = Record<string, unknown>;
/** `"key":value`; or `"key":` alone, and the message that follows it. */
type Member =
  | { readonly text: Uint8Array }
  | { readonly key: Uint8Array; readonly type: MessageType<unknown>; readonly isList: boolean };

const encoder = new TextEncoder();
const bytesOf = (text: string): Uint8Array => encoder.encode(text);
const [OPEN, CLOSE, OPEN_LIST, CLOSE_LIST, COMMA] = ['{', '}', '[', ']', ','].map(bytesOf) as [
  Uint8Array,
  Uint8Array,
  Uint8Array,
  Uint8Array,
  Uint8Array,
];

const pools = new Map<MessageType<unknown>, Member[]>();
for (const spec of recordedSpecs()) collect(Spec, JSON.parse(Buffer.from(spec).toString()) as Values);

const TEXTS = [15, 16, 17, 111, 112, 113, 126, 127, 128, 129, 143, 144, 300].map((length) => `"${'x'.repeat(length)}"`);
const TOKENS: readonly Uint8Array[] = [
  ...['{', '}', '[', ']', ',', ':', '"', '\\', ' ', '\n', '\t\r', '                    ', '{}', '[]', '""', ',"":""'],
  ...['null', 'true', 'false', 'nul', '-', '0', '-0', '00', '1.5', '1e3', '1E+2', '0.0e-1', '.5', '+1'],
  ...['4294967295', '4294967296', '9223372036854775807', '9223372036854775808', '-9223372036854775808'],
  ...['-9223372036854775809', '18446744073709551615', '18446744073709551616', '99999999999999999999999'],
  ...[
    '\\u0000',
    '\\ud800',
    '\\udc00',
    '\\ud83d\\ude00',
    '\\u00e9',
    '\\"',
    '\\/',
    '\\b',
    '\\u12',
    '\\x',
    'é',
    '€',
    '😀',
    '\ufeff',
  ],
  ...[
    '"hostname":',
    '"process":{',
    '"args":[',
    '"linux":{"resources":{',
    '"annotations":{"a":',
    ',"a":null',
    '"\\u0068ostname":',
  ],
  ...TEXTS,
  ...TEXTS.map((text) => `,"env":[${text},${text}]`),
  '['.repeat(62),
  '{"a":'.repeat(63),
]
  .map(bytesOf)
  .concat(
    // Overlong, surrogate, beyond U+10FFFF, cut off, NUL, control, a continuation alone.
    [[0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xe2, 0x82], [0xf0, 0x9f], [0], [0x1f], [0x80]].map(
      (bytes) => Uint8Array.from(bytes),
    ),
  );

/** A case: the root's number, then the document. */
export function makeDocument(buffer: CaseBuffer, random: Random): void {
  const root = random.once(3) ? random.below(ROOTS.length) : 0;
  buffer.append(Uint8Array.of(root + 4 * random.below(64)));
  appendObject(buffer, random, ROOTS[root] as MessageType<unknown>, 0);
  const changes = random.once(4) ? 0 : random.size(6);
  const fragments = fragmentsOf(ROOTS[root] as MessageType<unknown>);
  for (let n = 0; n < changes; n++) mutate(buffer, 1, random, fragments, TOKENS);
}

function appendObject(buffer: CaseBuffer, random: Random, type: MessageType<unknown>, level: number): void {
  const pool = pools.get(type) ?? [];
  const members = pool.length === 0 || random.once(12) ? 0 : random.size(MAX_MEMBERS);
  buffer.append(OPEN);
  for (let n = 0; n < members; n++) {
    if (n > 0) buffer.append(COMMA);
    const member = random.pick(pool);
    if ('text' in member) buffer.append(member.text);
    else {
      buffer.append(member.key);
      if (member.isList) {
        buffer.append(OPEN_LIST);
        for (let i = random.below(MAX_ELEMENTS + 1); i > 0; i--) {
          appendObject(buffer, random, member.type, level + 1);
          if (i > 1) buffer.append(COMMA);
        }
        buffer.append(CLOSE_LIST);
      } else appendObject(buffer, random, member.type, level + 1);
    }
  }
  buffer.append(CLOSE);
}

function fragmentsOf(type: MessageType<unknown>): readonly Uint8Array[] {
  const texts = (pools.get(type) ?? []).map((member) => ('text' in member ? member.text : member.key));
  return texts.length > 0 ? texts : TOKENS;
}

/** Files a recorded object's members under its message. */
function collect(type: MessageType<unknown>, value: Values): void {
  const names = OCI_NAMES[type.name] ?? {};
  const fields = new Map(type.fields().map((field) => [field[1], field]));
  for (const [key, item] of Object.entries(value)) {
    const field = fields.get(names[key] ?? '');
    const [, , kind, occurs] = field ?? ([] as unknown as Field);
    if (field && typeof kind === 'object' && occurs !== 'map') {
      file(type, { key: bytesOf(`${JSON.stringify(key)}:`), type: kind, isList: occurs === 'repeated' });
      const items = (Array.isArray(item) ? item : [item]) as (Values | null)[];
      for (const one of items) if (one && typeof one === 'object') collect(kind, one);
    } else {
      const short = Array.isArray(item) ? item.slice(0, KEPT) : item;
      file(type, { text: bytesOf(`${JSON.stringify(key)}:${JSON.stringify(short)}`) });
    }
  }
}

function file(type: MessageType<unknown>, member: Member): void {
  const pool = pools.get(type) ?? [];
  pools.set(type, pool);
  const same = (other: Member): boolean => Buffer.compare(textOf(other), textOf(member)) === 0;
  if (!pool.some(same)) pool.push(member);
}

function textOf(member: Member): Uint8Array {
  return 'text' in member ? member.text : member.key;
}
