/**
 * The guest's iptables. Our own guest has neither the programs nor the kernel's modules until somebody asks: then they are handed to it
 * on a disk, once.
 */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { AgentClient } from '../agent/client.ts';
import { KataError, reasonOf } from '../error.ts';
import type { Managed } from '../shim/boot.ts';

/** Beside the guest's initrd. */
const ARCHIVE = 'netfilter.cpio';
/** What the hypervisor calls the disk. */
const DISK = 'netfilter';

export class PacketFilter {
  readonly #managed: Managed;
  #extending: Promise<void> | undefined;

  constructor(managed: Managed) {
    this.#managed = managed;
  }

  /** @throws KataError of the call; `unimplemented` with advice where the guest cannot be helped */
  async use<Result>(call: (agent: AgentClient) => Promise<Result>): Promise<Result> {
    const { machine } = this.#managed.sandbox();
    try {
      return await call(machine.agent);
    } catch (thrown) {
      const archive = this.#archive();
      if (!isUnimplemented(thrown)) throw thrown;
      if (archive === undefined) {
        throw new KataError(
          'unimplemented',
          "this guest cannot: its image has no iptables programs, or its kernel no packet filter. Kata's guest image has both ([hypervisor.qemu] image)",
          { cause: thrown },
        );
      }
      await this.#extend(archive);
      return await call(machine.agent);
    }
  }

  /** A second caller waits for the first one's disk. */
  #extend(archive: string): Promise<void> {
    this.#extending ??= this.#handOver(archive).catch((thrown) => {
      this.#extending = undefined;
      throw thrown;
    });
    return this.#extending;
  }

  async #handOver(archive: string): Promise<void> {
    const { log, sandbox } = this.#managed;
    const { hypervisor, agent } = sandbox().machine;
    const address = await hypervisor.plugBlock(DISK, archive, true);
    try {
      await agent.addExtension(address);
    } finally {
      await hypervisor.unplug(DISK).catch((thrown: unknown) => {
        log.warn('management: the disk with iptables cannot be unplugged', { error: reasonOf(thrown) });
      });
    }
  }

  /** undefined: the guest is not ours, or came without it. */
  #archive(): string | undefined {
    const { ownGuest, initrd } = this.#managed.configuration;
    if (!ownGuest || initrd === undefined) return undefined;
    const path = join(dirname(initrd), ARCHIVE);
    return existsSync(path) ? path : undefined;
  }
}

export function isUnimplemented(thrown: unknown): thrown is KataError {
  return thrown instanceof KataError && thrown.code === 'unimplemented';
}
