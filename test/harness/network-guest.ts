/** The default guest in a pod's network: QEMU, the agent and the network's own classes, without the shim. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AgentClient } from '../../host/agent/client.ts';
import { VirtioSerialTransport } from '../../host/agent/virtio-serial.ts';
import { Qemu } from '../../host/hypervisor/qemu/qemu.ts';
import { createNetwork } from '../../host/network/create.ts';
import { PortForwarder } from '../../host/network/forward.ts';
import type { NetworkLog } from '../../host/network/log.ts';
import type { ModelName } from '../../host/network/model.ts';
import type { Network } from '../../host/network/network.ts';
import { encode } from '../../host/proto/codec.ts';
import { Spec } from '../../host/proto/messages/oci.ts';
import { TtrpcClient } from '../../host/ttrpc/client.ts';
import { guestVm } from './guest-vm.ts';

/** Milliseconds until a guest that says nothing counts as hung. */
const HUNG_MS = 60_000;
const BUSYBOX = '/usr/bin/busybox';
const ROOTFS = '/run/kata-containers/shared/containers/box';
const CONTAINER = 'box';
const ENV = ['PATH=/bin'];
const CAPABILITIES = ['CAP_NET_RAW', 'CAP_NET_ADMIN'];
const PIECE_BYTES = 1024 * 1024;

export class NetworkGuest {
  readonly vm: Qemu;
  readonly network: Network;
  readonly forwarder: PortForwarder;
  readonly warnings: string[] = [];
  readonly #directory = mkdtempSync(join(tmpdir(), 'kata-net-vm-'));
  readonly #transport = new VirtioSerialTransport(this.#directory);
  #agent: AgentClient | undefined;
  #execs = 0;

  /** @param namespace path of the pod's network namespace */
  constructor(namespace: string, model: ModelName = 'tcfilter') {
    const log: NetworkLog = { info: () => {}, warn: (message) => this.warnings.push(message) };
    this.vm = new Qemu(guestVm('network-guest', this.#directory, { networkNamespace: namespace }));
    this.network = createNetwork(model, { namespace: { path: namespace, own: false }, hypervisor: this.vm, log });
    this.forwarder = new PortForwarder({ namespace, agent: () => this.#agent, log });
  }

  get agent(): AgentClient {
    if (!this.#agent) throw new Error('the guest has not booted');
    return this.#agent;
  }

  /** Boots; resolves when the agent answers. The network is prepared beside it. */
  async boot(): Promise<void> {
    const devices = await this.#transport.prepare();
    await Promise.all([this.vm.start(devices), this.network.prepare()]);
    this.#agent = new AgentClient(new TtrpcClient(await this.#transport.connect(AbortSignal.timeout(HUNG_MS))));
    await this.agent.check(HUNG_MS);
  }

  /** Plugs what there is, and tells the guest. */
  async attach(): Promise<void> {
    const network = await this.network.attach();
    for (const description of network?.interfaces ?? []) await this.agent.updateInterface(description);
    if (network) await this.agent.updateRoutes(network.routes);
    if (network) await this.agent.addArpNeighbors(network.neighbors);
  }

  /** Starts a container of busybox that waits, for `run`. */
  async container(): Promise<void> {
    await this.agent.createSandbox({ hostname: 'pod', sandbox_id: 'sandbox' });
    for (const name of ['', '/bin', '/dev', '/proc']) {
      await this.agent.copyFile({ path: `${ROOTFS}${name}`, file_mode: 0o40755, dir_mode: 0o40755 });
    }
    const file = readFileSync(BUSYBOX);
    for (let at = 0; at < file.length; at += PIECE_BYTES) {
      const data = file.subarray(at, at + PIECE_BYTES);
      const mode = { file_size: file.length, file_mode: 0o100755, dir_mode: 0o40755 };
      await this.agent.copyFile({ ...mode, path: `${ROOTFS}/bin/busybox`, offset: at, data });
    }
    const spec = encode(Spec, {
      Version: '1.0.2',
      Process: processOf(['busybox', 'sleep', '86400']),
      Root: { Path: ROOTFS },
      Mounts: [
        { destination: '/proc', type: 'proc', source: 'proc' },
        { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['mode=755'] },
      ],
      Linux: { Namespaces: ['mount', 'pid', 'uts'].map((Type) => ({ Type })) },
    });
    await this.agent.createContainer({ container_id: CONTAINER, OCI: spec }, HUNG_MS);
    await this.agent.startContainer(CONTAINER);
  }

  /** What a shell command of busybox prints in the container; fails when its status is not 0. */
  async run(command: string): Promise<string> {
    const { output, status } = await this.background(command);
    const [text, code] = await within(Promise.all([output, status]), command);
    if (code !== 0) throw new Error(`in the guest: ${command}: status ${code}: ${text}`);
    return text;
  }

  /** The same, not waited for. */
  async background(command: string): Promise<{ output: Promise<string>; status: Promise<number> }> {
    const ref = { container_id: CONTAINER, exec_id: `exec${this.#execs++}` };
    await this.agent.execProcess({ ...ref, process: processOf(['busybox', 'sh', '-c', `exec 2>&1; ${command}`]) });
    await this.agent.closeStdin(ref);
    const output = async (): Promise<string> => {
      let text = '';
      for (;;) {
        const data = await this.agent.read('ReadStdout', ref, PIECE_BYTES, (view) => Buffer.from(view));
        if (data.length === 0) return text;
        text += data;
      }
    };
    const started = { output: output(), status: this.agent.wait(ref) };
    // Whatever still runs when the guest is stopped fails then.
    for (const step of Object.values(started)) step.catch(() => {});
    return started;
  }

  async stop(): Promise<void> {
    this.forwarder.close();
    await this.vm.stop();
    this.#transport.close();
    await this.network.close();
    rmSync(this.#directory, { recursive: true });
  }
}

/** A guest that hangs is a failure, not a wait. */
async function within<T>(step: Promise<T>, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`in the guest: ${what}: nothing within ${HUNG_MS} ms`)), HUNG_MS);
  });
  return Promise.race([step, late]).finally(() => clearTimeout(timer));
}

function processOf(args: readonly string[]) {
  const Capabilities = { Bounding: CAPABILITIES, Effective: CAPABILITIES, Permitted: CAPABILITIES };
  return { Args: [...args], Env: ENV, Cwd: '/', Capabilities };
}
