/** A unix datagram socket to receive on: perl, which every Debian has. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** Says that it is bound, then gives each message by its length and itself. */
const RECEIVER = `use Socket; $| = 1;
socket(S, AF_UNIX, SOCK_DGRAM, 0) or die; bind(S, pack_sockaddr_un($ARGV[0])) or die "bind: $!";
print pack("N", 0);
while (defined recv(S, $b, 1 << 20, 0)) { print pack("N", length $b), $b }`;

export interface Receiver {
  /** The next message. */
  next(): Promise<Buffer>;
  /** Stops it from taking messages, as one that does not keep up; it has stopped then. */
  stall(): Promise<void>;
  goOn(): void;
  stop(): Promise<void>;
}

/** @param path must not exist */
export async function receiveDatagrams(path: string): Promise<Receiver> {
  const child = spawn('perl', ['-e', RECEIVER, path], { stdio: ['ignore', 'pipe', 'inherit'] });
  const queue: Buffer[] = [];
  let bytes: Buffer = Buffer.alloc(0);
  let wake: () => void = () => {};
  child.stdout.on('data', (chunk: Buffer) => {
    bytes = Buffer.concat([bytes, chunk]);
    while (bytes.length >= 4 && bytes.length >= 4 + bytes.readUInt32BE(0)) {
      const end = 4 + bytes.readUInt32BE(0);
      queue.push(bytes.subarray(4, end));
      bytes = bytes.subarray(end);
    }
    wake();
  });
  const next = async (): Promise<Buffer> => {
    for (;;) {
      const first = queue.shift();
      if (first) return first;
      if (child.exitCode !== null) throw new Error('the receiver has ended');
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  await next();
  return {
    next,
    stall: async () => {
      child.kill('SIGSTOP');
      while (!/\) T /.test(readFileSync(`/proc/${child.pid}/stat`, 'latin1'))) await sleep(1);
    },
    goOn: () => void child.kill('SIGCONT'),
    stop: async () => {
      child.kill('SIGCONT');
      child.kill('SIGKILL');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    },
  };
}
