/** `env`: the settings that sandboxes of this node get. */
import type { Call } from './call.ts';
import type { Command } from './command.ts';

export const env: Command = {
  name: 'env',
  aliases: ['kata-env'],
  summary: 'print the settings in use: configuration, sizes, programs, guest, host',
  description: [
    "The sections and names are those of Kata's own command, as TOML, so that scripts which read them go on working. [Edge] is this program's own: effective sizes, the accelerator and the reason for it, and under [[Edge.Keys]] every key of the configuration that has no effect: known ones with the reason, unknown ones with what may have been meant.",
    'All that is wrong with the configuration is named on stderr, with file and line, and the exit status is 1. What it asks for and this machine or program has not (a file, a confidential guest) is a warning here: no sandbox is made with it, as check says, too.',
  ],
  options: [
    { name: 'json', summary: 'as JSON' },
    { name: 'file', letter: 'f', value: 'FILE', kind: 'file', summary: 'write to this file instead of stdout' },
  ],
  examples: [
    ['env', 'everything'],
    [
      '{program} env --json | jq -r .Runtime.Config.Path',
      'the configuration file in use; empty: none, the defaults hold',
    ],
    ["{program} env --json | jq -r '.Edge.Keys[] | [.Place, .Key, .About] | @tsv'", 'keys without effect'],
    ['{program} --config ./configuration.toml env', 'try a file before it is installed'],
  ],
  exitStatus: [['1', 'the configuration is wrong, or an error']],
  run,
};

async function run(call: Call): Promise<number> {
  const { settings } = await import('./env/settings.ts');
  const { settingsText } = await import('./env/text.ts');
  const { document, errors, missing, notes } = await settings(call);
  for (const message of errors) call.output.error(message);
  for (const message of missing) call.output.warning(message);
  for (const note of notes) call.output.info(note);
  const status = errors.length === 0 ? 0 : 1;
  if (!document) return status;
  const text = await settingsText(document, call.flag('json'));
  const file = call.option('file');
  if (file === undefined) {
    call.output.data(text);
  } else {
    const { writeFileSync } = await import('node:fs');
    writeFileSync(file, text);
  }
  return status;
}
