/** What a process wrote, out of the agent's answers: views of the memory they arrive in, whole or piece by piece. */
import { KataError } from '../error.ts';
import type { OnPart, Pieces } from '../ttrpc/frame-reader.ts';
import { HEADER_BYTES } from '../ttrpc/types.ts';
import { outputIn, outputStartIn } from './output-finder.ts';

/** The output that one answer brings, in pieces. */
export class OutputPieces implements Pieces {
  start = 0;
  bytes = 0;

  constructor(
    private readonly most: number,
    private readonly onPiece: (data: Uint8Array) => void,
  ) {}

  /** Looks whether the frame in [at, end), incomplete as yet, may go out in pieces. */
  readonly begin: OnPart = (scanner, at, end) => {
    this.start = outputStartIn(scanner, at, end);
    // One that brings more than was asked for is left to fail when it is complete.
    const expected = this.start === 0 ? 0 : frameEnd(scanner.bytes, at) - this.start;
    return expected > 0 && expected <= this.most ? this : undefined;
  };

  piece(data: Uint8Array): void {
    if (data.length === 0) return;
    this.bytes += data.length;
    this.onPiece(data);
  }
}

/** The address behind the frame at `at`. */
function frameEnd(bytes: Uint8Array, at: number): number {
  return at + HEADER_BYTES + new DataView(bytes.buffer, bytes.byteOffset + at, HEADER_BYTES).getUint32(0);
}

/** The data of an encoded ReadStreamResponse. @throws KataError `data_loss` */
export function outputOf(stream: string, payload: Uint8Array, most: number): Uint8Array {
  const data = outputIn(payload);
  if (data && data.length <= most) return data;
  throw new KataError('data_loss', `the guest's answer to ${stream} is not what was asked for`);
}
