/** `iptables get|set`: packet filter rules inside a guest. */
import type { Call } from './call.ts';
import type { Command, Option } from './command.ts';

/** Largest set of rules that is sent, bytes: the shim takes as much. */
export const MAX_RULES_BYTES = 1024 * 1024;

const OPTIONS: readonly Option[] = [
  {
    name: 'sandbox-id',
    value: 'SANDBOX',
    kind: 'sandbox',
    summary: "the sandbox: id, beginning of it, or the pod's name",
  },
  { name: 'v6', summary: 'rules for IPv6 instead of IPv4' },
];

export const iptables: Command = {
  name: 'iptables',
  summary: "get or set the packet filter rules of a sandbox's guest",
  description: [
    'The rules are those inside the virtual machine, in the form of iptables-save; they end with it. A guest that comes without the programs is handed them when it is first asked; one that cannot take them says so.',
  ],
  commands: [
    {
      name: 'get',
      summary: 'print the rules',
      operands: [{ name: 'SANDBOX', kind: 'sandbox', optional: true, summary: 'the same as --sandbox-id' }],
      options: OPTIONS,
      examples: [['iptables get --sandbox-id 2f8a', 'rules for IPv4']],
      run: get,
    },
    {
      name: 'set',
      summary: 'replace the rules',
      operands: [
        { name: 'FILE', kind: 'file', optional: true, summary: 'as iptables-restore reads it; - or nothing: stdin' },
      ],
      options: OPTIONS,
      examples: [['iptables set --sandbox-id 2f8a --v6 rules.v6', 'rules for IPv6 from a file']],
      run: set,
    },
  ],
};

async function get(call: Call): Promise<number> {
  const { ask, requiredSandbox } = await import('./sandbox.ts');
  call.output.write(
    (await ask(requiredSandbox(call, call.words[0]), { method: 'GET', path: pathOf(call) })).toString('utf8'),
  );
  return 0;
}

async function set(call: Call): Promise<number> {
  const { ask, requiredSandbox } = await import('./sandbox.ts');
  const { readInput, stdinIsTerminal } = await import('./input-file.ts');
  const record = requiredSandbox(call);
  const [file = '-'] = call.words;
  if (file === '-' && stdinIsTerminal()) call.output.info('reading rules from the keyboard; Ctrl-D ends them');
  await ask(record, { method: 'PUT', path: pathOf(call), body: readInput(file, MAX_RULES_BYTES) });
  return 0;
}

function pathOf(call: Call): string {
  return call.flag('v6') ? '/ip6tables' : '/iptables';
}
