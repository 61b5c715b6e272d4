/** Prometheus text of others: what is read, what is dropped, and where the limits are. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Families } from '../../../host/metrics/family.ts';
import { addGuestText } from '../../../host/metrics/guest.ts';
import { GUEST_LIMITS, numberOf, type ParseLimits, parseText } from '../../../host/metrics/parse.ts';

const LIMITS: ParseLimits = {
  text: 10_000,
  lines: 20,
  line: 200,
  series: 10,
  families: 5,
  labels: 2,
  name: 30,
  value: 20,
};

interface Read {
  readonly samples: readonly (readonly [string, Record<string, string>, number])[];
  readonly dropped: number;
}

function read(text: string, limits = LIMITS): Read {
  const samples: [string, Record<string, string>, number][] = [];
  const dropped = parseText(text, limits, {
    sample: (name, labels, value) => samples.push([name, Object.fromEntries(labels), value]) > 0,
  });
  return { samples, dropped };
}

/** What a guest's text becomes, without descriptions. */
function guest(text: string): { lines: string[]; dropped: number; text: string } {
  const families = new Families();
  const dropped = addGuestText(families, text);
  const out = families.toString();
  return { lines: out.split('\n').filter((line) => line !== '' && !line.startsWith('#')), dropped, text: out };
}

test('samples are read with and without labels, timestamps, blanks and a last newline', () => {
  const { samples, dropped } = read(
    'a 1\nb{x="1"} 2.5 1700000000000\n  \n# comment\nc { x = "y" , z="w",} -3e2\nd{}\t+Inf\ne{a="}"}NaN',
  );
  assert.equal(samples, [
    ['a', {}, 1],
    ['b', { x: '1' }, 2.5],
    ['c', { x: 'y', z: 'w' }, -300],
    ['d', {}, Infinity],
    ['e', { a: '}' }, NaN],
  ]);
  assert.is(dropped, 0);
});

test('label values are unescaped once', () => {
  const { samples } = read('a{x="\\\\n\\n\\"\\q"} 1');
  assert.equal(samples[0]?.[1], { x: '\\n\n"\\q' });
});

for (const line of [
  'a',
  'a{ 1',
  'a{x} 1',
  'a{x=1} 1',
  'a{x="1} 1',
  'a{x="1\\"} 1',
  'a{x="1" y="2"} 1',
  'a{x="1",x="2"} 1',
  'a{0x="1"} 1',
  '0a 1',
  'a-b 1',
  'a 1 2 3',
  'a 1 soon',
  'a one',
  'a 0x10',
  'a 1_000',
  'a 1e999',
  'a infinity',
  '{x="1"} 1',
  'é 1',
]) {
  test(`it is dropped: ${line}`, () => {
    assert.equal(read(`before 1\n${line}\nafter 2\n`), {
      samples: [
        ['before', {}, 1],
        ['after', {}, 2],
      ],
      dropped: 1,
    });
  });
}

test('each limit holds where it stands, and is crossed one beyond', () => {
  const many = (count: number, line: (i: number) => string) =>
    Array.from({ length: count }, (_, i) => line(i)).join('\n');
  const series = many(LIMITS.series + 1, (i) => `a{x="${i}"} 1`);
  assert.is(read(series).samples.length, LIMITS.series);
  assert.is(read(series).dropped, 1);
  const lines = many(LIMITS.lines + 5, () => '#');
  assert.is(read(`${lines}\na 1`).samples.length, 0);
  assert.is(read(`${many(LIMITS.lines - 1, () => '#')}\na 1`).samples.length, 1);
  assert.is(read(`${'n'.repeat(LIMITS.name)} 1`).samples.length, 1);
  assert.is(read(`${'n'.repeat(LIMITS.name + 1)} 1`).dropped, 1);
  assert.is(read(`a{x="${'v'.repeat(LIMITS.value)}"} 1`).samples.length, 1);
  assert.is(read(`a{x="${'v'.repeat(LIMITS.value + 1)}"} 1`).dropped, 1);
  assert.is(read('a{x="1",y="2"} 1').samples.length, 1);
  assert.is(read('a{x="1",y="2",z="3"} 1').dropped, 1);
  assert.is(read(`a${' '.repeat(LIMITS.line - 2)}1`).samples.length, 1);
  assert.is(read(`a${' '.repeat(LIMITS.line - 1)}1`).dropped, 1);
  const limits = { ...LIMITS, text: 8 };
  assert.is(read('a 1\nb 2\n', limits).samples.length, 2);
  assert.equal(read('a 1\nb 2\nc 3\n', limits), { samples: read('a 1\nb 2\n').samples, dropped: 1 });
  // A line that the limit cuts in two says something else than it did.
  assert.equal(read('a 1\nb 2345\n', limits).samples, [['a', {}, 1]]);
});

