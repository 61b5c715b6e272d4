/** The guest's kernel and root file system: there, readable, and of this machine's architecture. */
import { type Check, type Finding, failed, ok, skipped } from './finding.ts';
import { type CheckedMachine, readStart, readText } from './machine.ts';
import { debianArch, type Situation } from './situation.ts';

/** As far as the magic numbers below reach, bytes. */
const HEAD_BYTES = 4096;
/** `e_machine` at byte 18 of an ELF file, elf.h. */
const ELF_MACHINES: Readonly<Record<number, string>> = {
  3: 'i386',
  21: 'ppc64',
  22: 's390x',
  40: 'arm',
  62: 'amd64',
  183: 'arm64',
  243: 'riscv64',
};

export const guestKernel: Check = {
  name: 'guest-kernel',
  summary: 'the kernel of the virtual machines',
  decides: 'create',
  run: (situation) => asset(situation, 'kernel', (path, head) => kernelFinding(situation, path, head)),
};

export const guestImage: Check = {
  name: 'guest-image',
  summary: 'the root file system of the virtual machines: an initrd or an image',
  decides: 'create',
  run: (situation) => {
    const key = situation.configuration?.initrd === undefined ? 'image' : 'initrd';
    return asset(situation, key, (path, head) => imageFinding(situation, key, path, head));
  },
};

function asset(
  { machine, configuration }: Situation,
  key: 'kernel' | 'initrd' | 'image',
  judge: (path: string, head: Buffer) => Finding,
): Finding {
  if (configuration?.remote) return skipped('sandboxes are machines of another host');
  // Which asset is missing is what the configuration's own check has said.
  const path = configuration?.[key];
  if (path === undefined) return skipped('not known without a usable configuration');
  const head = readStart(machine, path, HEAD_BYTES);
  if (!head)
    return failed(`${path} cannot be read`, machine.uid === 0 ? 'correct the path, or its permissions' : 'ask as root');
  return judge(path, head);
}

function kernelFinding({ machine }: Situation, path: string, head: Buffer): Finding {
  const arch = kernelArch(head);
  const own = debianArch(machine.arch);
  if (arch === own) return ok(`${path}${versionBeside(machine, path)}`);
  if (arch !== undefined)
    return failed(`${path} is a kernel for ${arch}; this machine is ${own}`, `name one for ${own}`);
  const what = head.length === 0 ? 'is empty' : 'is no kernel';
  const kind = own === 'amd64' ? 'vmlinux or bzImage' : 'Image';
  return failed(`${path} ${what}`, `name a kernel: ${kind}, not compressed by gzip`);
}

/** undefined: no kernel that QEMU would start. */
export function kernelArch(head: Buffer): string | undefined {
  if (head.subarray(0, 4).toString('latin1') === '\x7fELF' && head.length >= 20) {
    const machine = head[5] === 2 ? head.readUInt16BE(18) : head.readUInt16LE(18);
    return ELF_MACHINES[machine] ?? `ELF machine ${machine}`;
  }
  // Documentation/arch/x86/boot.rst; Documentation/arch/arm64/booting.rst
  if (head.subarray(0x202, 0x206).toString('latin1') === 'HdrS') return 'amd64';
  if (head.subarray(56, 60).toString('latin1') === 'ARM\x64') return 'arm64';
  return undefined;
}

function imageFinding({ machine }: Situation, key: 'initrd' | 'image', path: string, head: Buffer): Finding {
  if (head.length === 0) return failed(`${path} is empty`, `name an ${key}`);
  if (key === 'initrd' && !isInitrd(head))
    return failed(`${path} is no initrd: neither cpio nor compressed`, 'correct the path');
  // The boot sector of a disk ends so; both MBR and GPT have one.
  if (key === 'image' && (head[510] !== 0x55 || head[511] !== 0xaa)) {
    return failed(
      `${path} is no disk image with a partition table`,
      'name a Kata guest image (raw, with one partition)',
    );
  }
  const arch = manifestOf(machine, path).arch;
  const own = debianArch(machine.arch);
  if (arch !== undefined && arch !== own)
    return failed(`${path} is for ${arch}; this machine is ${own}`, `name one for ${own}`);
  return ok(path);
}

function isInitrd(head: Buffer): boolean {
  const magic = head.toString('latin1', 0, 6);
  const packed = [
    '\x1f\x8b',
    '\x28\xb5\x2f\xfd',
    '\xfd7zXZ',
    'BZh',
    '\x04\x22\x4d\x18',
    '\x02\x21\x4c\x18',
    '\x89LZO',
    '\x5d\0\0',
  ];
  return magic === '070701' || magic === '070702' || packed.some((start) => magic.startsWith(start));
}

function versionBeside(machine: CheckedMachine, path: string): string {
  const { kernelVersion } = manifestOf(machine, path);
  return kernelVersion === undefined ? '' : `, Linux ${kernelVersion}`;
}

/** What the manifest beside a guest of ours says. */
export function manifestOf(machine: CheckedMachine, path: string): { arch?: string; kernelVersion?: string } {
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
