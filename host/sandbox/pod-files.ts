/**
 * Files that every container of a pod has: hosts, hostname, resolv.conf. Where containerd runs a pause container it
 * makes them itself; under the Sandbox API it names them in its specs all the same, and they are the sandbox's to make.
 */
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { KataError, reasonOf } from '../error.ts';
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

  /**
   * The mount, with a source that exists if it is one of these files and its own source does not.
   * @throws KataError `internal` when they cannot be written
   */
  locate(mount: Mount): Mount {
    const name = Object.hasOwn(FILES, mount.destination) ? FILES[mount.destination] : undefined;
    if (!name || existsSync(mount.source)) return mount;
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

/** A file of the node's, empty where it has none. */
function nodeFile(path: string): string {
  try {
    return readFileSync(path).subarray(0, MAX_NODE_FILE_BYTES).toString();
  } catch {
    return '';
  }
}
