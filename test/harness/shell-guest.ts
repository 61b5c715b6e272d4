/** The default guest's kernel, modules and busybox with a shell in place of the agent: a VM a test can look around in. */
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { VirtioSerialTransport } from '../../host/agent/virtio-serial.ts';
import type { VmConfig } from '../../host/hypervisor/hypervisor.ts';
import { Qemu } from '../../host/hypervisor/qemu/qemu.ts';
import { takeOver } from '../../host/ttrpc/socket.ts';
import { guestVm, INITRD } from './guest-vm.ts';

/** Milliseconds until a guest that says nothing counts as hung. */
const HUNG_MS = 60_000;

/** Most bytes of one read while a command pours. */
const POUR_BYTES = 256 * 1024;

/** Reads commands from the agent's port, writes their output and a last line `END <status>`. */
const INIT = `#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t devtmpfs dev /dev; mount -t proc proc /proc; mount -t sysfs sys /sys
for pass in 1 2 3 4; do for m in /lib/modules/*.ko; do insmod $m 2>/dev/null && rm $m; done; done
until [ "$port" ]; do for p in /sys/class/virtio-ports/*; do
  [ "$(cat $p/name 2>/dev/null)" = agent ] && port=/dev/\${p##*/}
done; done
exec 3<>$port
echo "END 0" >&3
while read -r line <&3; do eval "$line" >&3 2>&1; echo "END $?" >&3; done
echo "the host closed the port" >/dev/console
poweroff -f
`;

export class ShellGuest {
  readonly vm: Qemu;
  readonly directory: string;
  readonly #transport: VirtioSerialTransport;
  #socket: Socket | undefined;
  #output = '';
  #changed: () => void = () => {};

  /** @param parent where the VM's private directory is made */
  constructor(parent: string, changes: Partial<VmConfig> = {}) {
    this.directory = mkdtempSync(join(parent, 'vm-'));
    const initrd = join(this.directory, 'initramfs');
    const guest = readFileSync(INITRD);
    writeFileSync(initrd, Buffer.concat([guest, gzipSync(cpio('shell', INIT))]));
    this.#transport = new VirtioSerialTransport(this.directory);
    this.vm = new Qemu(guestVm('shell-guest', this.directory, { initrd, kernelParams: 'rdinit=/shell', ...changes }));
  }

  /** Boots; resolves when the shell answers. */
  async boot(): Promise<void> {
    await this.vm.start(await this.#transport.prepare());
    this.#socket = await this.#transport.connect(AbortSignal.timeout(HUNG_MS));
    this.#socket.on('data', (chunk) => {
      this.#output += chunk;
      this.#changed();
    });
    await this.#answer('the shell');
  }

  /** What a command prints; fails when its status is not 0. */
  async run(command: string): Promise<string> {
    this.#socket?.write(`${command}\n`);
    const { output, status } = await this.#answer(command);
    if (status !== '0') throw new Error(`in the guest: ${command}: status ${status}: ${output}`);
    return output;
  }

  /**
   * Has a command write to the port as fast as the port takes it. What it writes is counted, not kept.
   * @returns bytes, and milliseconds until the last of them
   */
  async pour(command: string): Promise<{ bytes: number; ms: number }> {
    const socket = this.#socket;
    if (!socket) throw new Error('the guest was not booted');
    const end = 'END 0\n';
    const buffer = Buffer.allocUnsafe(POUR_BYTES);
    let bytes = 0;
    const since = performance.now();
    const ms = await new Promise<number>((resolve) => {
      const taken = takeOver(socket, {
        buffer: () => buffer,
        received: (count) => {
          bytes += count;
          // The shell's line comes last, and at once.
          if (buffer.toString('latin1', Math.max(0, count - end.length), count).endsWith(end))
            resolve(performance.now() - since);
        },
      });
      this.#socket = taken;
      taken.write(`${command}\n`);
    });
    return { bytes: bytes - end.length, ms };
  }

  async stop(): Promise<void> {
    await this.vm.stop();
    this.#transport.close();
  }

  async #answer(what: string): Promise<{ output: string; status: string }> {
    for (;;) {
      const [all, output, status] = /^([\s\S]*?)END (\d+)\r?\n/.exec(this.#output) ?? [];
      if (all !== undefined && output !== undefined && status !== undefined) {
        this.#output = this.#output.slice(all.length);
        return { output, status };
      }
      await this.#more(what);
    }
  }

  #more(what: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`${what}: no answer; console: ${this.vm.consoleTail()}`)),
        HUNG_MS,
      );
      void this.vm.exited.then(() => reject(new Error(`${what}: the VM ended; console: ${this.vm.consoleTail()}`)));
      this.#changed = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** A cpio archive (newc) of one executable. The kernel unpacks any number of archives one after the other. */
function cpio(name: string, content: string): Buffer {
  const entry = (path: string, mode: number, data: Buffer): Buffer => {
    const fields = [0, mode, 0, 0, 1, 0, data.length, 0, 0, 0, 0, path.length + 1, 0];
    const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}${path}\0`;
    return Buffer.concat([padded(Buffer.from(header)), padded(data)]);
  };
  return Buffer.concat([entry(name, 0o100755, Buffer.from(content)), entry('TRAILER!!!', 0, Buffer.alloc(0))]);
}

function padded(data: Buffer): Buffer {
  return Buffer.concat([data, Buffer.alloc((4 - (data.length % 4)) % 4)]);
}
