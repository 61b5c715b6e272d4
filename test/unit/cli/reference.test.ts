/** Help texts, and the page of documentation that is made of them. */
import { readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Command } from '../../../host/cli/command.ts';
import { COMMANDS } from '../../../host/cli/commands.ts';
import { GLOBAL_OPTIONS } from '../../../host/cli/global-options.ts';
import { commandHelp, programHelp, WIDTH } from '../../../host/cli/help.ts';
import { commandReference, REFERENCE } from '../../../setup/command-reference.ts';

const test = suite('help of kata-runtime');

/** Every command, with those above it. */
function paths(commands: readonly Command[] = COMMANDS, above: readonly Command[] = []): (readonly Command[])[] {
  return commands.flatMap((command) => {
    const path = [...above, command];
    return [path, ...paths(command.commands ?? [], path)];
  });
}

test('docs/kata-runtime.md is what the commands say (node --import tsx setup/command-reference.ts writes it)', () => {
  assert.is(readFileSync(REFERENCE, 'utf8'), commandReference());
});

test('the program tells every command and every option', () => {
  const text = programHelp('kata-ctl', COMMANDS);
  for (const { name, aliases } of COMMANDS) for (const each of [name, ...(aliases ?? [])]) assert.match(text, each);
  for (const { name, aliases } of GLOBAL_OPTIONS)
    for (const each of [name, ...(aliases ?? [])]) assert.match(text, `--${each}`);
  assert.match(text, 'Usage: kata-ctl [OPTIONS] COMMAND');
});

for (const path of paths()) {
  const names = path.map(({ name }) => name).join(' ');
  test(`help of ${names}: usage, every argument, option and example, exit status`, () => {
    const text = commandHelp('kata-runtime', path);
    const command = path[path.length - 1] as Command;
    assert.match(text, `Usage: kata-runtime ${names}`);
    for (const { name } of command.options ?? []) assert.match(text, `--${name}`);
    for (const { name } of command.operands ?? []) assert.match(text, name);
    for (const { name } of command.commands ?? []) assert.match(text, name);
    if (command.run) assert.match(text, /Exit status:\n {2}0 /);
    assert.not.match(text, '{program}');
    // Examples and values are one line each, whatever their length.
    const long = text.split('\n').filter((line) => line.length > WIDTH && line.includes(' ', 40));
    assert.equal(
      long.filter((line) => !line.startsWith('  kata-runtime ')),
      [],
    );
    for (const summary of [command.summary, ...(command.options ?? []).map((option) => option.summary)]) {
      assert.not.match(summary, /\.$|\n/);
    }
  });
}

test.run();
