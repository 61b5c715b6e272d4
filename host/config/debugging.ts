/** What an operator looks into a pod by: the debug console, the shim's log, the guest's console, traces. */
import { QEMU, show, type Values } from './values.ts';

export const LOG_TARGETS = ['fifo', 'journald', 'syslog'] as const;
export type LogTarget = (typeof LOG_TARGETS)[number];
/** From the least important on. */
export const LOG_LEVELS = ['debug', 'info', 'warning', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Where OTLP is taken unless the configuration says otherwise: the collector's usual port on this machine. */
export const DEFAULT_OTLP_ENDPOINT = 'http://127.0.0.1:4318';
/** Where a collector takes traces, below its endpoint. */
const TRACES_PATH = '/v1/traces';
/** How the guest's kernel command line allows a console; of Kata's agent, where. */
const CONSOLE_WORD = /^agent\.debug_console(_vport)?(=|$)/;

export interface Debugging {
  /** Whether shells may be opened in the guest. */
  readonly debugConsole: boolean;
  /** Whether the lines of the guest's console are logged. */
  readonly consoleLog: boolean;
  /** Least important messages that are logged. */
  readonly logLevel: LogLevel;
  readonly logTargets: readonly LogTarget[];
  /** Whole URL to which traces are sent; empty: nowhere in particular, `tracesUrl` decides. undefined: no traces. */
  readonly traces: string | undefined;
  /** Settings that are not followed, for the log. */
  readonly notices: readonly string[];
}

/**
 * Reads them from the operator's files; a pod's annotations have no part in them.
 * @throws KataError `invalid_argument`
 */
export function debuggingOf(values: Values): Debugging {
  const { hypervisor } = values;
  const debug = values.boolean('runtime', 'enable_debug', false);
  const words = values.string(QEMU, 'kernel_params', '').split(/\s+/);
  const notices: string[] = [];
  return {
    debugConsole: values.boolean('agent.kata', 'debug_console_enabled', false) || words.includes('agent.debug_console'),
    consoleLog: values.boolean('edge', 'console_log', values.boolean(hypervisor, 'enable_debug', false)),
    logLevel: debug ? 'debug' : levelOf(values),
    logTargets: targetsOf(values),
    traces: values.boolean('runtime', 'enable_tracing', false) ? tracesOf(values, notices) : undefined,
    notices,
  };
}

/** Where traces go, the operator's file before the environment. @throws Error for what is no http URL */
export function tracesUrl(configured: string, environment: Readonly<Record<string, string | undefined>>): string {
  const { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: traces, OTEL_EXPORTER_OTLP_ENDPOINT: endpoint } = environment;
  const [found, whole] =
    configured || traces ? [configured || traces, true] : [endpoint || DEFAULT_OTLP_ENDPOINT, false];
  const url = urlOf(found ?? '');
  if (!url) throw new Error(`${show(found)} is no http or https URL`);
  return whole ? url.href : withPath(url.href);
}

/** A kernel command line that allows a console if, and only if, the operator does. */
export function kernelParamsFor(kernelParams: string, allowed: boolean, consolePort: number): string {
  const words = kernelParams.split(/\s+/).filter((word) => word !== '' && (allowed || !CONSOLE_WORD.test(word)));
  if (allowed && !words.includes('agent.debug_console')) words.push('agent.debug_console');
  if (allowed && consolePort > 0 && !words.some((word) => word.startsWith('agent.debug_console_vport='))) {
    words.push(`agent.debug_console_vport=${consolePort}`);
  }
  return words.join(' ');
}

function levelOf(values: Values): LogLevel {
  const level = values.choice(
    'runtime',
    'log_level',
    ['trace', 'debug', 'info', 'warn', 'error', 'critical'] as const,
    'info',
  );
  const ours = {
    trace: 'debug',
    debug: 'debug',
    info: 'info',
    warn: 'warning',
    error: 'error',
    critical: 'error',
  } as const;
  return ours[level];
}

function targetsOf(values: Values): readonly LogTarget[] {
  const set = values.strings('edge', 'log_targets');
  for (const word of set) {
    if (!(LOG_TARGETS as readonly string[]).includes(word)) {
      throw values.invalid('edge', 'log_targets', `has ${show(word)}; there are ${LOG_TARGETS.join(', ')}`);
    }
  }
  return set.length === 0 ? ['fifo'] : ([...new Set(set)] as LogTarget[]);
}

function tracesOf(values: Values, notices: string[]): string {
  const own = values.string('edge', 'otlp_endpoint', '');
  const jaeger = values.string('runtime', 'jaeger_endpoint', '');
  if (own !== '') {
    if (!urlOf(own)) throw values.invalid('edge', 'otlp_endpoint', `is ${show(own)}; it must be an http or https URL`);
    return withPath(own);
  }
  if (jaeger === '') return '';
  if (urlOf(jaeger)?.pathname.endsWith(TRACES_PATH)) return jaeger;
  notices.push(
    `runtime.jaeger_endpoint: ${show(jaeger)} is not followed: traces are sent by OTLP over HTTP, to a URL whose path ends in ${TRACES_PATH}; set edge.otlp_endpoint`,
  );
  return '';
}

/** The URL of a collector, its path included. */
function withPath(endpoint: string): string {
  const url = new URL(endpoint);
  if (!url.pathname.endsWith(TRACES_PATH)) url.pathname = `${url.pathname.replace(/\/+$/, '')}${TRACES_PATH}`;
  return url.href;
}

function urlOf(text: string): URL | undefined {
  try {
    const url = new URL(text);
    return url.protocol === 'http:' || url.protocol === 'https:' ? url : undefined;
  } catch {
    return undefined;
  }
}
