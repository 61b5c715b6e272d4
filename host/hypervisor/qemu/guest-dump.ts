/** The memory of a guest whose kernel panicked, written to a file: `guest_memory_dump_path`. */
import { mkdir, open, rename, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { KataError, reasonOf } from '../../error.ts';
import type { VmConfig } from '../hypervisor.ts';
import type { QemuLog } from './log.ts';
import type { Qmp, QmpEvent } from './qmp.ts';

/** What a dump may take, ms. */
export const DUMP_MS = 600_000;
/** Room that is asked for, in sizes of the guest: with paging, what is mapped twice is written twice. */
export const ROOM_FACTOR = 2;
const MIB = 1024 * 1024;
/** QEMU's name of the file. */
const DUMP_FD = 'dump';

export type DumpOrder = Pick<VmConfig, 'sandboxId' | 'memoryMib'> & {
  readonly dump: { readonly directory: string; readonly paging: boolean };
};

/**
 * Whether an event tells of a kernel that came to its end: by the panic notifier, or because it restarts the machine, which
 * guests are told to do when they panic and for no other reason.
 */
export function isPanic({ event, data }: QmpEvent): boolean {
  return event === 'GUEST_PANICKED' || (event === 'SHUTDOWN' && data.guest === true && data.reason === 'guest-reset');
}

/** Writes a machine's memory if an event tells that its kernel panicked. Never throws. */
export async function dumpAfter(event: QmpEvent, qmp: Qmp, order: DumpOrder, log: QemuLog): Promise<void> {
  if (isPanic(event)) await dumpGuest(qmp, order, log);
}

/**
 * Writes a machine's memory to `<directory>/<sandbox>/vmcore-<time>.elf`. The machine stands still. Never throws: what goes
 * wrong is logged.
 * @returns path of the file; undefined: there is none
 */
export async function dumpGuest(
  qmp: Qmp,
  order: DumpOrder,
  log: QemuLog,
  now = new Date(),
): Promise<string | undefined> {
  try {
    const path = await write(qmp, order, now);
    log.error('the guest kernel panicked; its memory was written', { file: path });
    return path;
  } catch (thrown) {
    log.error('the guest kernel panicked; its memory could not be written', { error: reasonOf(thrown) });
    return undefined;
  }
}

async function write(qmp: Qmp, { sandboxId, memoryMib, dump }: DumpOrder, now: Date): Promise<string> {
  const directory = join(dump.directory, encodeURIComponent(sandboxId));
  await mkdir(directory, { recursive: true, mode: 0o700 });
  await checkRoom(directory, memoryMib);
  const path = join(directory, `vmcore-${now.toISOString().replaceAll(/[:.]/g, '-')}.elf`);
  // Whoever finds a file of the final name finds all of it.
  const partial = `${path}.part`;
  const done = qmp.waitEvent('DUMP_COMPLETED', () => true, DUMP_MS);
  done.catch(() => {});
  // Whoever QEMU runs as, it gets the file open.
  const file = await open(partial, 'wx', 0o600);
  try {
    await qmp.execute('getfd', { fdname: DUMP_FD }, undefined, file.fd);
  } finally {
    await file.close();
  }
  await qmp.execute('dump-guest-memory', {
    paging: dump.paging,
    protocol: `fd:${DUMP_FD}`,
    format: 'elf',
    detach: true,
  });
  const { data } = await done;
  const { status } = (data.result ?? {}) as { readonly status?: unknown };
  if (status !== 'completed') throw new KataError('internal', `${partial}: ${String(data.error ?? 'QEMU broke off')}`);
  await rename(partial, path);
  return path;
}

async function checkRoom(directory: string, memoryMib: number): Promise<void> {
  const { bavail, bsize } = await statfs(directory);
  const freeMib = Math.floor((bavail * bsize) / MIB);
  const wantedMib = memoryMib * ROOM_FACTOR;
  if (freeMib >= wantedMib) return;
  throw new KataError(
    'resource_exhausted',
    `${directory} has ${freeMib} MiB left, and ${wantedMib} MiB are asked for: ${ROOM_FACTOR} times the guest's memory`,
  );
}
