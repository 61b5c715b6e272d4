/** The default guest in a bare QEMU under TCG: nothing of the shim takes part. amd64 only. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BUILD } from '../../setup/paths.ts';
import './orderly-end.ts';

/** Milliseconds until a guest that says nothing counts as hung. */
export const HUNG_MS = 60_000;
const MEMORY_MIB = 256;
const CONSOLE_TAIL_CHARS = 2000;
const GUEST = join(BUILD, 'share', 'guest', 'amd64');
const CMDLINE =
  'console=ttyS0 quiet loglevel=1 panic=-1 reboot=t cryptomgr.notests lsm= noreplace-smp swiotlb=noforce random.trust_cpu=on';

export interface BareGuest {
  /** performance.now() just before QEMU was started. */
  readonly since: number;
  /** The stream to the agent. */
  readonly socket: Promise<Socket>;
  /** The next stream: QEMU connects again a second after one was closed. */
  nextSocket(): Promise<Socket>;
  /** Resolves when QEMU has ended, with its exit code or signal. */
  readonly ended: Promise<number | string>;
  /** The end of what the guest wrote to its console. */
  console(): Promise<string>;
  /** Ends QEMU, if it still runs, and removes its files. */
  stop(): Promise<void>;
}

/**
 * Starts QEMU; the host's end of the channel listens before.
 * @param extra further arguments of QEMU
 */
export async function startGuest(extra: readonly string[] = []): Promise<BareGuest> {
  const directory = await mkdtemp(join(tmpdir(), 'kata-guest-'));
  const server: Server = createServer();
  await new Promise<void>((done) => server.listen(join(directory, 'agent.sock'), done));
  const nextSocket = () => new Promise<Socket>((done) => server.once('connection', done));
  const socket = nextSocket();
  const since = performance.now();
  const qemu = spawn('qemu-system-x86_64', [...machine(directory), ...extra], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const end = () => qemu.kill('SIGKILL');
  process.on('exit', end);
  const ended = new Promise<number | string>((done, fail) => {
    qemu.once('error', fail);
    qemu.once('exit', (code, signal) => {
      process.off('exit', end);
      done(signal ?? code ?? -1);
    });
  });
  return {
    since,
    socket,
    nextSocket,
    ended,
    console: async () => {
      const text = await readFile(join(directory, 'console.log'), 'latin1').catch(() => '');
      return text.slice(-CONSOLE_TAIL_CHARS);
    },
    stop: async () => {
      await endProcess(qemu, ended);
      server.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Rejects when QEMU ends or HUNG_MS pass; the error shows the console. Never resolves. */
export async function hung(guest: BareGuest): Promise<never> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>((done) => {
    timer = setTimeout(() => done(`no answer within ${HUNG_MS} ms`), HUNG_MS).unref();
  });
  const what = await Promise.race([late, guest.ended.then((how) => `QEMU ended with ${how}`)]);
  clearTimeout(timer);
  throw new Error(`${what}; the console's end:\n${await guest.console()}`);
}

function machine(directory: string): string[] {
  return [
    ...['-M', 'q35,accel=tcg,memory-backend=mem', '-cpu', 'max,-erms,-fsrm', '-smp', '1', '-m', `${MEMORY_MIB}M`],
    ...['-object', `memory-backend-memfd,id=mem,size=${MEMORY_MIB}M,share=on`],
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
    ...['-kernel', join(GUEST, 'vmlinux'), '-initrd', join(GUEST, 'initramfs.cpio.gz'), '-append', CMDLINE],
    ...['-serial', `file:${join(directory, 'console.log')}`],
    ...['-chardev', `socket,id=ch0,path=${join(directory, 'agent.sock')},reconnect=1`],
    ...['-device', 'virtio-serial-pci,id=vs0', '-device', 'virtserialport,bus=vs0.0,chardev=ch0,name=agent'],
  ];
}

async function endProcess(qemu: ChildProcess, ended: Promise<unknown>): Promise<void> {
  if (qemu.exitCode === null && qemu.signalCode === null) qemu.kill('SIGKILL');
  await ended.catch(() => {});
}
