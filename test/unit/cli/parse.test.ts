/** From words to a command: both programs' styles, and what is said of words that are wrong. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Command } from '../../../host/cli/command.ts';
import { COMMANDS } from '../../../host/cli/commands.ts';
import { GLOBAL_OPTIONS } from '../../../host/cli/global-options.ts';
import { type Parsed, parse } from '../../../host/cli/parse.ts';

const test = suite('command line of kata-runtime');

function parsed(line: string): Parsed {
  return parse(
    line.split(' ').filter((word) => word !== ''),
    COMMANDS,
    GLOBAL_OPTIONS,
  );
}

/** Commands, options, words, words behind `--`. */
function told(line: string): unknown {
  const { path, values, words, rest, fault } = parsed(line);
  assert.is(fault, undefined, `${line}: ${fault?.message}`);
  return [path.map(({ name }) => name).join(' '), Object.fromEntries(values), words, rest];
}

function fault(line: string): string {
  try {
    return parsed(line).fault?.message ?? 'none';
  } catch (thrown) {
    return (thrown as Error).message;
  }
}

// The left and the right of each are the same.
for (const [line, same] of [
  ['kata-check', 'check'],
  ['kata-env --json', 'env --json'],
  ['env -json', 'env --json'],
  ['env --json=true', 'env --json'],
  ['env --json --json=false', 'env'],
  ['check -nv', 'check --no-network-checks --verbose'],
  ['check -v -s', 'check --verbose --strict'],
  ['--kata-config /x env', 'env --config=/x'],
  ['-l debug list', 'list --log-level debug'],
  ['-ldebug list', 'list -l=debug'],
  ['-j list -q', 'list --quiet --json-logging'],
  ['iptables --root /x get --sandbox-id a --v6', 'iptables get -sandbox-id=a -v6 -root=/x'],
  ['exec -p 1027 abc', 'exec abc --kata-debug-port 1027'],
  ['list -- ', 'list'],
] as const) {
  test(`${line} is ${same}`, () => assert.equal(told(line), told(same)));
}

test("-v is the version before a command, and the command's own behind it", () => {
  assert.equal(told('-v'), ['', { version: '' }, [], []]);
  assert.equal(told('check -v'), ['check', { verbose: '' }, [], []]);
});

test('words behind -- are left alone, where a command takes them', () => {
  assert.equal(told('exec abc -- ls -l --help'), ['exec', {}, ['abc'], ['ls', '-l', '--help']]);
  assert.equal(told('policy set --sandbox-id x -- -odd-'), ['policy set', { 'sandbox-id': 'x' }, ['-odd-'], []]);
});

test('- alone is a word, and values may begin with a dash', () => {
  assert.equal(told('iptables set - --sandbox-id x'), ['iptables set', { 'sandbox-id': 'x' }, ['-'], []]);
  assert.equal(told('direct-volume add --mount-info -x /p'), ['direct-volume add', { 'mount-info': '-x' }, ['/p'], []]);
});

for (const [line, expected] of [
  ['chekc', 'unknown command: "chekc"; did you mean check?'],
  ['kata-evn', 'unknown command: "kata-evn"; did you mean kata-env?'],
  ['lst', 'unknown command: "lst"; did you mean list?'],
  ['metr', 'unknown command: "metr"; did you mean metrics?'],
  ['xyzzy', 'unknown command: "xyzzy"'],
  ['iptables gte', 'unknown command of iptables: "gte"; did you mean get?'],
  ['check --verbos', 'unknown option of check: "--verbos"; did you mean --verbose?'],
  ['check --jsno=1', 'unknown option of check: "--jsno"; did you mean --json?'],
  ['--verison', 'unknown option: "--verison"; did you mean --version?'],
  ['list -x', 'unknown option of list: "-x"'],
  ['list -qx', 'unknown option of list: "-qx"'],
  ['list --', 'none'],
  ['list --config', '--config needs a value: FILE'],
  ['check --verbose=maybe', '--verbose takes no value, but got "maybe"'],
  ['-l loud list', '--log-level is "loud"; it must be one of trace, debug, info, warning, error, critical'],
  ['metrics', 'SANDBOX is missing'],
  ['metrics a b', 'unexpected word: "b"'],
  ['exec a ls', 'unexpected word: "ls"; a command stands behind "--": -- ls'],
  [
    'check lits',
    'WHAT is "lits"; it must be one of all, no-network-checks, check-version-only, only-list-releases, include-all-releases, list; did you mean list?',
  ],
  ['iptables', 'iptables needs one of: get, set'],
  ['completion fish', 'SHELL is "fish"; it must be one of bash, zsh'],
] as const) {
  test(`${line}: ${expected}`, () => assert.is(fault(line), expected));
}

test('a long word is quoted in part', () => {
  assert.ok(fault(`metrics a ${'b'.repeat(10_000)}`).length < 200);
  assert.ok(fault('x'.repeat(100_000)).length < 200);
});

test('no command has two options, or other names, that are the same', () => {
  const visit = (commands: readonly Command[], above: Command['options'] = []): void => {
    const names = commands.flatMap(({ name, aliases }) => [name, ...(aliases ?? [])]);
    assert.is(new Set(names).size, names.length);
    for (const command of commands) {
      const options = [...(command.options ?? []), ...above];
      const spelled = options.flatMap(({ name, aliases, letter }) => [
        name,
        ...(aliases ?? []),
        ...(letter ? [letter] : []),
      ]);
      assert.is(new Set(spelled).size, spelled.length, command.name);
      assert.is(command.run === undefined, command.commands !== undefined, `${command.name} runs, or has commands`);
      visit(command.commands ?? [], options);
    }
  };
  visit(COMMANDS);
  assert.is(new Set(GLOBAL_OPTIONS.map(({ name }) => name)).size, GLOBAL_OPTIONS.length);
});

test.run();
