/** QEMU as a user of its own, without any right: whatever it needs and that user may not open, it is handed open. */
import { createHash } from 'node:crypto';
import { constants, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import type { DeviceArguments } from '../../agent/transport.ts';
import { KataError, reasonOf } from '../../error.ts';
import type { Qmp } from './qmp.ts';

/** User ids from here on belong to nobody: beyond those that systemd and user namespaces take, below 2^31. */
export const FIRST_UID = 0x70000000;
/** How many there are. */
const UIDS = 0x0f000000;
const KVM = '/dev/kvm';

/** Whom a process runs as. */
export interface ProcessUser {
  readonly uid: number;
  readonly gid: number;
  /** Other groups it is in. */
  readonly groups: readonly number[];
}

/** Something open that QEMU gets a copy of. */
export interface Held {
  readonly fd: number;
  /** Once QEMU has its copy. */
  close(): void;
}

/**
 * The user of a sandbox's QEMU: the same for every QEMU of it, another than that of other sandboxes. It may use KVM.
 * @param directory of the sandbox, which no other has
 */
export function userOf(directory: string, kvm = KVM): ProcessUser {
  const uid = FIRST_UID + (createHash('sha256').update(directory).digest().readUInt32BE(0) % UIDS);
  const group = statSync(kvm, { throwIfNoEntry: false })?.gid ?? 0;
  return { uid, gid: uid, groups: group === 0 ? [] : [group] };
}

/** A connection to a unix socket that only root may make. @throws KataError `unavailable` */
export async function connected(path: string): Promise<Held> {
  const socket: Socket = connect(path);
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', (error) => reject(new KataError('unavailable', `${path}: ${reasonOf(error)}`)));
  });
  const { _handle: handle } = socket as Socket & { readonly _handle?: { readonly fd?: number } | null };
  // Nothing of what comes is read here: it is QEMU's.
  socket.pause();
  return { fd: handle?.fd ?? -1, close: () => socket.destroy() };
}

/** A disk, open as QEMU will use it. @throws KataError `failed_precondition` */
export async function openDisk(path: string, readOnly: boolean): Promise<Held> {
  try {
    const file = await open(path, readOnly ? constants.O_RDONLY : constants.O_RDWR);
    return { fd: file.fd, close: () => void file.close().catch(() => {}) };
  } catch (thrown) {
    throw new KataError('failed_precondition', `block device ${path} cannot be used: ${reasonOf(thrown)}`, {
      cause: thrown,
    });
  }
}

/** Hands QEMU a disk, open. @returns its number in `/dev/fdset` @throws KataError */
export async function giveDisk(qmp: Qmp, path: string, readOnly: boolean): Promise<number> {
  const { fd, close } = await openDisk(path, readOnly);
  try {
    const added = await qmp.execute('add-fd', undefined, undefined, fd);
    return (added as { readonly 'fdset-id': number })['fdset-id'];
  } finally {
    close();
  }
}

/** Hands QEMU a connection to a unix socket, under a name. @returns the address of a character device @throws KataError */
export async function giveSocket(qmp: Qmp, path: string, name: string): Promise<Readonly<Record<string, unknown>>> {
  const { fd, close } = await connected(path);
  try {
    await qmp.execute('getfd', { fdname: name }, undefined, fd);
  } finally {
    close();
  }
  return { type: 'fd', data: { str: name } };
}

/**
 * Makes the connections for which a transport's devices name sockets.
 * @returns the same devices with descriptors instead, and what has to be closed once QEMU has them
 */
export async function handOver(devices: DeviceArguments): Promise<{ devices: DeviceArguments; held: Held[] }> {
  const held: Held[] = [];
  const result: string[] = [];
  try {
    for (const argument of devices.arguments) {
      const path = /^socket,.*\bpath=((?:[^,]|,,)+)$/.exec(argument)?.[1];
      if (path === undefined) {
        result.push(argument);
        continue;
      }
      held.push(await connected(path.replaceAll(',,', ',')));
      result.push(argument.replace(`path=${path}`, `fd={{fd${devices.fds.length + held.length - 1}}}`));
    }
  } catch (thrown) {
    for (const each of held) each.close();
    throw thrown;
  }
  return { devices: { arguments: result, fds: [...devices.fds, ...held.map(({ fd }) => fd)] }, held };
}
