/** Whether containerd knows the runtime: it is asked itself, and where it cannot be asked, its files are read. */
import { statSync } from 'node:fs';
import { KataError, reasonOf } from '../../error.ts';
import { oneLine } from '../../tail.ts';
import { askCri } from './cri.ts';
import { type Check, type Finding, ok, skipped, warning } from './finding.ts';
import { type CheckedMachine, exists, namesIn, programPath, readText } from './machine.ts';

/** The runtime's type in containerd's configuration. */
export const RUNTIME_TYPE = 'io.containerd.kata.v2';
/** What of this project's shim's `-v` no other has. */
const PROJECT = 'kata-edge';
/** What containerd looks for in its PATH. */
const SHIM = 'containerd-shim-kata-v2';
const NO_CRI = 'has its CRI plugin switched off (disabled_plugins)';
/** Most files of a configuration that are read. */
const MAX_FILES = 64;

/** Where distributions of Kubernetes have containerd: socket, configuration, directories of drop-ins. */
interface Place {
  readonly name: string;
  readonly socket: string;
  readonly files: readonly string[];
  readonly directories: readonly string[];
}

const RANCHER = ['k3s', 'rke2'].map((name): Place => {
  const directory = `/var/lib/rancher/${name}/agent/etc/containerd`;
  return {
    name,
    socket: '/run/k3s/containerd/containerd.sock',
    files: [`${directory}/config.toml`],
    directories: [`${directory}/config.toml.d`, `${directory}/config-v3.toml.d`],
  };
});

export const PLACES: readonly Place[] = [
  ...RANCHER,
  {
    name: 'k0s',
    socket: '/run/k0s/containerd.sock',
    files: ['/etc/k0s/containerd.toml'],
    directories: ['/etc/k0s/containerd.d'],
  },
  {
    name: 'microk8s',
    socket: '/var/snap/microk8s/common/run/containerd.sock',
    files: [
      '/var/snap/microk8s/current/args/containerd.toml',
      '/var/snap/microk8s/current/args/containerd-template.toml',
    ],
    directories: [],
  },
  {
    name: 'containerd',
    socket: '/run/containerd/containerd.sock',
    files: ['/etc/containerd/config.toml'],
    directories: ['/etc/containerd/config.toml.d', '/etc/containerd/conf.d'],
  },
];

/** A runtime of containerd's that is ours. */
export interface Handler {
  readonly name: string;
  readonly privilegedWithoutHostDevices: boolean;
  readonly podAnnotations: readonly string[];
  /** The shim's path; empty: it is looked for in PATH. */
  readonly runtimePath: string;
}

export const containerd: Check = {
  name: 'containerd',
  summary: `containerd has a runtime of type ${RUNTIME_TYPE} (asked over its socket, else read from its files)`,
  decides: 'nothing',
  run: async ({ machine }) => {
    const named = machine.containerdSocket;
    const all = named === '' ? PLACES : [{ name: named, socket: named, files: [], directories: [] }];
    const places = installed(machine, all);
    if (places.length === 0) {
      return warning(
        named === '' ? 'no containerd is installed where one is usually' : `there is no ${named} (CONTAINERD_ADDRESS)`,
        'install containerd, k3s, RKE2, k0s or microk8s; the environment names one elsewhere: CONTAINERD_ADDRESS',
      );
    }
    return Promise.all(places.map((place) => placeFinding(machine, place)));
  },
};

export const shimInPath: Check = {
  name: 'shim',
  summary: `${SHIM} is where containerd finds it`,
  decides: 'nothing',
  run: async ({ machine }) => {
    const path = programPath(machine, SHIM);
    if (path !== undefined) return shimFinding(machine, path, path);
    const handlers = (await Promise.all(PLACES.map((place) => handlersInFiles(machine, place)))).flat();
    const named = handlers.find(({ runtimePath }) => runtimePath !== '' && exists(machine, runtimePath));
    if (named) return shimFinding(machine, named.runtimePath, `${named.runtimePath} (runtime_path of ${named.name})`);
    return warning(
      `${SHIM} is in no directory of PATH`,
      "link it into /usr/local/bin, or name it as runtime_path of the runtime in containerd's configuration",
    );
  },
};

/** Kata's own shim goes by the same name. */
async function shimFinding(machine: CheckedMachine, path: string, told: string): Promise<Finding> {
  const { code, text } = await machine.run(path, ['-v']);
  const version = oneLine(text.split('\n')[0] ?? '', 200);
  if (code === 0 && version.includes(PROJECT)) return ok(`${told}: ${version}`);
  if (code !== 0) return warning(`${told} -v failed: ${version}`, `correct the link: ls -l ${path}`);
  return warning(
    `${told} is another program: ${version}`,
    `pods get that one; link this installation's in its place: ls -l ${path}`,
  );
}

/** Places that have files or, where several share a socket, one that has it. */
function installed(machine: CheckedMachine, places: readonly Place[]): Place[] {
  const configured = places.filter(({ files }) => files.some((file) => exists(machine, file)));
  const taken = new Set(configured.map(({ socket }) => socket));
  const others = places.filter(({ socket }) => {
    if (taken.has(socket) || !exists(machine, socket)) return false;
    taken.add(socket);
    return true;
  });
  return [...configured, ...others];
}

