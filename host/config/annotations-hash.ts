/** Compares the files a virtual machine is made of with what a pod says they are. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { KataError, reasonOf } from '../error.ts';
import type { AssetHash } from './annotations.ts';

/** What is read at a time, bytes: a file's size makes no difference to the memory this takes. */
const CHUNK_BYTES = 1024 * 1024;
/** Digits of a digest that a message quotes. */
const SHOWN = 16;

/**
 * One file after the other, each read once.
 * @throws KataError `failed_precondition` for a file that is another, with both digests, or that cannot be read
 */
export async function checkHashes(hashes: readonly AssetHash[]): Promise<void> {
  const known = new Map<string, string>();
  for (const { name, path, sha512 } of hashes) {
    const found = known.get(path) ?? (await digestOf(name, path));
    known.set(path, found);
    if (found === sha512) continue;
    throw new KataError(
      'failed_precondition',
      `annotation ${name} is ${short(sha512)}, but the SHA-512 of ${path} is ${short(found)}: it is another file than the pod wants`,
    );
  }
}

async function digestOf(name: string, path: string): Promise<string> {
  const hash = createHash('sha512');
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: CHUNK_BYTES })) hash.update(chunk as Buffer);
  } catch (thrown) {
    throw new KataError('failed_precondition', `annotation ${name}: ${path} cannot be read: ${reasonOf(thrown)}`, {
      cause: thrown,
    });
  }
  return hash.digest('hex');
}

function short(digest: string): string {
  return `${digest.slice(0, SHOWN)}…`;
}
