/** Which network namespace a sandbox's VM belongs to. */
import { statSync, unlinkSync } from 'node:fs';
import { KataError, reasonOf } from '../error.ts';
import { MNT_DETACH, native, UMOUNT_NOFOLLOW } from '../native.ts';
import { changeLink, LOOPBACK_INDEX } from './links.ts';
import { Netlink } from './netlink.ts';

/** The namespaces that are the machine's own: this process's, and init's. */
const HOST_NAMESPACES = ['/proc/self/ns/net', '/proc/1/ns/net'];
/** Name of a namespace we make, in the sandbox's directory. */
const OWN_NAME = 'netns';

/** An entry of `linux.namespaces` of the OCI specification. */
export interface NamespaceEntry {
  readonly type: string;
  readonly path?: string | undefined;
}

export interface PodNamespace {
  /** Empty: the shim's own, which only the model `none` takes. */
  readonly path: string;
  /** Whether it is ours to make and to remove. */
  readonly own: boolean;
}

/**
 * The namespace of a sandbox, from its specification. One without a path is made: whoever configures it later finds it by
 * the VMM's pid.
 * @param directory the sandbox's, 0700
 * @param disableNew `disable_new_netns`: a namespace without a path is the shim's own
 * @throws KataError `failed_precondition` for a pod on the host's network; `not_found` for a path that is none
 */
export function podNamespace(
  namespaces: readonly NamespaceEntry[],
  directory: string,
  disableNew = false,
): PodNamespace {
  const entry = namespaces.find(({ type }) => type === 'network');
  if (!entry) throw onHostNetwork('the specification has no network namespace');
  if (entry.path) {
    refuseHost(entry.path);
    return { path: entry.path, own: false };
  }
  return disableNew ? { path: '', own: false } : { path: `${directory}/${OWN_NAME}`, own: true };
}

/** Makes a namespace that is the sandbox's own, its loopback device up. @throws KataError `internal` */
export function createNamespace(path: string): void {
  try {
    native().createNetworkNamespace(path);
    const netlink = new Netlink(path);
    try {
      changeLink(netlink, LOOPBACK_INDEX, { up: true });
    } finally {
      netlink.close();
    }
  } catch (thrown) {
    throw new KataError('internal', `cannot make a network namespace at ${path}: ${reasonOf(thrown)}`, {
      cause: thrown,
    });
  }
}

/** Removes what `createNamespace` made: the namespace goes with its last process. Idempotent. */
export function removeNamespace(path: string): void {
  try {
    native().umount(path, MNT_DETACH | UMOUNT_NOFOLLOW);
  } catch {
    // Not mounted in this mount namespace: it has gone with the process that made it.
  }
  try {
    unlinkSync(path);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT') throw thrown;
  }
}

/** @throws KataError `failed_precondition` when the path is the machine's own namespace, `not_found` when it is nothing */
export function refuseHost(path: string): void {
  let found: { dev: number; ino: number };
  try {
    found = statSync(path);
  } catch (thrown) {
    throw new KataError(
      'not_found',
      `the pod's network namespace ${path} cannot be used (${reasonOf(thrown)}): it has to exist before the sandbox`,
      { cause: thrown },
    );
  }
  for (const own of HOST_NAMESPACES) {
    if (isSame(own, found)) throw onHostNetwork(`${path} is the host's own`);
  }
}

function isSame(path: string, found: { readonly dev: number; readonly ino: number }): boolean {
  try {
    const { dev, ino } = statSync(path);
    return dev === found.dev && ino === found.ino;
  } catch {
    // Init may be out of sight.
    return false;
  }
}

function onHostNetwork(why: string): KataError {
  return new KataError(
    'failed_precondition',
    `a pod on the host's network (hostNetwork: true) cannot run in a virtual machine, which has its own: ${why}; remove hostNetwork or use another RuntimeClass`,
  );
}
