/** `exec`: a shell in a sandbox's guest, by the debug console. */
import type { Command } from './command.ts';
import { UsageError } from './usage-error.ts';

export const execCommand: Command = {
  name: 'exec',
  summary: "open a shell in a sandbox's virtual machine, or run a command there",
  description: [
    'The shell is in the guest itself, outside of its containers. It has a terminal if stdin and stdout are terminals; otherwise ' +
      'input, output and errors are passed on as they are.',
    'The operator has to allow it: debug_console_enabled = true under [agent.kata] in configuration.toml, before the pod is started. ' +
      'No annotation does.',
    'exit or Ctrl-D end the shell; Ctrl-] pressed three times within a second leaves one that does not answer.',
  ],
  operands: [
    {
      name: 'SANDBOX',
      kind: 'sandbox',
      summary: "a sandbox's id, the beginning of it, or the pod's name ([NAMESPACE/]NAME)",
    },
  ],
  rest: 'COMMAND [ARGUMENT…]',
  options: [
    { name: 'tty', letter: 't', summary: 'a terminal for the command, also if stdin or stdout is none' },
    { name: 'stdin', letter: 'i', summary: 'accepted and without effect: input is always passed on' },
    {
      name: 'kata-debug-port',
      letter: 'p',
      value: 'PORT',
      summary: "vsock port of the shell in a guest of Kata's (default 1026); our own guest has none",
    },
  ],
  examples: [
    ['exec 2f8a', 'a shell in the guest of the sandbox whose id begins with 2f8a'],
    ['exec default/nginx -- dmesg', "the kernel's messages in a pod's guest"],
    ["exec nginx -- sh -c 'ps | head'", 'several commands'],
  ],
  exitStatus: [
    ['STATUS', "the command's own, 128 and the number of a signal that ended it"],
    ['127', 'the guest has no such command'],
    ['255', 'the connection broke'],
  ],
  run: async (call) => {
    const [text, ...more] = call.words;
    if (text === undefined) throw new UsageError('the sandbox is missing', call.path);
    if (more.length > 0)
      throw new UsageError(`a command stands behind --: exec ${text} -- ${more.join(' ')}`, call.path);
    const port = call.option('kata-debug-port');
    if (port !== undefined && !/^[1-9]\d{0,9}$/.test(port)) {
      throw new UsageError(`--kata-debug-port: ${JSON.stringify(port)} is no port`, call.path);
    }
    const { findSandbox } = await import('../sandbox/census.ts');
    const { execInGuest } = await import('./console-client.ts');
    const { state } = findSandbox(text, call.root);
    return execInGuest({
      id: state.id,
      socketPath: state.monitor,
      args: call.rest,
      terminal: call.flag('tty'),
      port: port === undefined ? undefined : Number(port),
      tell: (message) => call.output.info(message),
      fail: (message) => call.output.error(message),
    });
  },
};
