/** The guest machine: clock, entropy, processors, memory, swap, and what the host asks about it. */
import { AgentError, errnoOf } from './error.ts';
import type { Loop } from './loop-interface.ts';
import type { AgentHandlers, HealthHandlers } from './service-table.ts';
import { DEVICE_HANDLERS } from './spec-devices.ts';
import { STORAGE_HANDLERS } from './storage.ts';
import type { Sys } from './sys.ts';

/** Set by the build. */
declare const AGENT_VERSION: string;

/** Version of the health protocol, as Kata's agent gives it. */
const GRPC_VERSION = '0.0.1';
const SERVING = 1;
const CPUS = '/sys/devices/system/cpu';
const MEMORY = '/sys/devices/system/memory';
const MAX_FILE_BYTES = 4096;
/** Tries to bring all asked-for processors online, and milliseconds between them. */
const ONLINE_TRIES = 100;
const ONLINE_INTERVAL_MS = 50;
/** Most addresses of one MemHotplugByProbe. */
export const MAX_PROBE_ADDRESSES = 4096;

export function healthHandlers(): HealthHandlers {
  return {
    Check: () => ({ status: SERVING }),
    Version: () => ({ grpc_version: GRPC_VERSION, agent_version: AGENT_VERSION }),
  };
}

/**
 * The methods of grpc.AgentService about the machine.
 * @param processorsOnline called after processors have gone online
 */
export function systemHandlers(sys: Sys, loop: Loop, processorsOnline: () => void = () => {}): AgentHandlers {
  return {
    GetGuestDetails: (request) => ({
      mem_block_size_bytes: request.mem_block_size ? memoryBlockBytes(sys) : 0,
      support_mem_hotplug_probe: request.mem_hotplug_probe && exists(sys, `${MEMORY}/probe`),
      agent_details: {
        version: AGENT_VERSION,
        init_daemon: sys.getpid() === 1,
        device_handlers: DEVICE_HANDLERS,
        storage_handlers: STORAGE_HANDLERS,
        supports_seccomp: exists(sys, '/proc/sys/kernel/seccomp'),
      },
    }),
    SetGuestDateTime: ({ Sec, Usec }) => {
      sys.setTimeOfDay(Number(Sec), Number(Usec));
      return {};
    },
    ReseedRandomDev: ({ data }) => {
      if (data.length === 0) throw new AgentError('invalid_argument', 'ReseedRandomDev: no data');
      sys.reseedRandom(data);
      return {};
    },
    OnlineCPUMem: async (request) => {
      await onlineProcessors(sys, loop, request.nb_cpus, request.wait);
      processorsOnline();
      if (!request.cpu_only) onlineMemory(sys);
      return {};
    },
    MemHotplugByProbe: ({ memHotplugProbeAddr }) => {
      if (memHotplugProbeAddr.length > MAX_PROBE_ADDRESSES) {
        throw new AgentError('invalid_argument', `more than ${MAX_PROBE_ADDRESSES} addresses`);
      }
      for (const address of memHotplugProbeAddr) sys.writeFile(`${MEMORY}/probe`, `0x${address.toString(16)}`);
      return {};
    },
    AddSwapPath: ({ path }) => {
      sys.swapon(path);
      return {};
    },
  };
}

/** Bytes of a memory block; 0 on a machine without memory hot-plug. */
function memoryBlockBytes(sys: Sys): number {
  if (!exists(sys, `${MEMORY}/block_size_bytes`)) return 0;
  return Number.parseInt(text(sys, `${MEMORY}/block_size_bytes`), 16);
}

/** Brings processors online until `count` are; those hot-plugged may appear while this waits. 0: all there are. */
async function onlineProcessors(sys: Sys, loop: Loop, count: number, wait: boolean): Promise<void> {
  for (let tries = 1; ; tries++) {
    const online = bringOnline(sys, count);
    if (online >= count) return;
    if (!wait || tries >= ONLINE_TRIES) {
      // Kata's agent too goes on with fewer when it was told not to wait.
      if (wait) throw new AgentError('internal', `${online} of ${count} processors are online`);
      return;
    }
    await loop.sleep(ONLINE_INTERVAL_MS);
  }
}

/** Processors online afterwards. */
function bringOnline(sys: Sys, count: number): number {
  const offline: string[] = [];
  let online = 0;
  for (const name of sys.readdir(CPUS)) {
    if (!/^cpu\d+$/.test(name)) continue;
    // The first processor has no such file where it cannot be taken offline.
    const path = `${CPUS}/${name}/online`;
    if (!exists(sys, path) || text(sys, path) === '1') online++;
    else offline.push(path);
  }
  offline.sort((a, b) => a.length - b.length || (a < b ? -1 : 1));
  for (const path of offline) {
    if (count > 0 && online >= count) break;
    sys.writeFile(path, '1');
    online++;
  }
  return online;
}

/** Memory blocks go online as movable, so that they can be taken away again. */
function onlineMemory(sys: Sys): void {
  if (!exists(sys, MEMORY)) return;
  for (const name of sys.readdir(MEMORY)) {
    if (!/^memory\d+$/.test(name)) continue;
    const path = `${MEMORY}/${name}/state`;
    if (text(sys, path) === 'offline') sys.writeFile(path, 'online_movable');
  }
}

function text(sys: Sys, path: string): string {
  return new TextDecoder().decode(sys.readFile(path, MAX_FILE_BYTES)).trim();
}

function exists(sys: Sys, path: string): boolean {
  try {
    sys.stat(path);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw error;
  }
}
