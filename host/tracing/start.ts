/** Begins the trace of a sandbox. Loaded only where traces are wanted. */
import { tracesUrl } from '../config/debugging.ts';
import { reasonOf } from '../error.ts';
import type { Log } from '../sandbox/log.ts';
import type { Trace } from '../sandbox/trace.ts';
import { PodTrace, type TraceOptions } from './pod-trace.ts';
import { TraceSender } from './sender.ts';

/**
 * @param configured URL of the configuration; empty: the environment's, or the usual one
 * @returns undefined where that is none; it is logged
 */
export function startTrace(
  configured: string,
  environment: Readonly<Record<string, string | undefined>>,
  options: Omit<TraceOptions, 'send'>,
  log: Log,
): Trace | undefined {
  try {
    const sender = new TraceSender({ url: tracesUrl(configured, environment), log });
    const trace = new PodTrace({ ...options, send: (batch) => sender.send(batch) });
    log.info('the start is traced', { trace_id: trace.traceId });
    return trace;
  } catch (thrown) {
    log.warn(
      'the start is not traced: OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is not usable',
      { error: reasonOf(thrown) },
    );
    return undefined;
  }
}
