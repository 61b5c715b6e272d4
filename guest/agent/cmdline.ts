/** The agent's options: from the kernel command line as PID 1, from arguments as an ordinary process. */

/** Longest kernel command line that is read, bytes (COMMAND_LINE_SIZE is 2048 on amd64 and arm64). */
export const MAX_CMDLINE_BYTES = 4096;
/** Seconds to wait for a hot-plugged device, unless `agent.hotplug_timeout` says otherwise. */
export const HOTPLUG_TIMEOUT_S = 3;

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'critical';

export interface AgentOptions {
  /** `vsock://CID:PORT` or `unix:///PATH`; absent: the port named `agent`, and AF_VSOCK port 1024. */
  readonly serverAddress: string | undefined;
  readonly logLevel: LogLevel;
  readonly debugConsole: boolean;
  /** AF_VSOCK port of the debug console; 0: the serial console. */
  readonly debugConsolePort: number;
  readonly hotplugTimeoutMs: number;
}

const ARGUMENTS = new Map([
  ['--listen', 'agent.server_addr'],
  ['--log', 'agent.log'],
]);
/** Arguments that stand for a word without a value. */
const SWITCHES = new Map([['--debug-console', 'agent.debug_console']]);
const LOG_LEVELS: readonly string[] = ['trace', 'debug', 'info', 'warn', 'error', 'critical'];

/** Reads `agent.*` words; unknown ones are the kernel's or others'. A value that is not of its kind keeps the default. */
export function parseCmdline(text: string): AgentOptions {
  const values = new Map<string, string>();
  for (const word of text.trim().split(/\s+/)) {
    const equals = word.indexOf('=');
    if (equals < 0) values.set(word, '');
    else values.set(word.slice(0, equals), word.slice(equals + 1));
  }
  const level = values.get('agent.log') ?? '';
  return {
    serverAddress: values.get('agent.server_addr') || undefined,
    logLevel: LOG_LEVELS.includes(level) ? (level as LogLevel) : 'info',
    debugConsole: values.get('agent.debug_console') === '',
    debugConsolePort: number(values.get('agent.debug_console_vport'), 0),
    hotplugTimeoutMs: number(values.get('agent.hotplug_timeout'), HOTPLUG_TIMEOUT_S) * 1000,
  };
}

/**
 * Reads `--listen ADDRESS`, `--log LEVEL` and `--debug-console`.
 * @throws Error on anything else
 */
export function parseArguments(args: readonly string[]): AgentOptions {
  const words: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const argument = args[i] ?? '';
    const key = ARGUMENTS.get(argument);
    const word = SWITCHES.get(argument);
    const value = args[i + 1];
    if (word) words.push(word);
    else if (key && value !== undefined) words.push(`${key}=${value}`);
    else throw new Error(`usage: agent --listen unix:///PATH [--log LEVEL] [--debug-console] (not ${argument})`);
    if (key) i++;
  }
  return parseCmdline(words.join(' '));
}

function number(text: string | undefined, otherwise: number): number {
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : otherwise;
}
