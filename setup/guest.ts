/** `npm run guest [-- amd64|arm64]`: builds the default guest. Says what it does; nothing to do takes no time and no network. */
import { buildGuest } from '../guest/image/build.ts';
import { reasonOf } from '../host/error.ts';
import { type DebianArch, machineArch } from './debian.ts';

const MIB = 1024 * 1024;

try {
  const arch = wantedArch(process.argv[2]);
  const manifest = await buildGuest(arch, (line) => process.stderr.write(`  guest: ${line}\n`));
  const sizes = Object.entries(manifest.files).map(([name, { bytes }]) => `${name} ${(bytes / MIB).toFixed(1)} MiB`);
  process.stderr.write(`  guest: build/share/guest/${arch}: kernel ${manifest.kernelVersion}, ${sizes.join(', ')}\n`);
} catch (error) {
  process.stderr.write(`the guest cannot be built: ${reasonOf(error)}\n`);
  process.exitCode = 1;
}

function wantedArch(argument: string | undefined): DebianArch {
  if (argument === undefined) return machineArch();
  if (argument === 'amd64' || argument === 'arm64') return argument;
  throw new Error(`"${argument}" is not an architecture; use amd64 or arm64`);
}
