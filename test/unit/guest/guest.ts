/** A guest for tests: the agent's container services on Node with real crun, a busybox root file system and cgroup v2. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { Handlers } from '../../../guest/agent/loop-interface.ts';
import type { ContainerOptions } from '../../../guest/agent/options.ts';
import { containerServices } from '../../../guest/agent/services.ts';
import { decode, encode, type Init } from '../../../host/proto/codec.ts';
import {
  type AgentServiceService,
  CreateContainerRequest,
  ExecProcessRequest,
} from '../../../host/proto/messages/agent.ts';
import type { Mount, Process, Spec } from '../../../host/proto/messages/oci.ts';
import { type NodeSys, nodeLoop, nodeSys } from './node-sys.ts';

type Services = Required<Handlers<typeof AgentServiceService>>;

const APPLETS = [
  'sh',
  'cat',
  'echo',
  'sleep',
  'id',
  'stty',
  'ps',
  'true',
  'head',
  'wc',
  'hostname',
  'ls',
  'dd',
  'pwd',
  'kill',
  'env',
];
const MOUNTS: Init<Mount>[] = [
  { destination: '/proc', type: 'proc', source: 'proc' },
  { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'mode=755', 'size=65536k'] },
  { destination: '/dev/pts', type: 'devpts', source: 'devpts', options: ['newinstance', 'ptmxmode=0666', 'mode=0620'] },
];
const ENV = ['PATH=/bin'];

/**
 * crun wants cgroup v2 alone; on a machine with v1 or both it gets that in a mount namespace of its own.
 * Without controllers there are no limits, but freezing and killing are there.
 */
const CRUN = '#!/bin/sh\nexec unshare -m sh -c \'mount -t cgroup2 none /sys/fs/cgroup && exec crun "$@"\' crun "$@"\n';

export interface TestGuest {
  readonly sys: NodeSys;
  readonly services: Services;
  readonly directory: string;
  readonly options: Partial<ContainerOptions>;
  /** Creates and starts a container that runs `args`; its id. */
  run(args: readonly string[], spec?: SpecPart): Promise<string>;
  create(args: readonly string[], spec?: SpecPart, id?: string): Promise<string>;
  exec(id: string, execId: string, args: readonly string[], process?: Init<Process>): Promise<void>;
  /** Everything until the end of file. */
  stdout(id: string, execId?: string): Promise<string>;
  stderr(id: string, execId?: string): Promise<string>;
  wait(id: string, execId?: string): Promise<number>;
  remove(id: string): Promise<void>;
  /** What is left of containers: directories, crun's states, cgroups, mounts, descriptors. */
  leftovers(): string[];
  close(): Promise<void>;
}

export interface SpecPart {
  readonly process?: Init<Process>;
  readonly spec?: Init<Spec>;
  readonly pidns?: boolean;
}

