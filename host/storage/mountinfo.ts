/** This process's mounts as the kernel lists them. https://docs.kernel.org/filesystems/proc.html#proc-pid-mountinfo */
import { readFileSync } from 'node:fs';
import { reasonOf } from '../error.ts';
import { unmount } from './mounts.ts';

export interface MountEntry {
  /** Directory or file of the file system that is its root; `/` unless it is a bind of something below. */
  readonly root: string;
  readonly point: string;
  readonly fstype: string;
}

/** Mounts at or below a path, in the order they were made. */
export function mountsBelow(path: string): MountEntry[] {
  const found: MountEntry[] = [];
  for (const line of readFileSync('/proc/self/mountinfo', 'utf8').split('\n')) {
    // The fields before ` - ` vary in number; those used here do not.
    if (!line.includes(escaped(path))) continue;
    const fields = line.split(' ');
    const point = unescaped(fields[4] ?? '');
    if (point !== path && !point.startsWith(path === '/' ? '/' : `${path}/`)) continue;
    found.push({ root: unescaped(fields[3] ?? ''), point, fstype: fields[fields.indexOf('-') + 1] ?? '' });
  }
  return found;
}

/**
 * Takes away every mount at or below a path, the latest first, following no link. Idempotent.
 * @returns what could not be taken away and why, a line each
 */
export function unmountBelow(path: string): string[] {
  const failed: string[] = [];
  for (const { point } of mountsBelow(path).reverse()) {
    try {
      unmount(point);
    } catch (thrown) {
      failed.push(`${point}: ${reasonOf(thrown)}`);
    }
  }
  return failed;
}

/** The kernel writes blanks, line ends and backslashes as three octal digits. */
function unescaped(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

function escaped(text: string): string {
  return text.replace(/[ \t\n\\]/g, (byte) => `\\${byte.charCodeAt(0).toString(8).padStart(3, '0')}`);
}
