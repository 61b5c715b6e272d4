/** Random OCI documents, and damage done to them. */
import fc from 'fast-check';
import protobuf from 'protobufjs';
import { OCI_NAMES } from '../../../host/oci/names.ts';
import { oracleType } from './oracle.ts';

/** JSON as text: numbers stand as they will be written, members in order and possibly twice. */
export type Tree = { text: string } | { list: Tree[] } | { members: [string, Tree][] };

const text = fc
  .oneof(
    fc.string({ maxLength: 40 }),
    fc.string({ unit: 'grapheme', maxLength: 20 }),
    // UTF-16 units: half surrogate pairs too.
    fc.array(fc.integer({ min: 1, max: 0xffff }), { maxLength: 12 }).map((units) => String.fromCharCode(...units)),
    fc.constantFrom('', '__proto__', 'constructor', 'a'.repeat(15), 'a'.repeat(16), 'a'.repeat(127), 'é'.repeat(64)),
  )
  .map((value) => value.replaceAll('\0', ''));

/** A string as some writer may put it: any character may be escaped. */
const quoted = fc.tuple(text, fc.integer({ min: 0, max: 2 })).map(([value, style]): Tree => {
  const plain = JSON.stringify(value);
  if (style === 0) return { text: plain };
  const escapeAll = (unit: string): string => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
  if (style === 1) return { text: plain.replace(/[^ -~]/g, escapeAll) };
  return { text: `"${value.replace(/[\s\S]/g, escapeAll)}"` };
});

export const junk: fc.Arbitrary<Tree> = fc.letrec<{ value: Tree }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    fc
      .constantFrom('null', 'true', 'false', '-0', '1.5e-7', '1E400', '123456789012345678901234567890')
      .map((word) => ({ text: word })),
    quoted,
    fc.array(tie('value'), { maxLength: 3 }).map((list) => ({ list })),
    fc.array(fc.tuple(text, tie('value')), { maxLength: 3 }).map((members) => ({ members })),
  ),
})).value;

const NULL: Tree = { text: 'null' };

function treeOf(field: protobuf.Field): fc.Arbitrary<Tree> {
  if (field.map) {
    const entries = fc.uniqueArray(fc.tuple(text, orNull(quoted)), {
      maxLength: 4,
      selector: ([key]) => Buffer.from(key).toString(),
    });
    return entries.map((members) => ({ members }));
  }
  const one = scalarOf(field);
  return field.repeated ? fc.array(orNull(one), { maxLength: 5 }).map((list) => ({ list })) : one;
}

function scalarOf(field: protobuf.Field): fc.Arbitrary<Tree> {
  const type = field.resolve().resolvedType;
  if (type instanceof protobuf.Type) return messageOf(type.name);
  if (field.type === 'string') return quoted;
  if (field.type === 'bool') return fc.boolean().map((value) => ({ text: String(value) }));
  const ranges: Record<string, [bigint, bigint]> = {
    uint32: [0n, 2n ** 32n - 1n],
    uint64: [0n, 2n ** 64n - 1n],
    int64: [-(2n ** 63n), 2n ** 63n - 1n],
  };
  const [min, max] = ranges[field.type] as [bigint, bigint];
  const small = { min: min < 0n ? -200n : 0n, max: 200n };
  return fc.oneof(fc.bigInt(small), fc.bigInt({ min, max })).map((value) => ({ text: String(value) }));
}

const made = new Map<string, fc.Arbitrary<Tree>>();

/** An object with any of a message's fields, in any order, some twice, unknown ones between. */
export function messageOf(name: string): fc.Arbitrary<Tree> {
  let arbitrary = made.get(name);
  if (!arbitrary) {
    const names = OCI_NAMES[`grpc.${name}`] ?? {};
    const known = Object.entries(names).map(([key, field]) => {
      const found = oracleType(name).fields[field] as protobuf.Field;
      return fc.tuple(fc.constant(key), orNull(treeOf(found)));
    });
    // Unknown keys that the oracle, which compares without case, would not take for known ones.
    const unknown = fc.tuple(
      text.map((key) => `x-${key}`),
      junk,
    );
    arbitrary = fc.array(fc.oneof(unknown, ...known), { maxLength: 8 }).map((members) => ({ members }));
    made.set(name, arbitrary);
  }
  return arbitrary;
}

function orNull(arbitrary: fc.Arbitrary<Tree>): fc.Arbitrary<Tree> {
  return fc.oneof({ weight: 12, arbitrary }, { weight: 1, arbitrary: fc.constant(NULL) });
}

const SPACES = ['', '', ' ', '\n\t', '\r\n', '                  '];

export function write(tree: Tree, space: () => string): string {
  if ('text' in tree) return space() + tree.text + space();
  if ('list' in tree)
    return `${space()}[${tree.list.map((item) => write(item, space)).join(',') || space()}]${space()}`;
  const members = tree.members.map(
    ([key, value]) => `${space()}${JSON.stringify(key)}${space()}:${write(value, space)}`,
  );
  return `${space()}{${members.join(',') || space()}}${space()}`;
}

export const spaces = fc
  .infiniteStream(fc.constantFrom(...SPACES))
  .map((stream) => () => stream.next().value as string);

export interface Change {
  at: number;
  remove: number;
  insert: Uint8Array;
}

const bytes = fc.oneof(
  fc
    .constantFrom('{', '}', '[', ']', ',', ':', '"', '\\', '\\u', '-', '0', 'e', '.', 'null', '\0', ' ')
    .map((piece) => Buffer.from(piece)),
  fc.uint8Array({ maxLength: 4 }),
);
export const change: fc.Arbitrary<Change> = fc.record({
  at: fc.nat(),
  remove: fc.integer({ min: 0, max: 3 }),
  insert: bytes,
});

export function damage(json: Uint8Array, changes: readonly Change[]): Uint8Array {
  let out = json;
  for (const { at, remove, insert } of changes) {
    const from = at % (out.length + 1);
    out = Buffer.concat([out.subarray(0, from), insert, out.subarray(Math.min(out.length, from + remove))]);
  }
  return out;
}
