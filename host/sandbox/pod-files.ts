/**
 * Files that every container of a pod has: hosts, hostname, resolv.conf. Where containerd runs a pause container it
 * makes them itself. Under the Sandbox API they are the sandbox's to make: containerd 1.7 names them in its specs all the
 * same, 2.1 leaves them out, and has each container make a /dev/shm of its own instead of the pod's.
 */
import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { KataError, reasonOf } from '../error.ts';
import type { SpecView } from '../oci/rewrite.ts';
import type { PodSandboxConfig } from '../proto/messages/cri.ts';
import type { Mount } from '../proto/messages/oci.ts';
import { resolvConf } from './sandbox-spec.ts';

/** Largest file of the node's that is copied, bytes. */
export const MAX_NODE_FILE_BYTES = 64 * 1024;
/** Everybody in the container may read them, whoever they run as. */
const FILE_MODE = 0o644;
const DIRECTORY_MODE = 0o755;
/** Where containers have them, and what they are called here. */
const FILES: Readonly<Record<string, 'hosts' | 'hostname' | 'resolv.conf'>> = {
  '/etc/hosts': 'hosts',
  '/etc/hostname': 'hostname',
  '/etc/resolv.conf': 'resolv.conf',
};

export class PodFiles {
  private written = false;

  /** @param directory for the files; made when the first is needed */
  constructor(
    private readonly directory: string,
    private readonly pod: PodSandboxConfig,
  ) {}

  /** A container's spec with the mounts that it has where containerd runs a pause container. */
  complete(view: SpecView): SpecView {
    if (view.containerType !== 'pod_container') return view;
    const missing = Object.entries(FILES).filter(([path]) => view.mounts.every((mount) => mount.destination !== path));
    const options = ['rbind', 'rprivate', view.rootReadonly ? 'ro' : 'rw'];
    const files = missing.map(([destination, name]) => ({
      destination,
      type: 'bind',
      source: `${this.directory}/${name}`,
      options,
    }));
    return { ...view, mounts: [...view.mounts.map(podsMemory), ...files] };
  }

  /**
   * The mount, with a source that is a file if it is one of these and its own is not: containerd makes directories of sources
   * that are missing.
   * @throws KataError `internal` when they cannot be written
   */
  locate(mount: Mount): Mount {
    const name = Object.hasOwn(FILES, mount.destination) ? FILES[mount.destination] : undefined;
    if (!name || statSync(mount.source, { throwIfNoEntry: false })?.isFile()) return mount;
    this.write();
    return { ...mount, source: `${this.directory}/${name}` };
  }

  private write(): void {
    if (this.written) return;
    const dns = resolvConf(this.pod);
    try {
      mkdirSync(this.directory, { recursive: true });
      chmodSync(this.directory, DIRECTORY_MODE);
      this.put('hosts', nodeFile('/etc/hosts'));
      this.put('hostname', `${this.pod.hostname || hostname()}\n`);
      this.put('resolv.conf', dns.length > 0 ? `${dns.join('\n')}\n` : nodeFile('/etc/resolv.conf'));
    } catch (thrown) {
      throw new KataError('internal', `cannot write the pod's files in ${this.directory}: ${reasonOf(thrown)}`, {
        cause: thrown,
      });
    }
    this.written = true;
  }

  private put(name: string, text: string): void {
    const path = `${this.directory}/${name}`;
    writeFileSync(path, text);
    chmodSync(path, FILE_MODE);
  }
}

/** The bind that containerd asks for where it has made the pod's /dev/shm itself. */
function podsMemory(mount: Mount): Mount {
  if (mount.destination !== '/dev/shm' || mount.type !== 'tmpfs') return mount;
  return { ...mount, type: 'bind', source: '/dev/shm', options: ['rbind'] };
}

/** A file of the node's, empty where it has none. */
function nodeFile(path: string): string {
  try {
    return readFileSync(path).subarray(0, MAX_NODE_FILE_BYTES).toString();
  } catch {
    return '';
  }
}
