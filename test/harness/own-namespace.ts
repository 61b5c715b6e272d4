/** Runs a test file in a mount namespace of its own, as the shim's launcher runs the shim: its mounts end with it. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

const INSIDE = 'KATA_TEST_OWN_NAMESPACE';

/**
 * To be called first of all, in a file that has its process to itself. Outside, it runs the file anew inside, passes its output and status on, and does not
 * return.
 * @param url `import.meta.url` of the test file
 */
export function inOwnNamespace(url: string): void {
  if (process.env[INSIDE]) return;
  const { status, error } = spawnSync(
    'setpriv',
    [
      '--pdeathsig',
      'KILL',
      'unshare',
      '-m',
      '--propagation',
      'slave',
      process.execPath,
      '--import',
      import.meta.resolve('tsx'),
      new URL(url).pathname,
    ],
    { stdio: 'inherit', env: { ...process.env, [INSIDE]: '1' } },
  );
  if (error) throw error;
  process.exit(status ?? 1);
}

/** Mount points at or below a directory, in this process's namespace. */
export function mountsBelow(directory: string): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((point) => point === directory || point.startsWith(`${directory}/`));
}
