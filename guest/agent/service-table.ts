/** The services the agent serves, put together from the handlers of its parts. */
import type { MessageType } from '../../host/proto/codec.ts';
import { AgentServiceService, AgentServiceServiceName } from '../../host/proto/messages/agent.ts';
import { ConsoleService, ConsoleServiceName } from '../../host/proto/messages/console.ts';
import { ExtensionService, ExtensionServiceName } from '../../host/proto/messages/extension.ts';
import { ForwardService, ForwardServiceName } from '../../host/proto/messages/forward.ts';
import { HealthService, HealthServiceName } from '../../host/proto/messages/health.ts';
import type { Handler, Handlers } from './loop-interface.ts';

/** Handlers of some methods of grpc.AgentService. */
export type AgentHandlers = Handlers<typeof AgentServiceService>;
export type HealthHandlers = Handlers<typeof HealthService>;
/** Handlers of kata.edge.Forward; none: an agent without it. */
export type ForwardHandlers = Handlers<typeof ForwardService>;
/** Handlers of kata.edge.Console; none: an agent without it. */
export type ConsoleHandlers = Handlers<typeof ConsoleService>;

/** Handlers of kata.edge.Extension; none: an agent without it. */
export type ExtensionHandlers = Handlers<typeof ExtensionService>;

/** One method as the server calls it; its types were checked where the service was put together. */
export interface Method {
  readonly request: MessageType<unknown>;
  readonly response: MessageType<unknown>;
  /** Absent: answers `unimplemented`. */
  readonly handler: Handler<unknown, unknown> | undefined;
}

/** Methods by name, services by full name. */
export type Services = ReadonlyMap<string, ReadonlyMap<string, Method>>;

/**
 * Merges partial handlers into complete services.
 * @throws Error if two parts serve the same method
 */
export function servicesOf(
  health: HealthHandlers,
  forward: ForwardHandlers,
  console: ConsoleHandlers,
  extension: ExtensionHandlers,
  ...parts: readonly AgentHandlers[]
): Services {
  const merged: Record<string, unknown> = {};
  for (const part of parts) {
    for (const [name, handler] of Object.entries(part)) {
      if (handler === undefined) continue;
      if (name in merged) throw new Error(`two handlers for ${AgentServiceServiceName}.${name}`);
      merged[name] = handler;
    }
  }
  return new Map([
    [AgentServiceServiceName, methodsOf(AgentServiceService, merged)],
    [HealthServiceName, methodsOf(HealthService, health as Record<string, unknown>)],
    [ForwardServiceName, methodsOf(ForwardService, forward as Record<string, unknown>)],
    [ConsoleServiceName, methodsOf(ConsoleService, console as Record<string, unknown>)],
    [ExtensionServiceName, methodsOf(ExtensionService, extension as Record<string, unknown>)],
  ]);
}

/** The same handlers, but a call waits until `ready` has settled. Those that wait begin in their order. */
export function onceReady(ready: Promise<void>, handlers: AgentHandlers): AgentHandlers {
  let done = false;
  void ready.then(() => {
    done = true;
  });
  const entries = Object.entries(handlers) as [string, Handler<unknown, unknown>][];
  return Object.fromEntries(
    entries.map(([name, handler]): [string, Handler<unknown, unknown>] => [
      name,
      (request, call) => (done ? handler(request, call) : inTurn(ready, () => handler(request, call))),
    ]),
  ) as AgentHandlers;
}

const last = new WeakMap<Promise<void>, Promise<unknown>>();

/** Begins a step after those before it have begun, and, if they are done by then, have been answered. */
function inTurn(ready: Promise<void>, step: () => unknown): Promise<unknown> {
  // In an object: a promise that a step returns is not waited for.
  const begun = (last.get(ready) ?? ready).then(() => ({ result: step() }));
  const skip = (): void => {};
  last.set(ready, begun.then(skip, skip).then(skip).then(skip));
  return begun.then(({ result }) => result);
}

function methodsOf(
  table: Readonly<Record<string, readonly [request: unknown, response: unknown]>>,
  handlers: Readonly<Record<string, unknown>>,
): Map<string, Method> {
  const methods = new Map<string, Method>();
  for (const [name, [request, response]] of Object.entries(table)) {
    const handler = handlers[name] as Handler<unknown, unknown> | undefined;
    methods.set(name, {
      request: request as MessageType<unknown>,
      response: response as MessageType<unknown>,
      handler,
    });
  }
  return methods;
}
