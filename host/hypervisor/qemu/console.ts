/** The guest's console as QEMU passes it on: a serial port's few bytes at a time. */
import type { Readable } from 'node:stream';

/**
 * How long it is left alone after each read, ms. A guest that floods its console is then read in large pieces, and held up once
 * what is between is full; byte by byte it could keep a processor of the host's busy.
 */
export const REST_MS = 5;

/** Hands over what comes. */
export function readConsole(stream: Readable, take: (chunk: Buffer) => void): void {
  const goOn = (): void => void stream.resume();
  stream.on('data', (chunk: Buffer) => {
    take(chunk);
    stream.pause();
    setTimeout(goOn, REST_MS).unref();
  });
}
