/** Boots of the guest without anything of the shim, in a process of their own. */
import { succeed } from '../setup/command.ts';
import { ROOT } from '../setup/paths.ts';
import { step } from '../setup/step.mjs';

const BOOTS = 50;
const TIMEOUT_MS = 30 * 60_000;

export async function section(): Promise<void> {
  const argv = [process.execPath, '--import', 'tsx', 'bench/boot.ts', String(BOOTS)];
  const report = await step(`${BOOTS} boots of the guest`, () =>
    succeed(argv, { cwd: ROOT, env: process.env, timeoutMs: TIMEOUT_MS }),
  );
  process.stdout.write(report);
}
