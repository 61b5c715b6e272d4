/** The agent's channel over AF_VSOCK, as Kata's guests expect it: the kernel module vhost_vsock is in between. */
import { randomInt } from 'node:crypto';
import { closeSync, constants, openSync } from 'node:fs';
import { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { KataError, reasonOf } from '../error.ts';
import { native } from '../native.ts';
import type { AgentTransport, DeviceArguments } from './transport.ts';

/** Where Kata's agent listens in the guest. */
export const AGENT_PORT = 1024;
export const VHOST_VSOCK = '/dev/vhost-vsock';

/** Context ids of guests; 0 to 2 and 2^32-1 have meanings of their own. */
const FIRST_CID = 3;
const LAST_CID = 0xffff_fffe;
/** Random ids tried before giving up; two of a thousand VMs meet in one of four million tries. */
const CID_TRIES = 64;
/** One attempt to connect, ms. The guest's kernel answers a port nobody listens on at once. */
const ATTEMPT_MS = 1000;
const RETRY_MS = 20;

export class VsockTransport implements AgentTransport {
  readonly kind = 'vsock';
  readonly #port: number;
  readonly #device: string;
  #cid = 0;
  #vhost: number | undefined;
  #closed = false;

  /** @param port on which the agent listens */
  constructor(port: number = AGENT_PORT, device: string = VHOST_VSOCK) {
    this.#port = port;
    this.#device = device;
  }

  get address(): string {
    return `vsock://${this.#cid}:${this.#port}`;
  }

  async prepare(): Promise<DeviceArguments> {
    if (this.#closed) throw new KataError('unavailable', 'the agent channel was closed');
    this.#vhost ??= this.#claim();
    return {
      arguments: ['-device', `vhost-vsock-pci,vhostfd={{fd0}},guest-cid=${this.#cid},id=vsock0,disable-legacy=on`],
      fds: [this.#vhost],
    };
  }

  async connect(signal: AbortSignal): Promise<Socket> {
    let last = 'no attempt was made';
    while (!signal.aborted && !this.#closed) {
      try {
        const fd = await native().vsockConnect(this.#cid, this.#port, ATTEMPT_MS);
        try {
          if (!signal.aborted && !this.#closed) return socketOf(fd);
        } catch (thrown) {
          closeSync(fd);
          throw thrown;
        }
        closeSync(fd);
        break;
      } catch (thrown) {
        if (thrown instanceof KataError) throw thrown;
        last = reasonOf(thrown);
      }
      await sleep(RETRY_MS, undefined, { signal }).catch(() => {});
    }
    if (this.#closed) throw new KataError('unavailable', `the agent channel ${this.address} is closed`);
    throw new KataError('deadline_exceeded', `timed out connecting to vsock ${this.#cid}:${this.#port} (${last})`);
  }

  async dial(port: number, signal: AbortSignal): Promise<Socket> {
    const fd = await native()
      .vsockConnect(this.#cid, port, ATTEMPT_MS)
      .catch((thrown: unknown) => {
        throw new KataError('unavailable', `vsock ${this.#cid}:${port}: ${reasonOf(thrown)}`, { cause: thrown });
      });
    if (!signal.aborted && !this.#closed) return socketOf(fd);
    closeSync(fd);
    throw new KataError('unavailable', `vsock ${this.#cid}:${port}: nobody waits for it any more`);
  }

  close(): void {
    this.#closed = true;
    if (this.#vhost !== undefined) closeSync(this.#vhost);
    this.#vhost = undefined;
  }

  /** The kernel hands each id out once: the same descriptor goes to QEMU. */
  #claim(): number {
    let fd: number;
    try {
      fd = openSync(this.#device, constants.O_RDWR);
    } catch (thrown) {
      throw new KataError('failed_precondition', `${this.#device}: ${reasonOf(thrown)}; load the module vhost_vsock`);
    }
    try {
      for (let tries = 0; tries < CID_TRIES; tries++) {
        const cid = randomInt(FIRST_CID, LAST_CID + 1);
        try {
          native().vhostVsockGuestCid(fd, cid);
          this.#cid = cid;
          return fd;
        } catch (thrown) {
          if ((thrown as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw thrown;
        }
      }
      throw new Error(`${CID_TRIES} random context ids were all taken`);
    } catch (thrown) {
      closeSync(fd);
      if (thrown instanceof KataError) throw thrown;
      throw new KataError('internal', `no vsock context id could be had: ${reasonOf(thrown)}`, { cause: thrown });
    }
  }
}

/** libuv's pipe, which takes any stream socket; `new Socket({fd})` refuses address families it does not know. */
interface PipeHandle {
  /** Node 20 returns an error number, some versions throw. */
  open(fd: number): number | undefined;
}
interface PipeBinding {
  readonly Pipe: new (type: number) => PipeHandle;
}

/**
 * A Socket of a connected stream descriptor of any family. The descriptor passes to it, unless this throws.
 * @throws KataError `internal`
 */
export function socketOf(fd: number): Socket {
  const binding = (process as unknown as { binding(name: string): unknown }).binding('pipe_wrap') as PipeBinding;
  const handle = new binding.Pipe(0);
  let failed: unknown;
  try {
    failed = handle.open(fd);
  } catch (thrown) {
    failed = reasonOf(thrown);
  }
  if (failed) {
    throw new KataError('internal', `descriptor ${fd} cannot be read as a stream: ${failed}`);
  }
  return new Socket({ handle } as unknown as { fd: number });
}
