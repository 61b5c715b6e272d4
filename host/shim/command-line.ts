/** The command line containerd gives a shim: Go's flag syntax, then at most one action. */
import { KataError } from '../error.ts';

export type Action = 'start' | 'delete' | 'serve' | 'info' | 'version' | 'help';

export interface CommandLine {
  readonly action: Action;
  readonly namespace: string;
  readonly id: string;
  /** containerd's gRPC socket. */
  readonly address: string;
  readonly publishBinary: string;
  /** Empty: the working directory. */
  readonly bundle: string;
  /** Address to serve on; empty: derived from the id. */
  readonly socket: string;
  readonly debug: boolean;
}

const TEXT_FLAGS = ['namespace', 'id', 'address', 'publish-binary', 'bundle', 'socket', 'debug-socket'];
const SWITCHES = ['debug', 'v', 'version', 'info', 'help', 'h'];

export const USAGE = `usage: containerd-shim-kata-v2 -namespace NS -id ID -address SOCKET [-publish-binary PATH] [-debug] [start | delete]

containerd runs it for the runtime type io.containerd.kata.v2.

  start         serve a sandbox in the background and print the address of its socket
  delete        clean up after a sandbox whose shim is gone (-bundle DIR) and print a DeleteResponse
  -info         print the runtime's RuntimeInfo
  -v, -version  print the version
`;

/**
 * @param argv words after the program's name
 * @throws KataError `invalid_argument` for an unknown flag or action, or a flag without its value
 */
export function parseCommandLine(argv: readonly string[]): CommandLine {
  const text = new Map<string, string>();
  const on = new Set<string>();
  let position = 0;
  while (position < argv.length) {
    const word = argv[position] ?? '';
    if (!word.startsWith('-') || word === '-' || word === '--') break;
    position += 1 + readFlag(word, argv[position + 1], text, on);
  }
  return {
    action: actionOf(argv.slice(position), on),
    namespace: text.get('namespace') ?? '',
    id: text.get('id') ?? '',
    address: text.get('address') ?? '',
    publishBinary: text.get('publish-binary') ?? '',
    bundle: text.get('bundle') ?? '',
    socket: text.get('socket') ?? '',
    debug: on.has('debug'),
  };
}

/** Reads one flag; returns how many words beyond its own it took. */
function readFlag(word: string, next: string | undefined, text: Map<string, string>, on: Set<string>): number {
  const equals = word.indexOf('=');
  const name = word.slice(word.startsWith('--') ? 2 : 1, equals < 0 ? undefined : equals);
  const value = equals < 0 ? undefined : word.slice(equals + 1);
  if (TEXT_FLAGS.includes(name)) {
    const given = value ?? next;
    if (given === undefined) throw new KataError('invalid_argument', `flag -${name} needs a value`);
    text.set(name, given);
    return value === undefined ? 1 : 0;
  }
  if (!SWITCHES.includes(name)) {
    throw new KataError('invalid_argument', `unknown flag ${word}; -help lists the flags`);
  }
  if (switchValue(name, value)) on.add(name);
  else on.delete(name);
  return 0;
}

/** What Go's strconv.ParseBool accepts. */
function switchValue(name: string, value: string | undefined): boolean {
  if (value === undefined || /^(1|t|T|true|TRUE|True)$/.test(value)) return true;
  if (/^(0|f|F|false|FALSE|False)$/.test(value)) return false;
  throw new KataError('invalid_argument', `flag -${name} is true or false, not ${JSON.stringify(value)}`);
}

function actionOf(words: readonly string[], on: ReadonlySet<string>): Action {
  if (on.has('v') || on.has('version')) return 'version';
  if (on.has('info')) return 'info';
  if (on.has('help') || on.has('h')) return 'help';
  const word = words[0];
  if (word === undefined) return 'serve';
  if (word === 'start' || word === 'delete') return word;
  throw new KataError('invalid_argument', `unknown action ${JSON.stringify(word)}; the actions are start and delete`);
}
