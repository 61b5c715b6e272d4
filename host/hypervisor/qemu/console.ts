/** The guest's console as QEMU passes it on: a serial port's few bytes at a time. */
import type { Readable } from 'node:stream';

/**
 * Reads after each other, and so many more a second: a kernel that boots in detail is not held up. Each takes 30 µs of a
 * processor, so that a guest that floods its console byte by byte would keep a third of one busy.
 */
export const BURST_READS = 50_000;
export const READS_PER_S = 2000;
/** How long the console is left alone after a read that was one too many, ms: the guest then waits, or its bytes gather. */
export const REST_MS = 5;

/**
 * Hands over what comes, and an empty piece when no more will.
 * @param now milliseconds, monotonic
 */
export function readConsole(
  stream: Readable,
  take: (chunk: Buffer) => void,
  now: () => number = () => performance.now(),
): void {
  let reads = BURST_READS;
  let since = now();
  const goOn = (): void => {
    const at = now();
    reads = Math.min(BURST_READS, reads + ((at - since) / 1000) * READS_PER_S);
    since = at;
    stream.resume();
  };
  stream.on('data', (chunk: Buffer) => {
    take(chunk);
    reads -= 1;
    if (reads > 0) return;
    stream.pause();
    setTimeout(goOn, REST_MS).unref();
  });
  stream.once('close', () => take(Buffer.alloc(0)));
}
