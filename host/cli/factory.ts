/** `factory`: VMs made ahead of pods. There are none. */
import type { Call } from './call.ts';
import type { Command } from './command.ts';

const ANSWER =
  'there is no factory yet: every sandbox boots a virtual machine of its own, from the small guest of this installation. ' +
  'Templates and caches of virtual machines ([factory] in configuration.toml) have no effect; nothing has to be prepared or removed';

export const factory: Command = {
  name: 'factory',
  summary: 'answer that there are no virtual machines made ahead of pods',
  description: [
    "Kata's commands for templates and caches of virtual machines. They have nothing to do here, do nothing, and say so with exit status 1: a script that counts on a factory learns that there is none.",
  ],
  commands: ['init', 'destroy', 'status'].map((name) => ({
    name,
    summary: 'answer that there is no factory',
    exitStatus: [['1', 'always: nothing was done']],
    run: none,
  })),
};

async function none({ output }: Call): Promise<number> {
  output.error(ANSWER);
  return 1;
}
