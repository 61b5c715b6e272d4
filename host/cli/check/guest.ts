/** The guest's kernel and root file system: there, readable, and of this machine's architecture. */
import { type AssetKind, kindProblem } from '../../config/asset-kinds.ts';
import { type Check, type Finding, failed, ok, skipped } from './finding.ts';
import { type CheckedMachine, readStart, readText } from './machine.ts';
import { debianArch, NO_CONFIGURATION, placed, type Situation } from './situation.ts';

export const guestKernel: Check = {
  name: 'guest-kernel',
  summary: 'the kernel of the virtual machines',
  decides: 'create',
  run: (situation) => assetFinding(situation, 'kernel'),
};

export const guestImage: Check = {
  name: 'guest-image',
  summary: 'the root file system of the virtual machines: an initrd or an image',
  decides: 'create',
  run: (situation) => assetFinding(situation, situation.configuration?.initrd === undefined ? 'image' : 'initrd'),
};

function assetFinding({ machine, configuration }: Situation, kind: AssetKind): Finding {
  if (!configuration) return skipped(NO_CONFIGURATION);
  if (configuration.remote) return skipped('sandboxes are machines of another host');
  const path = configuration[kind] ?? '';
  const head = readStart(machine, path, 1);
  const advice = `install the guest with this program, or correct "${kind}" in [hypervisor.qemu]`;
  const told = placed(configuration, kind, path);
  if (!head) return failed(`${told} cannot be read`, machine.uid === 0 ? advice : 'ask as root');
  if (head.length === 0) return failed(`${told} is empty`, advice);
  const problem = kindProblem(kind, machine.root + path, machine.arch);
  if (problem !== undefined) return failed(`${told} ${problem}`, advice);
  const { arch, kernelVersion } = manifestBeside(machine, path);
  const own = debianArch(machine.arch);
  if (arch !== undefined && arch !== own) {
    return failed(`${told} is for ${arch}, and this machine is ${own}`, `install the guest for ${own}`);
  }
  return ok(kind === 'kernel' && kernelVersion !== undefined ? `${path}, Linux ${kernelVersion}` : path);
}

/** What is written beside a guest of ours. */
function manifestBeside(machine: CheckedMachine, path: string): { arch?: string; kernelVersion?: string } {
  try {
    const text = readText(machine, `${path.slice(0, path.lastIndexOf('/'))}/manifest.json`) ?? '';
    const { arch, kernelVersion } = JSON.parse(text) as Record<string, unknown>;
    return {
      ...(typeof arch === 'string' ? { arch } : {}),
      ...(typeof kernelVersion === 'string' ? { kernelVersion } : {}),
    };
  } catch {
    return {};
  }
}