test('a guest’s families are bounded', () => {
  const text = Array.from({ length: GUEST_LIMITS.families + 3 }, (_, i) => `kata_guest_n${i} 1`).join('\n');
  const { lines, dropped } = guest(text);
  assert.is(lines.length, GUEST_LIMITS.families);
  assert.is(dropped, 3);
});

test('numbers are those of the format only', () => {
  for (const [text, value] of [
    ['0', 0],
    ['-0.5', -0.5],
    ['.5', 0.5],
    ['5.', 5],
    ['1E3', 1000],
    ['nan', NaN],
    ['-inf', -Infinity],
  ] as const) {
    assert.equal(numberOf(text), value);
  }
  for (const text of ['', ' ', '1,5', '1e', '--1', '1n', '0b1', 'Infinity', '9e9999'])
    assert.is(numberOf(text), undefined);
});

test('a guest speaks of the agent and the guest only, in labels that are known', () => {
  const { lines, dropped } = guest(
    [
      'kata_guest_load{item="load1"} 1',
      'kata_agent_threads 2',
      'process_open_fds 3',
      'go_goroutines 4',
      'kata_shim_threads 5',
      'kata_hypervisor_fds 6',
      'kata_monitor_running_shim_count 7',
      'up 8',
      'kata_guest_load{sandbox_id="other",item="load1"} 9',
      'kata_guest_load{cri_name="other"} 10',
      'kata_guest_load{__name__="up"} 11',
      'kata_guest_load{le="1"} 12',
    ].join('\n'),
  );
  assert.equal(lines, [
    'kata_guest_load{item="load1"} 1',
    'kata_agent_threads 2',
    'kata_agent_process_open_fds 3',
    'kata_agent_go_goroutines 4',
  ]);
  assert.is(dropped, 8);
});

test('a guest’s words are not passed on: help and type are ours', () => {
  const { text } = guest(
    '# HELP kata_guest_load look here: http://evil\n# TYPE kata_guest_load histogram\nkata_guest_load{item="x"} 1\n' +
      '# HELP kata_guest_new evil\nkata_guest_new 1\n',
  );
  assert.not.match(text, /evil/);
  assert.match(text, '# TYPE kata_guest_load gauge\n');
  assert.match(text, '# TYPE kata_guest_new untyped\n');
});

test('a guest cannot break out of a label, nor reach a terminal', () => {
  const { lines } = guest(
    'kata_guest_load{item="a\\"} 5\\nkata_shim_threads 1\\\\"} 1\nkata_guest_load{item="\u001b[2J\r"} 2',
  );
  assert.equal(lines, [
    'kata_guest_load{item="a\\"} 5\ufffdkata_shim_threads 1\\\\"} 1',
    'kata_guest_load{item="\ufffd[2J\ufffd"} 2',
  ]);
});

test('families of one name stand together, and a series is there once', () => {
  const { text, dropped } = guest(
    'kata_guest_load{item="a"} 1\nkata_guest_tasks{item="cur"} 2\nkata_guest_load{item="b"} 3\nkata_guest_load{item="a"} 4\n',
  );
  assert.is(
    text,
    '# HELP kata_guest_load Load of the guest, of /proc/loadavg\n# TYPE kata_guest_load gauge\n' +
      'kata_guest_load{item="a"} 1\nkata_guest_load{item="b"} 3\n' +
      '# HELP kata_guest_tasks Tasks of the guest: those that run, and all\n# TYPE kata_guest_tasks gauge\n' +
      'kata_guest_tasks{item="cur"} 2\n',
  );
  assert.is(dropped, 1);
});

test.run();
