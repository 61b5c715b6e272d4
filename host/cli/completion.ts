/** `completion`: scripts for shells, made from the commands' descriptions. */
import type { Call } from './call.ts';
import type { Command } from './command.ts';

const SHELLS = ['bash', 'zsh'] as const;

export const completion: Command = {
  name: 'completion',
  summary: 'print a script that completes commands, options and sandboxes in a shell',
  operands: [{ name: 'SHELL', choices: SHELLS, summary: 'bash or zsh' }],
  examples: [
    ['source <({program} completion bash)', 'for this bash'],
    [
      '{program} completion bash > /etc/bash_completion.d/kata-runtime',
      'for every bash, with the package bash-completion',
    ],
    ['{program} completion zsh > /usr/local/share/zsh/site-functions/_kata-runtime', 'for every zsh'],
  ],
  run,
};

async function run({ output, words }: Call): Promise<number> {
  const { COMMANDS } = await import('./commands.ts');
  const { GLOBAL_OPTIONS } = await import('./global-options.ts');
  const { grammarOf } = await import('./completion/places.ts');
  const grammar = grammarOf(COMMANDS, GLOBAL_OPTIONS);
  if (words[0] === 'zsh') output.write((await import('./completion/zsh.ts')).zshScript(grammar));
  else output.write((await import('./completion/bash.ts')).bashScript(grammar));
  return 0;
}
