/** The quick reader and the locator, against a parser of all of TOML. */
import fc from 'fast-check';
import { parse } from 'smol-toml';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { locate } from '../../../host/config/toml/locate.ts';
import { readPlain } from '../../../host/config/toml/plain.ts';
import { isTable, readToml } from '../../../host/config/toml/read.ts';
import { MAX_DEPTH, part, type Tables, within } from '../../../host/config/toml/tables.ts';

const RUNS = Number(process.env.KATA_FUZZ_RUNS ?? 400);

const test = suite('TOML');

/** What the parser says, as the quick reader would. */
function parsed(text: string): Map<string, Map<string, unknown>> {
  const tables = new Map<string, Map<string, unknown>>();
  const walk = (name: string, table: Readonly<Record<string, unknown>>): void => {
    const keys = new Map<string, unknown>();
    tables.set(name, keys);
    for (const [key, value] of Object.entries(table)) {
      if (isTable(value)) walk(within(name, key), value);
      else keys.set(part(key), value);
    }
  };
  walk('', parse(text, { integersAsBigInt: 'asNeeded', maxDepth: MAX_DEPTH }));
  return tables;
}

/** Names of tables and keys, with values: tables without keys of their own say nothing. */
function flat(tables: Tables | Map<string, Map<string, unknown>>, pick: (entry: never) => unknown): string[] {
  return [...tables]
    .flatMap(([table, keys]) => [...keys].map(([key, entry]) => `${table} ${key} ${tell(pick(entry as never))}`))
    .sort();
}

function tell(value: unknown): string {
  if (Object.is(value, -0)) return '-0';
  return JSON.stringify(value, (_, each: unknown) => (typeof each === 'bigint' ? `${each}n` : each));
}

function accepts(text: string): boolean {
  try {
    parse(text, { integersAsBigInt: 'asNeeded', maxDepth: MAX_DEPTH });
    return true;
  } catch {
    return false;
  }
}

/** A line of a file, plain or not. */
const word = fc.constantFrom('a', 'b', 'default_memory', 'x-1', '"quoted"', '"a.b"', "'lit'", '""', '7');
const dotted = fc.array(word, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('.'));
const plainValue = fc.oneof(
  fc.constantFrom(
    'true',
    'false',
    '0',
    '-1',
    '00',
    '+5',
    '-0',
    '1_000',
    '0x1f',
    '1.5',
    '-0.5',
    '1e3',
    'inf',
    '1.',
    '.5',
  ),
  fc.constantFrom('9007199254740991', '9007199254740992', '9223372036854775807', '9223372036854775808'),
  fc.constantFrom('"text"', '""', '"# no comment"', '"a\\tb"', '"open', "'literal'", '"é"', '"a"b"', '"""a"""'),
  fc.constantFrom('[]', '["a"]', '["a", "b",]', '[ "a" , "b" ]', '[,]', '["a" "b"]', '[1, 2]', '["a"]]', '[["a"], []]'),
  fc.constantFrom(
    '{}',
    '{ a = 1 }',
    '{ a.b = "}", c = ["x", { d = 1 }] }',
    '1979-05-27',
    '',
    'yes',
    '"a" # end',
    '5#end',
  ),
  fc.constantFrom('"""\na = 1\n"""', "'''\n[x]\n'''", '[\n  "a", # one\n  "b",\n]', '"""x\\"""y"""', "''''a''''"),
);
const line = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(dotted, plainValue).map(([key, value]) => `${key} = ${value}`) },
  { weight: 2, arbitrary: dotted.map((name) => `[${name}]`) },
  { weight: 1, arbitrary: dotted.map((name) => `[[${name}]]`) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      '',
      '# a = 1',
      '\t# tab',
      '  a=2',
      '[ a ]',
      'a = 1 b = 2',
      '\r',
      '=',
      '[',
      '[]',
      '[a]#x',
    ),
  },
);
const document = fc
  .tuple(fc.array(line, { maxLength: 12 }), fc.constantFrom('\n', '\r\n'), fc.boolean())
  .map(([lines, end, mark]) => `${mark ? '\ufeff' : ''}${lines.join(end)}`);

test('the quick reader takes nothing that the parser refuses, and reads what it reads', () => {
  let taken = 0;
  fc.assert(
    fc.property(document, (text) => {
      const plain = readPlain(text);
      if (!plain) return;
      taken++;
      assert.equal(
        flat(plain, ({ value }: { value: unknown }) => value),
        flat(parsed(text), (value) => value),
        JSON.stringify(text),
      );
    }),
    { numRuns: RUNS * 5 },
  );
  assert.ok(taken > 50, `${taken} of the texts were plain`);
});

test('the locator finds every value that the parser reads, in a line that has its key', () => {
  fc.assert(
    fc.property(document, (text) => {
      if (!accepts(text)) return;
      const lines = text.split('\n');
      const places = locate(text);
      for (const [table, keys] of parsed(text)) {
        for (const key of keys.keys()) {
          const name = table === '' ? key : `${table}.${key}`;
          const place = places.get(name);
          assert.ok(place, `${name} in ${JSON.stringify(text)}`);
          const source = lines[place.line - 1] ?? '';
          const bare = key.replaceAll('"', '');
          assert.ok(source.includes(bare), `${name} is not in line ${place.line}: ${source}`);
        }
      }
    }),
    { numRuns: RUNS * 3 },
  );
});

