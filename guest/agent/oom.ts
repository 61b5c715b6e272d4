/**
 * Out of memory: memory.events of every container is watched, and GetOOMEvent waits for the next kill.
 *
 * A container's end is told after the kill that caused it: containerd reads OOMKilled from the order. The kernel tells of
 * changes at most every 10 ms, so the end itself has the file looked at, and waits until the kill was handed out.
 */
import type { Cgroup } from './cgroup.ts';
import { attempt } from './files.ts';
import { type Call, type Loop, POLLPRI } from './loop-interface.ts';
import { table } from './stats.ts';
import type { Sys } from './sys.ts';

/** Most events kept for a host that does not ask. The oldest goes first. */
export const MAX_EVENTS = 256;
/** How long a container's end waits for a host that is between two calls of GetOOMEvent, ms. */
export const HANDOVER_MS = 1000;
/** memory.events is a few lines. */
const MAX_FILE_BYTES = 4096;

interface Waiter {
  readonly call: Call | undefined;
  readonly resolve: (containerId: string) => void;
}

/** What watches one container. */
export interface OomWatch {
  /** Looks now, and resolves when the host has all of the container's kills, or does not ask for them. */
  settled(): Promise<void>;
  stop(): void;
}

export class OomEvents {
  private readonly events: string[] = [];
  private readonly waiters: Waiter[] = [];
  /** Whether anybody has ever asked. */
  private asked = false;
  private readonly drained: (() => void)[] = [];

  constructor(
    private readonly sys: Sys,
    private readonly loop: Loop,
  ) {}

  /** The container of the next kill. */
  next(call?: Call): Promise<string> {
    this.asked = true;
    const event = this.events.shift();
    if (event !== undefined) {
      if (this.events.length === 0) for (const tell of this.drained.splice(0)) tell();
      return Promise.resolve(event);
    }
    return new Promise((resolve) => {
      this.waiters.push({ call, resolve });
    });
  }

  /** Watches a container's cgroup until stopped, or the cgroup goes. */
  watch(containerId: string, cgroup: Cgroup): OomWatch {
    const path = `${cgroup.directory}/memory.events`;
    let kills = 0;
    let fd = -1;
    let unwatch: (() => void) | undefined;
    let ended = false;
    const close = () => {
      unwatch?.();
      unwatch = undefined;
      if (fd >= 0) this.sys.close(fd);
      fd = -1;
    };
    // The kernel tells of a change once per open file that was read before.
    const look = () => {
      close();
      if (ended) return;
      const ok = attempt(() => {
        fd = this.sys.open(path, 0);
        const text = new TextDecoder().decode(this.sys.read(fd, MAX_FILE_BYTES) ?? new Uint8Array(0));
        const now = table(text).get('oom_kill') ?? 0;
        if (now > kills) this.tell(containerId);
        kills = now;
      });
      if (!ok) close();
      else unwatch = this.loop.watch(fd, POLLPRI, look);
    };
    look();
    const settled = async () => {
      look();
      if (!this.events.includes(containerId) || !this.asked) return;
      const handed = new Promise<void>((resolve) => {
        this.drained.push(resolve);
      });
      await Promise.race([handed, this.loop.sleep(HANDOVER_MS)]);
    };
    const stop = () => {
      ended = true;
      close();
    };
    return { settled, stop };
  }

  private tell(containerId: string): void {
    for (let waiter = this.waiters.shift(); waiter; waiter = this.waiters.shift()) {
      if (waiter.call?.gone) continue;
      waiter.resolve(containerId);
      return;
    }
    if (this.events.length >= MAX_EVENTS) this.events.shift();
    this.events.push(containerId);
  }
}
