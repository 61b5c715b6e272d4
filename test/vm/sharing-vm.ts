/** A VM with the storage classes, the agent and crun, but without a shim: containers whose files come from the host. */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { AgentClient } from '../../host/agent/client.ts';
import { VirtioSerialTransport } from '../../host/agent/virtio-serial.ts';
import { Qemu } from '../../host/hypervisor/qemu/qemu.ts';
import type { Init } from '../../host/proto/codec.ts';
import { AgentServiceService as methods } from '../../host/proto/messages/agent.ts';
import type { Mount } from '../../host/proto/messages/oci.ts';
import { sandboxShm } from '../../host/storage/empty-dir.ts';
import { Rootfs } from '../../host/storage/rootfs.ts';
import { addVolumes } from '../../host/storage/volumes.ts';
import { TtrpcClient } from '../../host/ttrpc/client.ts';
import { guestVm } from '../harness/guest-vm.ts';
import { mountsBelow } from '../harness/own-namespace.ts';
import { BareContainers } from './bare-containers.ts';

/** How long the guest may take to boot, and a change to be seen, ms. */
const BOOT_MS = 60_000;
const SEEN_MS = 15_000;
const APPLETS = 'sh cat echo ls sleep mount df stat grep touch head wc tail dd rm awk mkdir ln';

/** Waits for a name to be moved into a directory, which is how kubelet publishes a new state. */
const WATCHER = `
#include <stdio.h>
#include <sys/inotify.h>
#include <unistd.h>
int main(int argc, char **argv) {
  char buffer[4096];
  int fd = inotify_init();
  if (argc < 2 || inotify_add_watch(fd, argv[1], IN_MOVED_TO) < 0) return 1;
  alarm(60);
  if (read(fd, buffer, sizeof buffer) <= 0) return 2;
  puts(((struct inotify_event *)buffer)->name);
  return 0;
}
`;

/** An image with links where containers have mounts. */
function makeImage(image: string): void {
  for (const name of ['bin', 'proc', 'sys', 'dev', 'etc', 'real']) mkdirSync(join(image, name), { recursive: true });
  copyFileSync('/bin/busybox', join(image, 'bin/busybox'));
  for (const name of APPLETS.split(' ')) symlinkSync('busybox', join(image, 'bin', name));
  const watcher = join(image, 'bin/watcher');
  execFileSync('gcc', ['-static', '-x', 'c', '-', '-o', watcher], { input: WATCHER });
  symlinkSync('/real', join(image, 'absolute'));
  symlinkSync('/real/missing', join(image, 'dangling'));
  symlinkSync('../run/nothing/here', join(image, 'etc/resolv.conf'));
  symlinkSync('../../../../../../real', join(image, 'upwards'));
}

export interface Made {
  readonly id: string;
  readonly remove: () => Promise<void>;
}

export class SharingVm {
  readonly directory = mkdtempSync(join(tmpdir(), 'kata-volumes-'));
  readonly warnings: string[] = [];
  /** Direct-assigned volumes: of whom, and where they are recorded. */
  readonly direct = { sandboxId: 'pod', directVolumes: join(this.directory, 'direct') };
  readonly vm: Qemu;
  readonly share: Rootfs;
  private readonly sandbox = join(this.directory, 'vm');
  private readonly transport: VirtioSerialTransport;
  private client: TtrpcClient | undefined;
  private containers: BareContainers | undefined;
  private serial = 0;

  constructor(sharedFs: string) {
    mkdirSync(this.sandbox);
    makeImage(join(this.directory, 'image'));
    this.transport = new VirtioSerialTransport(this.sandbox);
    this.vm = new Qemu(guestVm('volumes', this.sandbox));
    const config = { daemon: '', cache: '', extraArgs: [], disableBlockDeviceUse: false, sharedFs, ...this.direct };
    this.share = new Rootfs(this.sandbox, config, this.vm, {
      agent: () => {
        if (!this.client) throw new Error('not yet');
        return new AgentClient(this.client);
      },
      warn: (message) => this.warnings.push(message),
      imageDirectory: join(this.directory, 'images'),
    });
  }

  get pod(): BareContainers {
    if (!this.containers) throw new Error('not booted');
    return this.containers;
  }

  async boot(): Promise<void> {
    const { transport, vm, share } = this;
    await Promise.all([transport.prepare().then((devices) => vm.start(devices)), share.prepare()]);
    const socket = await transport.connect(AbortSignal.timeout(BOOT_MS));
    this.client = new TtrpcClient(socket);
    this.containers = new BareContainers(this.client, {
      since: 0,
      socket: Promise.resolve(socket),
      nextSocket: () => Promise.reject(new Error('there is one')),
      ended: vm.exited.then(({ code, signal }) => signal ?? code ?? -1),
      console: async () => vm.consoleTail(),
      stop: () => vm.stop(),
    });
    const storages = [...(await share.attach()), sandboxShm([]).storage];
    const request = { sandbox_id: 'pod', hostname: 'pod', storages };
    await this.pod.call('CreateSandbox', methods.CreateSandbox, request, BOOT_MS);
  }

  /** Ends everything; nothing may be left. */
  async end(): Promise<void> {
    this.client?.close('the tests are over');
    await this.vm.stop();
    this.transport.close();
    await this.share.close();
    assert.equal(mountsBelow(this.directory), []);
    assert.equal(readdirSync(this.sandbox), []);
    rmSync(this.directory, { recursive: true });
  }

  /**
   * Starts a container with binds of the host.
   * @param mounts what differs from a plain one
   * @param own mounts of the guest's
   */
  async start(
    mounts: readonly Partial<Mount>[],
    script = 'sleep 1000',
    own: readonly Init<Mount>[] = [],
  ): Promise<Made> {
    const { share, pod } = this;
    const id = `c${++this.serial}`;
    const remove = async (): Promise<void> => {
      await pod.remove(id).catch(() => {});
      await share.removeRootfs(id);
    };
    try {
      const rootfs = await share.addRootfs(id, [], join(this.directory, 'image'));
      const wanted = mounts.map((mount, i) => ({
        destination: `/v${i}`,
        type: 'bind',
        source: '',
        options: ['rbind', 'rprivate', 'rw'],
        ...mount,
      }));
      const made = await addVolumes(share, id, wanted);
      this.warnings.push(...made.warnings);
      const shown = [...made.mounts.values()].filter((mount) => mount !== 'drop');
      await pod.start(
        ['sh', '-c', script],
        {
          spec: { Root: { Path: rootfs.path } },
          mounts: [...own, ...shown],
          request: { storages: [...rootfs.storages, ...made.storages], devices: [...made.devices] },
        },
        id,
      );
      return { id, remove };
    } catch (thrown) {
      await remove();
      throw thrown;
    }
  }

  /** What a script prints in a container with some mounts. */
  async output(mounts: readonly Partial<Mount>[], script: string): Promise<string> {
    const { id, remove } = await this.start(mounts);
    return this.pod.sh(id, script).finally(remove);
  }

  /** Waits until a script prints a text. */
  async prints(id: string, script: string, expected: string): Promise<void> {
    const deadline = performance.now() + SEEN_MS;
    for (;;) {
      const { out } = await this.pod.exec(id, ['sh', '-c', script]);
      if (out.trim() === expected) return;
      if (performance.now() > deadline) assert.is(out.trim(), expected);
      await sleep(200);
    }
  }
}
