/** `version`, and --version. */
import type { Version } from '../shim/info.ts';
import type { Command } from './command.ts';

/** Release of the OCI runtime specification that config.json is read by. */
export const OCI_VERSION = '1.2.1';

export const versionCommand: Command = {
  name: 'version',
  summary: 'print the version',
  run: async ({ output, program, version }) => {
    output.write(versionText(program, version));
    return 0;
  },
};

/** What --version prints, in the lines of Kata's own. */
export function versionText(program: string, { version, revision }: Version): string {
  return `${program}  : ${version}\n   commit   : ${revision || 'unknown'}\n   OCI specs: ${OCI_VERSION}\n`;
}
