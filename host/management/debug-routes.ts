/** The inside of the shim itself, for its developers: with `[runtime] enable_pprof` only. */
import { KataError } from '../error.ts';
import type { Managed } from '../shim/boot.ts';
import { type Answered, JSON_TYPE, json } from './answer.ts';
import type { Route } from './route.ts';

/** Longest profile, seconds: an answer has a minute. */
export const MAX_PROFILE_S = 30;
const DEFAULT_PROFILE_S = 10;

export function debugRoutes({ configuration, sandbox }: Managed): readonly Route[] {
  if (!configuration.enablePprof) return [];
  return [
    {
      method: 'GET',
      path: '/debug/vars',
      what: 'memory, handles and processor time of the shim, as JSON',
      act: async () => json(await variables(sandbox().identity.id)),
    },
    {
      method: 'GET',
      path: '/debug/pprof/profile',
      what: 'a CPU profile of ?seconds=N, which browsers open as .cpuprofile',
      act: ({ query }) => profile(query.get('seconds')),
    },
    {
      method: 'GET',
      path: '/debug/pprof/cmdline',
      what: 'the command line of the shim, its words ended by NUL',
      act: () => ({ body: `${[process.execPath, ...process.execArgv, ...process.argv.slice(1)].join('\0')}\0` }),
    },
    {
      method: 'GET',
      path: '/debug/pprof/',
      what: 'what profiles there are',
      act: (_asked, path) => index(path),
    },
  ];
}

async function variables(sandbox: string): Promise<Record<string, unknown>> {
  const { getHeapStatistics } = await import('node:v8');
  return {
    sandbox,
    cmdline: process.argv,
    versions: { node: process.versions.node, v8: process.versions.v8 },
    uptimeSeconds: process.uptime(),
    memory: process.memoryUsage(),
    heap: getHeapStatistics(),
    resources: process.resourceUsage(),
    handles: countOf(process.getActiveResourcesInfo()),
  };
}

function countOf(names: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}

async function profile(seconds: string | null): Promise<Answered> {
  const wanted = seconds === null ? DEFAULT_PROFILE_S : Number(seconds);
  if (!Number.isFinite(wanted) || wanted <= 0 || wanted > MAX_PROFILE_S) {
    throw new KataError('invalid_argument', `seconds must be a number above 0, at most ${MAX_PROFILE_S}`);
  }
  const { Session } = await import('node:inspector/promises');
  const session = new Session();
  session.connect();
  try {
    await session.post('Profiler.enable');
    await session.post('Profiler.start');
    await new Promise((resolve) => setTimeout(resolve, wanted * 1000));
    const { profile: taken } = await session.post('Profiler.stop');
    return { type: JSON_TYPE, body: JSON.stringify(taken) };
  } finally {
    session.disconnect();
  }
}

function index(path: string): Answered {
  const there = 'There are: /debug/pprof/profile?seconds=N (.cpuprofile), /debug/pprof/cmdline, and /debug/vars.\n';
  if (path === '/debug/pprof/') return { body: there };
  return { status: 404, body: `The shim is no Go program: it has no ${JSON.stringify(path)}. ${there}` };
}
