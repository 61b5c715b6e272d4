/** `kata-monitor`. */
import { reasonOf } from '../error.ts';
import { ownVersion } from './version.ts';

process.umask(0o077);
main().catch((thrown: unknown) => {
  process.stderr.write(`${reasonOf(thrown)}\n`);
  process.exitCode = 1;
});

async function main(): Promise<void> {
  const { run } = await import('../monitor/run.ts');
  process.exitCode = await run(process.argv.slice(2), ownVersion());
}