test('both know the same lines, and which numbers are floats', () => {
  fc.assert(
    fc.property(document, (text) => {
      const plain = readPlain(text);
      if (!plain) return;
      const places = locate(text);
      for (const [table, keys] of plain) {
        for (const [key, { line: at, float }] of keys) {
          assert.equal(places.get(table === '' ? key : `${table}.${key}`), { line: at, float }, JSON.stringify(text));
        }
      }
    }),
    { numRuns: RUNS * 3 },
  );
});

test('the locator ends on any text', () => {
  const noise = fc.string({ unit: fc.constantFrom(...'[]{}"\'=.,#\\\n\r\t a1-_\u00e9'.split('')), maxLength: 200 });
  fc.assert(
    fc.property(noise, (text) => {
      locate(text);
      readPlain(text);
    }),
    { numRuns: RUNS * 3 },
  );
  for (const deep of [
    '['.repeat(10_000),
    `a = ${'['.repeat(10_000)}`,
    `a = ${'{a='.repeat(10_000)}`,
    `[${'a.'.repeat(10_000)}]`,
  ]) {
    locate(deep);
  }
});

test('places of all that TOML has', async () => {
  const text = `top = 1
"quoted key" = """
[not.a.table]
x = 1
""" # ends in line 5
[hypervisor]
qemu.path = '/a'
qemu."kernel" = [
  "a", # ]
  'b',
]
[[list.of]]
name = "first"
[list.of.inside]
deep = 1.0
[[list.of]]
inline = { a = 1, b = { c = 2.5 } }
`;
  const places = locate(text);
  const line = (name: string): number | undefined => places.get(name)?.line;
  assert.equal(
    ['top', '"quoted key"', 'hypervisor.qemu.path', 'hypervisor.qemu.kernel', 'list.of'].map(line),
    [1, 2, 7, 8, 12],
  );
  assert.equal(['list.of[0].name', 'list.of[0].inside.deep', 'list.of[1].inline.b.c'].map(line), [13, 15, 17]);
  assert.is(places.get('list.of[0].inside.deep')?.float, true);
  assert.is(places.get('top')?.float, false);
  const tables = await readToml(text, '/file');
  assert.is(tables.get('hypervisor.qemu')?.get('kernel')?.line, 8);
  assert.is(tables.get('')?.get('"quoted key"')?.line, 2);
});

for (const [what, text, expected] of [
  ['no brackets', '[hypervisor.qemu\n', /^\/f:1: no valid TOML: .* a table stands between brackets/],
  ['no quotes', 'a = 1\n\nkernel = /boot/vmlinux', /^\/f:3: .* a text stands in quotes: kernel = "\/boot\/vmlinux"$/],
  ['no value', '[runtime]\nname =\n', /^\/f:2: .* there is no value after name =/],
  ['a unit', 'default_memory = 512M', /^\/f:1: .* write the number alone, as default_memory = 512;/],
  ['another spelling of true', 'debug = True', /write debug = true$/],
  ['another spelling of false', 'debug = off', /write debug = false$/],
  ['YAML', 'default_memory: 512', /separated by "=", not ":"$/],
  ['an open string', 'kernel = "/a', /the closing quote is missing$/],
  ['a table twice', '[a]\nx = 1\n[a]\ny = 2', /^\/f:3: .*there twice; remove one of the two$/],
  ['a key twice', '[a]\nx = 1\nx = 2', /^\/f:3: .*there twice; remove one of the two$/],
  ['rubbish', '\u0001\u0002', /^\/f:1: no valid TOML/],
  ['deep nesting', `a = ${'['.repeat(MAX_DEPTH + 2)}${']'.repeat(MAX_DEPTH + 2)}`, /^\/f:1: no valid TOML/],
] as const) {
  test(`of ${what} the message has the line and what to do`, async () => {
    let message = 'accepted';
    try {
      await readToml(text, '/f');
    } catch (thrown) {
      message = (thrown as Error).message;
    }
    assert.match(message, expected);
  });
}

test('tables are nested so deep and no deeper, whatever way they are named', async () => {
  const path = (depth: number): string => Array(depth).fill('a').join('.');
  const good = await readToml(`[${path(MAX_DEPTH)}]\nx = 1\n`, '/f');
  assert.is(good.get(path(MAX_DEPTH))?.get('x')?.line, 2);
  const deep = [
    `[${path(MAX_DEPTH + 1)}]`,
    `${path(MAX_DEPTH + 2)} = 1`,
    `[[${path(MAX_DEPTH + 1)}]]`,
    `[${path(100_000)}]\nx = 1`,
    `${path(100_000)} = 1`,
  ];
  for (const text of deep) {
    try {
      await readToml(text, '/f');
      assert.unreachable(text.slice(0, 100));
    } catch (thrown) {
      assert.match((thrown as Error).message, /^\/f: tables are nested more than 32 deep/);
    }
  }
});

test('messages quote a bounded part of a line', async () => {
  try {
    await readToml(`a = ${'b'.repeat(100_000)}`, '/f');
  } catch (thrown) {
    assert.ok((thrown as Error).message.length < 400, (thrown as Error).message.slice(0, 500));
  }
});

test.run();
