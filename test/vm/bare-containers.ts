/** Containers in a bare guest, made by calls to its agent: what the shim would send, without a shim. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import type { Init } from '../../host/proto/codec.ts';
import {
  type CreateContainerRequest,
  AgentServiceService as methods,
  AgentServiceServiceName as SERVICE,
  type StatsContainerResponse,
} from '../../host/proto/messages/agent.ts';
import type { Linux, LinuxResources, Mount, Process, Spec } from '../../host/proto/messages/oci.ts';
import { TtrpcClient } from '../../host/ttrpc/client.ts';
import type { Method } from '../../host/ttrpc/types.ts';
import { BUILD } from '../../setup/paths.ts';
import { type BareGuest, hung, startGuest } from '../harness/bare-guest.ts';

/** Where the agent lets files be put. */
export const SHARED = '/run/kata-containers/shared/containers';
/** A busybox root file system, once installed. */
export const IMAGE = `${SHARED}/image`;
/** Where the guest looks for hooks of its own. */
export const HOOKS = `${SHARED}/hooks`;
export const S_IFDIR = 0o040000;
export const S_IFREG = 0o100000;
const S_IFLNK = 0o120000;
const CHUNK_BYTES = 1024 * 1024;
const CALL_TIMEOUT_MS = 60_000;
const APPLETS =
  'sh cat echo sleep id ls ps mkdir touch dd true kill env pwd wc grep sync head test hostname sysctl stat mount umount ln nproc readlink sort tr cut ipcs mknod chmod awk seq nslookup';
const DIRECTORIES = ['bin', 'proc', 'sys', 'dev', 'tmp', 'etc', 'real', 'disk'];
const MOUNTS: Init<Mount>[] = [
  { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] },
  { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'mode=755', 'size=65536k'] },
  { destination: '/dev/pts', type: 'devpts', source: 'devpts', options: ['newinstance', 'ptmxmode=0666', 'mode=0620'] },
  { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['nosuid', 'noexec', 'nodev', 'ro'] },
  { destination: '/sys/fs/cgroup', type: 'cgroup', source: 'cgroup', options: ['nosuid', 'noexec', 'nodev', 'ro'] },
];
const NAMESPACES = ['mount', 'ipc', 'uts'];

/** What differs from a plain container. */
export interface Wanted {
  readonly process?: Init<Process>;
  readonly spec?: Init<Spec>;
  readonly linux?: Init<Linux>;
  readonly resources?: Init<LinuxResources>;
  readonly mounts?: Init<Mount>[];
  readonly request?: Init<CreateContainerRequest>;
}

/** What a process wrote, and its status. */
export interface Ended {
  readonly out: string;
  readonly err: string;
  readonly status: number;
}

/**
 * Boots a guest with two processors and a sandbox, and installs IMAGE.
 * @param extra further arguments of QEMU
 */
export async function bootPod(extra: readonly string[] = []): Promise<BareContainers> {
  if (!existsSync(join(BUILD, 'share/guest/amd64/manifest.json'))) throw new Error('run `npm run guest` first');
  const guest = await startGuest(['-smp', '2', ...extra]);
  try {
    const pod = new BareContainers(new TtrpcClient(await Promise.race([guest.socket, hung(guest)])), guest);
    await pod.call('CreateSandbox', methods.CreateSandbox, {
      sandbox_id: 'pod',
      hostname: 'the-pod',
      guest_hook_path: HOOKS,
    });
    await pod.install();
    return pod;
  } catch (thrown) {
    await guest.stop();
    throw thrown;
  }
}

/** @param text of the error the call must fail with */
export async function rejects(promise: Promise<unknown>, text: RegExp): Promise<void> {
  const message = await promise.then(
    () => undefined,
    (error: Error) => error.message,
  );
  assert.ok(text.test(message ?? ''), `${text}: ${message ?? 'it did not fail'}`);
}

export class BareContainers {
  private serial = 0;

  constructor(
    readonly client: TtrpcClient,
    readonly guest?: BareGuest,
  ) {}

  async close(): Promise<void> {
    this.client.close('the tests are over');
    await this.guest?.stop();
  }

  call<Req, Res>(
    name: string,
    method: Method<Req, Res>,
    request: Init<Req>,
    timeoutMs = CALL_TIMEOUT_MS,
  ): Promise<Res> {
    return this.client.call(SERVICE, name, method, request, { timeoutMs });
  }

