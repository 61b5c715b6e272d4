/** `policy set`: the policy of a guest's agent. */
import type { Call } from './call.ts';
import type { Command } from './command.ts';

/** Largest policy, bytes: the shim takes as much. */
export const MAX_POLICY_BYTES = 1024 * 1024;

export const policy: Command = {
  name: 'policy',
  summary: "set the policy of a sandbox's agent",
  commands: [
    {
      name: 'set',
      summary: 'replace the policy by a document (Rego)',
      description: [
        "The agent has to have a policy engine, as those of Kata's confidential guest images do; any other guest refuses, and nothing changes.",
      ],
      operands: [{ name: 'FILE', kind: 'file', summary: 'the document; -: stdin' }],
      options: [
        {
          name: 'sandbox-id',
          value: 'SANDBOX',
          kind: 'sandbox',
          summary: "the sandbox: id, beginning of it, or the pod's name",
        },
      ],
      examples: [['policy set strict.rego --sandbox-id 2f8a', 'from a file']],
      run: set,
    },
  ],
};

async function set(call: Call): Promise<number> {
  const { ask, requiredSandbox } = await import('./sandbox.ts');
  const { readInput } = await import('./input-file.ts');
  const record = requiredSandbox(call);
  const body = readInput(call.words[0] ?? '-', MAX_POLICY_BYTES);
  await ask(record, { method: 'PUT', path: '/policy', body });
  return 0;
}
