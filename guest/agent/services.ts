/** The container half of grpc.AgentService. */
import type { AgentServiceService, WriteStreamRequest } from '../../host/proto/messages/agent.ts';
import { blockDevice } from './block-device.ts';
import { AgentError, reasonOf } from './error.ts';
import { execProcess } from './exec.ts';
import { getIpTables, setIpTables } from './iptables.ts';
import type { Call, Handlers, Loop } from './loop-interface.ts';
import { metricsText } from './metrics.ts';
import { OomEvents } from './oom.ts';
import { type ContainerOptions, DEFAULT_OPTIONS, type Guest } from './options.ts';
import { resizeVolume } from './resize-volume.ts';
import { Sandbox } from './sandbox.ts';
import { cgroupStats, networkStats } from './stats.ts';
import type { OutputStream } from './stream.ts';
import type { Sys } from './sys.ts';
import { diagnosticData, refreshShareMounts, volumeStats } from './volumes.ts';

const NOTHING = {};

type AgentHandlers = Handlers<typeof AgentServiceService>;

/** Handlers of all that concerns the sandbox, its containers, their processes and files. */
export function containerServices(sys: Sys, loop: Loop, options: Partial<ContainerOptions> = {}): AgentHandlers {
  const guest: Guest = { sys, loop, options: { ...DEFAULT_OPTIONS, ...options } };
  const sandbox = new Sandbox(guest);
  const oom = new OomEvents(sys, loop);
  guest.options.onProcessorsOnline?.(() => sandbox.fitProcessors());
  return told({
    ...lifecycle(guest, sandbox, oom),
    ...streams(sandbox),
    ...resources(guest, sandbox),
    ...files(guest, sandbox),
    ...reports(guest, sandbox, oom),
  });
}

function lifecycle(guest: Guest, sandbox: Sandbox, oom: OomEvents): AgentHandlers {
  return {
    CreateSandbox: async (request) => {
      await sandbox.create(request);
      return NOTHING;
    },
    DestroySandbox: async () => {
      await sandbox.destroy();
      return NOTHING;
    },
    CreateContainer: async (request) => {
      await sandbox.createContainer(request);
      return NOTHING;
    },
    StartContainer: async ({ container_id: id }) => {
      await sandbox.container(id).start(oom);
      const { loop, options } = guest;
      // After the answer.
      if (options.needModules) loop.sleep(0).then(options.needModules);
      return NOTHING;
    },
    RemoveContainer: async (request) => {
      await sandbox.removeContainer(request);
      return NOTHING;
    },
    ExecProcess: async (request) => {
      await execProcess(guest, sandbox.container(request.container_id), request);
      return NOTHING;
    },
    SignalProcess: ({ container_id: id, exec_id: execId, signal }) => {
      sandbox.container(id).signal(execId, signal);
      return NOTHING;
    },
    WaitProcess: async ({ container_id: id, exec_id: execId }, call) => ({
      status: await sandbox.container(id).process(execId).wait(call),
    }),
  };
}

function streams(sandbox: Sandbox): AgentHandlers {
  const process = (request: { container_id: string; exec_id: string }) =>
    sandbox.container(request.container_id).process(request.exec_id);
  return {
    ReadStdout: (request, call) => read(process(request).stdout, request.len, call),
    ReadStderr: (request, call) => {
      const { terminal, stdout, stderr } = process(request);
      // A terminal has one output; either call reads it.
      return read(terminal ? stdout : stderr, request.len, call);
    },
    WriteStdin: async (request: WriteStreamRequest) => {
      const { stdin } = process(request);
      // How Kata's Rust shim says that there is no more.
      if (request.data.length === 0) stdin.close();
      else await stdin.write(request.data);
      return { len: request.data.length };
    },
    CloseStdin: (request) => {
      process(request).stdin.close();
      return NOTHING;
    },
    TtyWinResize: (request) => {
      process(request).resize(request.row, request.column);
      return NOTHING;
    },
  };
}

function resources(guest: Guest, sandbox: Sandbox): AgentHandlers {
  const { sys, options } = guest;
  return {
    UpdateContainer: ({ container_id: id, resources: wanted }) => {
      const container = sandbox.container(id);
      if (!wanted) throw new AgentError('invalid_argument', `container ${id}: the request names no resources`);
      container.update(wanted);
      return NOTHING;
    },
    StatsContainer: ({ container_id: id }) => ({
      cgroup_stats: cgroupStats(sys, sandbox.container(id).cgroup),
      network_stats: networkStats(sys, options.procRoot),
    }),
    PauseContainer: async ({ container_id: id }) => {
      await sandbox.container(id).pause();
      return NOTHING;
    },
    ResumeContainer: async ({ container_id: id }) => {
      await sandbox.container(id).resume();
      return NOTHING;
    },
  };
}

function files(guest: Guest, sandbox: Sandbox): AgentHandlers {
  return {
    CopyFile: (request) => {
      sandbox.copied.copy(request);
      return NOTHING;
    },
    UpdateEphemeralMounts: ({ storages }) => {
      for (const storage of storages) sandbox.storages.update(storage);
      return NOTHING;
    },
    RemoveStaleVirtiofsShareMounts: () => {
      refreshShareMounts(guest);
      return NOTHING;
    },
    GetVolumeStats: ({ volume_guest_path: path }) => volumeStats(guest, path),
    ResizeVolume: async ({ volume_guest_path: path, size }) => {
      await resizeVolume(guest, path, Number(size));
      return NOTHING;
    },
    AddSwap: async ({ PCIPath: slots }) => {
      const path = slots.map((slot) => slot.toString(16).padStart(2, '0')).join('/');
      guest.sys.swapon(await blockDevice(guest, path));
      return NOTHING;
    },
  };
}

function reports(guest: Guest, sandbox: Sandbox, oom: OomEvents): AgentHandlers {
  return {
    GetOOMEvent: async (_request, call) => ({ container_id: await oom.next(call) }),
    GetMetrics: () => ({ metrics: metricsText(guest) }),
    GetDiagnosticData: (request) => ({ data: diagnosticData(guest, sandbox.container(request.container_id), request) }),
    GetIPTables: async ({ is_ipv6: ipv6 }) => ({ data: await getIpTables(guest, ipv6) }),
    SetIPTables: async ({ is_ipv6: ipv6, data }) => ({ data: await setIpTables(guest, ipv6, data.slice()) }),
  };
}

function read(stream: OutputStream | undefined, length: number, call: Call | undefined) {
  if (!stream) throw new AgentError('internal', 'cannot get stream reader');
  return stream.read(length, call).then((data) => ({ data }));
}

/** A failed system call, or anything else unforeseen, becomes an `internal` error with its text. */
function told(handlers: AgentHandlers): AgentHandlers {
  const wrap = (name: string, handler: (request: never, call?: Call) => unknown) => {
    const fail = (thrown: unknown): never => {
      throw thrown instanceof AgentError ? thrown : new AgentError('internal', `${name}: ${reasonOf(thrown)}`);
    };
    return (request: never, call?: Call): unknown => {
      try {
        const result = handler(request, call);
        return result instanceof Promise ? result.catch(fail) : result;
      } catch (thrown) {
        return fail(thrown);
      }
    };
  };
  const entries = Object.entries(handlers) as [string, (request: never, call?: Call) => unknown][];
  return Object.fromEntries(entries.map(([name, handler]) => [name, wrap(name, handler)])) as AgentHandlers;
}