  /** Puts a busybox root file system into the guest. */
  async install(): Promise<void> {
    for (const name of DIRECTORIES) await this.put(`${IMAGE}/${name}`, S_IFDIR | 0o755);
    await this.put(`${IMAGE}/bin/busybox`, S_IFREG | 0o755, readFileSync('/bin/busybox'));
    for (const name of APPLETS.split(' '))
      await this.put(`${IMAGE}/bin/${name}`, S_IFLNK | 0o777, Buffer.from('busybox'));
    await this.put(
      `${IMAGE}/etc/passwd`,
      S_IFREG | 0o644,
      Buffer.from('root:x:0:0::/root:/bin/sh\nweb:x:33:33::/:/bin/sh\n'),
    );
    await this.put(`${IMAGE}/link`, S_IFLNK | 0o777, Buffer.from('/real'));
  }

  async put(path: string, mode: number, data: Uint8Array = new Uint8Array(0)): Promise<void> {
    for (let offset = 0; offset === 0 || offset < data.length; offset += CHUNK_BYTES) {
      const part = data.subarray(offset, offset + CHUNK_BYTES);
      const request = { path, file_size: data.length, file_mode: mode, dir_mode: 0o755, offset, data: part };
      await this.call('CopyFile', methods.CopyFile, request);
    }
  }

  async create(args: readonly string[], wanted: Wanted = {}, id = `c${++this.serial}`): Promise<string> {
    const { process, spec, linux, resources, mounts, request } = wanted;
    const OCI: Init<Spec> = {
      Process: { Args: [...args], Env: ['PATH=/bin'], Cwd: '/', ...process },
      Root: { Path: IMAGE },
      Mounts: [...MOUNTS, ...(mounts ?? [])],
      ...spec,
      Linux: {
        CgroupsPath: `/test/${id}`,
        Namespaces: NAMESPACES.map((Type) => ({ Type })),
        ...linux,
        ...(resources ? { Resources: resources } : {}),
      },
    };
    const all = { container_id: id, exec_id: id, OCI, ...request };
    await this.call('CreateContainer', methods.CreateContainer, all);
    return id;
  }

  async start(args: readonly string[], wanted?: Wanted, id?: string): Promise<string> {
    const created = await this.create(args, wanted, id);
    await this.call('StartContainer', methods.StartContainer, { container_id: created });
    return created;
  }

  /** Runs a command in a container of its own to its end, and removes that. */
  async run(args: readonly string[], wanted?: Wanted): Promise<Ended> {
    const id = await this.start(args, wanted);
    const ended = await this.end(id, id);
    await this.remove(id);
    return ended;
  }

  /** The output of a script, which must succeed. */
  async output(script: string, wanted?: Wanted): Promise<string> {
    const { out, err, status } = await this.run(['sh', '-c', script], wanted);
    if (status !== 0) throw new Error(`status ${status}: ${err}${out}`);
    return out.trim();
  }

  async exec(id: string, args: readonly string[], process: Init<Process> = {}): Promise<Ended> {
    const execId = `e${++this.serial}`;
    const spec = { Args: [...args], Env: ['PATH=/bin'], Cwd: '/', ...process };
    await this.call('ExecProcess', methods.ExecProcess, { container_id: id, exec_id: execId, process: spec });
    return this.end(id, execId);
  }

  async sh(id: string, script: string): Promise<string> {
    const { out, err, status } = await this.exec(id, ['sh', '-c', script]);
    if (status !== 0) throw new Error(`status ${status}: ${err}${out}`);
    return out.trim();
  }

  async end(id: string, execId: string): Promise<Ended> {
    const ref = { container_id: id, exec_id: execId };
    const [out, err] = await Promise.all([this.read('ReadStdout', ref), this.read('ReadStderr', ref)]);
    return { out, err, status: await this.wait(id, execId) };
  }

  async wait(id: string, execId = id): Promise<number> {
    const ref = { container_id: id, exec_id: execId };
    return (await this.call('WaitProcess', methods.WaitProcess, ref)).status;
  }

  async signal(id: string, signal: number, execId = ''): Promise<void> {
    await this.call('SignalProcess', methods.SignalProcess, { container_id: id, exec_id: execId, signal });
  }

  async remove(id: string): Promise<void> {
    await this.call('RemoveContainer', methods.RemoveContainer, { container_id: id });
  }

  async update(id: string, resources: Init<LinuxResources>): Promise<void> {
    await this.call('UpdateContainer', methods.UpdateContainer, { container_id: id, resources });
  }

  stats(id: string): Promise<StatsContainerResponse> {
    return this.call('StatsContainer', methods.StatsContainer, { container_id: id });
  }

  private async read(
    name: 'ReadStdout' | 'ReadStderr',
    ref: { container_id: string; exec_id: string },
  ): Promise<string> {
    const parts: Uint8Array[] = [];
    for (;;) {
      const { data } = await this.call(name, methods[name], { ...ref, len: 32768 });
      if (data.length === 0) return Buffer.concat(parts).toString();
      parts.push(Uint8Array.from(data));
    }
  }
}
