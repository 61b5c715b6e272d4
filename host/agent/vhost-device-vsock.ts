/** The daemon that gives QEMU a vsock device without help from the host's kernel, and the host a unix socket to it. */
import { randomInt } from 'node:crypto';
import { rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Child } from '../child.ts';
import { KataError } from '../error.ts';
import { escapeCommas } from '../hypervisor/qemu/command-line.ts';
import { oneLine } from '../tail.ts';
import { type DeviceArguments, MAX_SOCKET_PATH_BYTES } from './transport.ts';

/** From the Rust VMM project; its package has the same name. */
export const VSOCK_DAEMON = '/usr/bin/vhost-device-vsock';
/** What it gets to make its socket, ms. */
const READY_MS = 5000;
const POLL_MS = 2;

export class VhostDeviceVsock {
  /** The unix socket for hybrid vsock. */
  readonly path: string;
  readonly #program: string;
  readonly #vhost: string;
  #child: Child | undefined;
  #closed = false;

  /** @param directory private directory of the VM; the daemon's sockets are made in it */
  constructor(program: string, directory: string) {
    this.#program = program;
    this.path = join(directory, 'kata.hvsock');
    this.#vhost = join(directory, 'vhost-vsock.sock');
  }

  /** @throws KataError `internal` with the daemon's own words */
  async prepare(): Promise<DeviceArguments> {
    if (Buffer.byteLength(this.#vhost) > MAX_SOCKET_PATH_BYTES) {
      throw new KataError('invalid_argument', `socket path ${this.#vhost} exceeds ${MAX_SOCKET_PATH_BYTES} bytes`);
    }
    // No two daemons share a context: any id but the host's will do.
    const cid = randomInt(3, 2 ** 31);
    const args = ['--guest-cid', `${cid}`, '--socket', this.#vhost, '--uds-path', this.path];
    const child = await Child.spawn(this.#program, args, { descriptors: [], dropCapabilities: true });
    this.#child = child;
    if (this.#closed) await child.kill();
    await this.#listening(child);
    return {
      arguments: [
        ...['-chardev', `socket,id=vsock,path=${escapeCommas(this.#vhost)}`],
        ...['-device', 'vhost-user-vsock-pci,chardev=vsock,id=vsock0'],
      ],
      fds: [],
    };
  }

  /** Ends the daemon and removes its sockets. Idempotent. */
  close(): void {
    this.#closed = true;
    void this.#child?.kill().then(() => this.#remove());
    this.#remove();
  }

  async #listening(child: Child): Promise<void> {
    const end = performance.now() + READY_MS;
    const ended = child.exited.then((exit) => exit.stderr);
    while (!statSync(this.#vhost, { throwIfNoEntry: false })) {
      const words = await Promise.race([ended, sleep(POLL_MS, undefined)]);
      if (words !== undefined || performance.now() > end) {
        await child.kill();
        this.#remove();
        throw new KataError('internal', `${this.#program} did not start: ${oneLine(words ?? child.stderr())}`);
      }
    }
  }

  #remove(): void {
    for (const path of [this.path, this.#vhost]) rmSync(path, { force: true });
  }
}
