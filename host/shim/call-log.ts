/** Tells of containerd's calls in a detailed log: which, for whom, how long it took, how it ended. */
import { reasonOf } from '../error.ts';
import type { Log } from '../sandbox/log.ts';

/** A log that says whether details are wanted at all. */
export interface DetailedLog extends Log {
  readonly detailed: boolean;
}

type Handler = (request: unknown, call: unknown) => unknown;

/** The same handlers; without details wanted, all they cost is the question. */
export function told<Table extends object>(handlers: Table, log: DetailedLog): Table {
  const entries = Object.entries(handlers as Record<string, Handler>).map(([method, handler]) => [
    method,
    (request: unknown, call: unknown): unknown =>
      log.detailed ? follow(method, request, () => handler(request, call), log) : handler(request, call),
  ]);
  return Object.fromEntries(entries) as Table;
}

function follow(method: string, request: unknown, act: () => unknown, log: DetailedLog): unknown {
  const { id, exec_id: exec } = request as { readonly id?: unknown; readonly exec_id?: unknown };
  const began = performance.now();
  const tell = (error?: string): void => {
    log.debug('call', {
      call: method,
      container: typeof id === 'string' && id !== '' ? id : undefined,
      exec: typeof exec === 'string' && exec !== '' ? exec : undefined,
      ms: Math.round(10 * (performance.now() - began)) / 10,
      error,
    });
  };
  let result: unknown;
  try {
    result = act();
  } catch (thrown) {
    tell(reasonOf(thrown));
    throw thrown;
  }
  if (result instanceof Promise) {
    result.then(
      () => tell(),
      (thrown) => tell(reasonOf(thrown)),
    );
  } else tell();
  return result;
}
