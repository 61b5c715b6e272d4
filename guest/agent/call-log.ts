/** Tells the console of every call: `agent.log=debug`. */

import type { LogLevel } from './cmdline.ts';
import { reasonOf } from './error.ts';
import type { Handler } from './loop-interface.ts';
import type { Method, Services } from './service-table.ts';
import type { Sys } from './sys.ts';

/** Made so often, and open for so long, that they tell nothing: only with `agent.log=trace`. */
const FREQUENT = new Set(['ReadStdout', 'ReadStderr', 'WriteStdin', 'Check', 'GetOOMEvent']);

/** The same services, whose calls are told where the level asks for it. */
export function withCallLog(services: Services, sys: Sys, level: LogLevel): Services {
  if (level !== 'debug' && level !== 'trace') return services;
  const told = (name: string, method: Method): Method => {
    if (!method.handler || (level === 'debug' && FREQUENT.has(name))) return method;
    return { ...method, handler: telling(name, method.handler, sys) };
  };
  return new Map(
    [...services].map(([service, methods]) => [
      service,
      new Map([...methods].map(([name, method]) => [name, told(name, method)])),
    ]),
  );
}

function telling(name: string, handler: Handler<unknown, unknown>, sys: Sys): Handler<unknown, unknown> {
  return async (request, call) => {
    const since = sys.now();
    const tell = (how: string): void => sys.log(`agent: ${name}: ${how} after ${Math.round(sys.now() - since)} ms`);
    try {
      const answer = await handler(request, call);
      tell('done');
      return answer;
    } catch (thrown) {
      tell(reasonOf(thrown));
      throw thrown;
    }
  };
}
