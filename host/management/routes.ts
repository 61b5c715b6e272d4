/** All that can be asked of a sandbox. */
import type { Managed } from '../shim/boot.ts';
import { json } from './answer.ts';
import { debugRoutes } from './debug-routes.ts';
import { guestRoutes } from './guest-routes.ts';
import { metricsRoute } from './metrics-route.ts';
import { type Route, Routes, type Upgrade } from './route.ts';
import { describeSandbox } from './sandbox-view.ts';
import { volumeRoutes } from './volume-routes.ts';

export function routesOf(managed: Managed): Routes {
  return new Routes(
    [
      metricsRoute(managed),
      {
        method: 'GET',
        path: '/sandbox',
        what: 'the sandbox, its processes and its containers, as JSON',
        act: () => json(describeSandbox(managed)),
      },
      ...consoleRoutes(managed),
      ...volumeRoutes(managed),
      ...guestRoutes(managed),
      ...debugRoutes(managed),
    ],
    upgradesOf(managed),
  );
}

function consoleRoutes({ sandbox }: Managed): readonly Route[] {
  return [
    {
      method: 'GET',
      path: '/console',
      what: "the last lines of the guest's console, unprintable characters escaped",
      act: () => ({ body: sandbox().machine.hypervisor.consoleTail() }),
    },
    {
      method: 'GET',
      path: '/agent-url',
      what: "where the guest's agent is reached",
      act: () => ({ body: sandbox().machine.agentAddress }),
    },
  ];
}

function upgradesOf({ sandbox, configuration, description }: Managed): ReadonlyMap<string, Upgrade> {
  const console: Upgrade = async (request, socket, head) => {
    const { debugConsole } = await import('./debug-console.ts');
    await debugConsole(request, socket, head, {
      allowed: configuration.debugging.debugConsole,
      configuration: description.configuration ?? '',
      agent: () => sandbox().machine.liveAgent,
      dial: configuration.ownGuest ? undefined : async (port, signal) => sandbox().machine.dial(port, signal),
    });
  };
  return new Map([['/debug-console', console]]);
}
