/** The command line, as programs in Go read theirs: one dash or two, `-flag value` or `-flag=value`. */
import { KataError } from '../error.ts';

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'panic'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Where to listen: a TCP address, or the path of a unix socket. */
export type ListenAddress = { readonly host: string; readonly port: number } | { readonly path: string };

export interface Flags {
  readonly listen: ListenAddress;
  /** Path of the CRI's socket; empty: it is not asked. */
  readonly runtimeEndpoint: string;
  readonly logLevel: LogLevel;
}

/** What the command line asks for. */
export type Order = { readonly kind: 'serve'; readonly flags: Flags } | { readonly kind: 'version' | 'help' };

const DEFAULTS: Readonly<Record<string, string>> = {
  'listen-address': '127.0.0.1:8090',
  'runtime-endpoint': '/run/containerd/containerd.sock',
  'log-level': 'info',
};

export const HELP = `kata-monitor: metrics of all Kata sandboxes of this node, for Prometheus

Usage: kata-monitor [-listen-address ADDRESS] [-runtime-endpoint SOCKET] [-log-level LEVEL]
       kata-monitor -version | -help

  -listen-address ADDRESS
        where to answer HTTP: HOST:PORT, :PORT for every interface, or unix:/PATH for a socket that is root's alone
        (default ${DEFAULTS['listen-address']}). There is no authentication: keep it on the loopback or behind a proxy.
  -runtime-endpoint SOCKET
        the CRI's unix socket, asked for the names of pods that the sandboxes do not know themselves; empty: it is not asked
        (default ${DEFAULTS['runtime-endpoint']})
  -log-level LEVEL
        one of ${LOG_LEVELS.join(', ')} (default ${DEFAULTS['log-level']})

Flags may have two dashes, and their values may follow an equals sign.

Answers: /metrics, /metrics?sandbox=ID, /metrics?filter_family=PREFIX,PREFIX, /sandboxes, /agent-url?sandbox=ID, /
`;

/** @throws KataError `invalid_argument` */
export function parseFlags(words: readonly string[]): Order {
  const [first = ''] = words;
  if (words.length === 1 && first === 'version') return { kind: 'version' };
  if (words.length === 1 && first === 'help') return { kind: 'help' };
  const values = { ...DEFAULTS };
  for (let at = 0; at < words.length; at++) {
    const word = words[at] as string;
    const [, flag = '', value] = /^--?([a-z][a-z-]*)(?:=(.*))?$/s.exec(word) ?? [];
    if (flag === 'version' || flag === 'v') return { kind: 'version' };
    if (flag === 'help' || flag === 'h') return { kind: 'help' };
    if (!Object.hasOwn(DEFAULTS, flag)) throw invalid(`${JSON.stringify(word)} is not a flag`);
    if (value === undefined && at + 1 >= words.length) throw invalid(`-${flag} needs a value`);
    values[flag] = value ?? (words[++at] as string);
  }
  return { kind: 'serve', flags: flagsOf(values) };
}

/** The address as people write it. */
export function addressText(listen: ListenAddress): string {
  if ('path' in listen) return `unix:${listen.path}`;
  return listen.host.includes(':') ? `[${listen.host}]:${listen.port}` : `${listen.host}:${listen.port}`;
}

function flagsOf(values: Readonly<Record<string, string>>): Flags {
  const level = values['log-level'] as LogLevel;
  if (!LOG_LEVELS.includes(level)) {
    throw invalid(`-log-level ${JSON.stringify(level)} is not one of ${LOG_LEVELS.join(', ')}`);
  }
  return {
    listen: listenAddress(values['listen-address'] as string),
    runtimeEndpoint: endpointPath(values['runtime-endpoint'] as string),
    logLevel: level,
  };
}

function listenAddress(text: string): ListenAddress {
  const [, path] = /^unix:(?:\/\/)?(\/.*)$/s.exec(text) ?? [];
  if (path !== undefined) return { path };
  const [, brackets, plain, digits = ''] = /^(?:\[([^\]]*)\]|([^:[\]/]*)):(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  if (digits === '' || port > 65_535) {
    throw invalid(`-listen-address ${JSON.stringify(text)} is neither HOST:PORT nor unix:/PATH`);
  }
  return { host: brackets ?? plain ?? '', port };
}

function endpointPath(text: string): string {
  const path = text.replace(/^unix:(\/\/)?/, '');
  if (path !== '' && !path.startsWith('/')) {
    throw invalid(
      `-runtime-endpoint ${JSON.stringify(text)} is no path of a unix socket; the CRI is asked on such only`,
    );
  }
  return path;
}

function invalid(text: string): KataError {
  return new KataError('invalid_argument', `${text}; "kata-monitor -help" shows what there is`);
}