export function testGuest(extra: Partial<ContainerOptions> = {}): TestGuest {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'guest-'));
  const sys = nodeSys();
  const cgroupRoot = path.join(directory, 'cgroup');
  fs.mkdirSync(cgroupRoot);
  sys.mount('none', cgroupRoot, 'cgroup2', 0, '');
  const rootfs = makeRootfs(directory);
  fs.writeFileSync(path.join(directory, 'crun-v2'), CRUN, { mode: 0o755 });
  const options: Partial<ContainerOptions> = {
    runDir: path.join(directory, 'run'),
    crun: path.join(directory, 'crun-v2'),
    crunRoot: path.join(directory, 'crun'),
    cgroupRoot,
    hotplugTimeoutMs: 50,
    afterDestroy: () => sys.log('afterDestroy'),
    ...extra,
  };
  const loop = nodeLoop(sys);
  const services = containerServices(sys, loop, options) as Services;
  const group = `/kata-test-${process.pid}-${path.basename(directory)}`;
  let serial = 0;
  const descriptors = openDescriptors();

  const collect = async (read: () => unknown): Promise<string> => {
    const parts: Uint8Array[] = [];
    for (;;) {
      const { data } = (await read()) as { data: Uint8Array };
      if (data.length === 0) return Buffer.concat(parts).toString();
      parts.push(data);
    }
  };
  const guest: TestGuest = {
    sys,
    services,
    directory,
    options,
    async create(args, part = {}, id = `c${++serial}`) {
      const spec: Init<Spec> = {
        Process: { Args: [...args], Env: ENV, Cwd: '/', ...part.process },
        Root: { Path: rootfs },
        Mounts: MOUNTS,
        ...part.spec,
        Linux: {
          CgroupsPath: `${group}/${id}`,
          // Device rules are an eBPF program, for which a test machine may lack the rights.
          Resources: { Devices: [{ Allow: true, Access: 'rwm' }] },
          Namespaces: ['mount', 'ipc', 'uts'].map((Type) => ({ Type })),
          ...part.spec?.Linux,
        },
      };
      const request: Init<CreateContainerRequest> = { container_id: id, OCI: spec, sandbox_pidns: part.pidns ?? false };
      await services.CreateContainer(decode(CreateContainerRequest, encode(CreateContainerRequest, request)));
      return id;
    },
    async run(args, part) {
      const id = await guest.create(args, part);
      await services.StartContainer({ container_id: id });
      return id;
    },
    async exec(id, execId, args, process = {}) {
      const request: Init<ExecProcessRequest> = {
        container_id: id,
        exec_id: execId,
        process: { Args: [...args], Env: ENV, Cwd: '/', ...process },
      };
      await services.ExecProcess(decode(ExecProcessRequest, encode(ExecProcessRequest, request)));
    },
    stdout: (id, execId = '') => collect(() => services.ReadStdout({ container_id: id, exec_id: execId, len: 32768 })),
    stderr: (id, execId = '') => collect(() => services.ReadStderr({ container_id: id, exec_id: execId, len: 32768 })),
    async wait(id, execId = '') {
      const { status } = await services.WaitProcess({ container_id: id, exec_id: execId });
      return status ?? 0;
    },
    async remove(id) {
      await services.RemoveContainer({ container_id: id, timeout: 0 });
    },
    leftovers() {
      const list = (name: string) => (fs.existsSync(name) ? fs.readdirSync(name).map((each) => `${name}/${each}`) : []);
      const mounts = fs.readFileSync('/proc/self/mounts', 'utf8').split('\n');
      return [
        ...list(options.runDir as string).filter((name) => !name.endsWith('/sandbox')),
        ...list(options.crunRoot as string),
        ...list(cgroupRoot + group).filter((name) => fs.statSync(name).isDirectory()),
        ...mounts.filter((line) => line.includes(directory) && !line.includes(cgroupRoot)),
        ...openDescriptors().filter((fd) => !descriptors.includes(fd)),
      ];
    },
    async close() {
      await services.DestroySandbox({});
      loop.stop();
      try {
        fs.rmdirSync(cgroupRoot + group);
      } catch {}
      sys.umount(cgroupRoot, 2);
      fs.rmSync(directory, { recursive: true });
    },
  };
  return guest;
}

function openDescriptors(): string[] {
  return fs.readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [`fd ${fd} ${fs.readlinkSync(`/proc/self/fd/${fd}`)}`];
    } catch {
      return [];
    }
  });
}

function makeRootfs(directory: string): string {
  const rootfs = path.join(directory, 'rootfs');
  for (const name of ['bin', 'proc', 'sys', 'dev', 'tmp', 'etc'])
    fs.mkdirSync(path.join(rootfs, name), { recursive: true });
  fs.copyFileSync('/bin/busybox', path.join(rootfs, 'bin/busybox'));
  for (const applet of APPLETS) fs.symlinkSync('busybox', path.join(rootfs, 'bin', applet));
  fs.writeFileSync(path.join(rootfs, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n');
  return rootfs;
}
