/** The agent's channel as a virtio-serial port: no host module, no context ids, and QEMU connects to us. */
import { rmSync } from 'node:fs';
import type { Server, Socket } from 'node:net';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { KataError } from '../error.ts';
import { escapeCommas } from '../hypervisor/qemu/command-line.ts';
import { type AgentTransport, type DeviceArguments, MAX_SOCKET_PATH_BYTES } from './transport.ts';

/** Ports of the device, the first of which is a console's by tradition. Each costs two queues: with QEMU's 31, 75 ms of an emulated boot. */
export const PORTS = 2;
/** Name of the port in the guest: /sys/class/virtio-ports/vport<N>p<M>/name. */
export const PORT_NAME = 'agent';

export class VirtioSerialTransport implements AgentTransport {
  readonly kind = 'virtio-serial';
  readonly address: string;
  readonly #path: string;
  #server: Server | undefined;
  #socket: Socket | undefined;
  #closed = false;
  readonly #waiting = new Set<() => void>();

  /** @param directory private (0700) directory of the VM; the socket is made in it */
  constructor(directory: string) {
    this.#path = join(directory, 'agent.sock');
    this.address = `virtio-serial://${this.#path}`;
  }

  async prepare(): Promise<DeviceArguments> {
    if (this.#closed) throw new KataError('unavailable', 'the agent channel was closed');
    this.#server ??= await this.#listen();
    return {
      arguments: [
        ...['-chardev', `socket,id=agent,path=${escapeCommas(this.#path)}`],
        ...['-device', `virtio-serial-pci,id=agent-bus,disable-legacy=on,max_ports=${PORTS}`],
        ...['-device', `virtserialport,bus=agent-bus.0,chardev=agent,name=${PORT_NAME}`],
      ],
      fds: [],
    };
  }

  /** QEMU connects while it starts, so this waits only when it is called before `Hypervisor.start` has resolved. */
  async connect(signal: AbortSignal): Promise<Socket> {
    for (;;) {
      if (signal.aborted) {
        throw new KataError('deadline_exceeded', `QEMU has not connected to the agent channel ${this.address}`);
      }
      if (this.#closed || this.#socket?.destroyed) {
        throw new KataError('unavailable', `the agent channel ${this.address} is closed`);
      }
      if (this.#socket) return this.#socket;
      await this.#change(signal);
    }
  }

  close(): void {
    this.#closed = true;
    this.#server?.close();
    this.#server = undefined;
    rmSync(this.#path, { force: true });
    this.#socket?.destroy();
    this.#wake();
  }

  #listen(): Promise<Server> {
    if (Buffer.byteLength(this.#path) > MAX_SOCKET_PATH_BYTES) {
      throw new KataError('invalid_argument', `socket path ${this.#path} exceeds ${MAX_SOCKET_PATH_BYTES} bytes`);
    }
    const server = createServer((socket) => this.#accept(socket));
    return new Promise((resolve, reject) => {
      server.once('error', (error) => reject(new KataError('internal', `agent channel: ${error.message}`)));
      server.listen(this.#path, () => resolve(server));
    });
  }

  /** One connection for the VM's life: the door is shut and the name removed once QEMU is in. */
  #accept(socket: Socket): void {
    socket.on('error', () => {});
    if (this.#socket || this.#closed) return void socket.destroy();
    this.#socket = socket;
    this.#server?.close();
    rmSync(this.#path, { force: true });
    this.#wake();
  }

  #change(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        signal.removeEventListener('abort', done);
        this.#waiting.delete(done);
        resolve();
      };
      signal.addEventListener('abort', done);
      this.#waiting.add(done);
    });
  }

  #wake(): void {
    for (const done of [...this.#waiting]) done();
  }
}
