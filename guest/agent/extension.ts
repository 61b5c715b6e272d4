/** Files that most guests never need: unpacked over the guest's own when the host hands them over. */
import { blockDevice } from './block-device.ts';
import { AgentError } from './error.ts';
import { exists } from './files.ts';
import { loadListed } from './modules.ts';
import type { Guest } from './options.ts';
import type { ExtensionHandlers } from './service-table.ts';

/** Comes with them: paths of kernel modules, a line each, in the order in which they load. */
export const EXTENSION_MODULES = '/etc/kata-extension-modules';
/** How long unpacking may take, ms. */
export const UNPACK_MS = 20_000;
const MAX_LIST_BYTES = 16 * 1024;
const SIGKILL = 9;
const UNPACK = ['/bin/busybox', 'cpio', '-i', '-d', '-u'];

/** @param guest undefined: not PID 1, the files are those of somebody else's machine */
export function extensionHandlers(guest: Guest | undefined): ExtensionHandlers {
  if (!guest) return {};
  let adding: Promise<void> | undefined;
  return {
    Add: async ({ device }) => {
      adding ??= add(guest, device).catch((thrown) => {
        adding = undefined;
        throw thrown;
      });
      await adding;
      return {};
    },
  };
}

async function add(guest: Guest, device: string): Promise<void> {
  const { sys, loop } = guest;
  const disk = sys.open(await blockDevice(guest, device), 0);
  let pid: number;
  try {
    pid = sys.spawn({ argv: UNPACK, env: [], stdio: [disk, -1, -1], cwd: '/' });
  } finally {
    sys.close(disk);
  }
  const status = await Promise.race([loop.exited(pid), loop.sleep(UNPACK_MS)]);
  if (status === undefined) sys.kill(pid, SIGKILL);
  if (status !== 0 || !exists(sys, EXTENSION_MODULES)) {
    throw new AgentError(
      'internal',
      `the extension on disk ${device} cannot be unpacked: ${status ?? 'it takes too long'}`,
    );
  }
  const lines = new TextDecoder().decode(sys.readFile(EXTENSION_MODULES, MAX_LIST_BYTES)).trim().split('\n');
  for (const line of lines) loadListed(sys, line, () => new Set());
}