async function placeFinding(machine: CheckedMachine, place: Place): Promise<Finding> {
  const asked = await ask(machine, place);
  if (typeof asked === 'object') return judge(asked.who, asked.handlers);
  if (asked === NO_CRI) {
    return skipped(`${place.name} (${place.socket}) ${NO_CRI}: Kubernetes needs it; ctr, nerdctl and docker do not`);
  }
  const read = await handlersInFiles(machine, place);
  if (machine.uid !== 0 && read.length === 0) return skipped(`${place.name}: ${asked}`);
  const finding = judge(`${place.name}'s files`, read);
  return asked === '' ? finding : warning(`${asked}; ${finding.found}`, 'start containerd, and look at its log');
}

/** What containerd says; a text: why it cannot be asked, or '' where it was never meant to run. */
async function ask(
  machine: CheckedMachine,
  { name, socket }: Place,
): Promise<{ who: string; handlers: Handler[] } | string> {
  const path = machine.root + socket;
  if (!statSync(path, { throwIfNoEntry: false })?.isSocket()) return `${name} does not run (no ${socket})`;
  try {
    const { who, config } = await askCri(path);
    return { who: `${who} (${socket})`, handlers: handlersOf(config) };
  } catch (thrown) {
    if (thrown instanceof KataError && thrown.code === 'unimplemented') return NO_CRI;
    return `${name} does not answer: ${oneLine(reasonOf(thrown), 200)}`;
  }
}

function judge(who: string, handlers: readonly Handler[]): Finding {
  if (handlers.length === 0) {
    return warning(
      `${who}: no runtime of type ${RUNTIME_TYPE}`,
      "run this installation's install.sh, which writes the drop-in, and restart containerd",
    );
  }
  const names = handlers.map(({ name }) => name).join(', ');
  const open = handlers.filter((one) => !one.privilegedWithoutHostDevices).map(({ name }) => name);
  if (open.length > 0) {
    return warning(
      `${who}: runtime ${names}; privileged pods of ${open.join(', ')} are told of every device of the host`,
      `set privileged_without_host_devices = true in containerd's runtimes.${open[0]}`,
    );
  }
  const deaf = handlers.filter((one) => !one.podAnnotations.some((text) => text.startsWith('io.katacontainers.')));
  const note = deaf.length === 0 ? '' : `; annotations io.katacontainers.* of pods are not passed on (pod_annotations)`;
  return ok(`${who}: runtime ${names}${note}`);
}

/**
 * Runtimes that are ours in what containerd parsed, whichever version's form.
 * @param config its JSON, or tables of its TOML file
 */
export function handlersOf(config: unknown): Handler[] {
  const found: Handler[] = [];
  walk(config, (name, runtime) => {
    const type = runtime.runtimeType ?? runtime.runtime_type;
    const runtimePath = runtime.runtimePath ?? runtime.runtime_path;
    // A type of any name may have our shim's path.
    if (type !== RUNTIME_TYPE && !(typeof runtimePath === 'string' && runtimePath.endsWith(`/${SHIM}`))) return;
    const annotations = runtime.PodAnnotations ?? runtime.podAnnotations ?? runtime.pod_annotations;
    found.push({
      name,
      privilegedWithoutHostDevices: runtime.privileged_without_host_devices === true,
      runtimePath: typeof runtimePath === 'string' ? runtimePath : '',
      podAnnotations: Array.isArray(annotations) ? annotations.filter((one) => typeof one === 'string') : [],
    });
  });
  return found;
}

/** Levels of tables above a runtime: plugins, the plugin, containerd, runtimes. */
const MAX_LEVELS = 6;

function walk(value: unknown, visit: (name: string, runtime: Record<string, unknown>) => void, level = 0): void {
  if (typeof value !== 'object' || value === null || level > MAX_LEVELS) return;
  for (const [key, child] of Object.entries(value)) {
    if (typeof child !== 'object' || child === null) continue;
    if (key !== 'runtimes') {
      walk(child, visit, level + 1);
      continue;
    }
    for (const [name, runtime] of Object.entries(child)) {
      if (typeof runtime === 'object' && runtime !== null) visit(name, runtime as Record<string, unknown>);
    }
  }
}

async function handlersInFiles(machine: CheckedMachine, { files, directories }: Place): Promise<Handler[]> {
  const { parse } = await import('smol-toml');
  const dropIns = directories.flatMap((directory) =>
    namesIn(machine, directory)
      .filter((name) => name.endsWith('.toml'))
      .map((name) => `${directory}/${name}`),
  );
  const handlers = new Map<string, Handler>();
  for (const file of [...files, ...dropIns].slice(0, MAX_FILES)) {
    try {
      for (const handler of handlersOf(parse(readText(machine, file) ?? ''))) handlers.set(handler.name, handler);
    } catch {
      // A template, or a file that containerd itself will complain of.
    }
  }
  return [...handlers.values()];
}
