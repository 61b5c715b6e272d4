/** Whether the processor can run virtual machines, and the kernel uses it for that. Without, QEMU emulates: slow, but it runs. */
import { type Check, type Finding, failed, ok, skipped, warning } from './finding.ts';
import { type CheckedMachine, exists, moduleState, readText } from './machine.ts';

/** What emulation means for a user. */
const SLOW = 'sandboxes run under emulation (TCG), ten times slower and more';

export const architecture: Check = {
  name: 'architecture',
  summary: 'the processor architecture is one that sandboxes are made for',
  decides: 'capable',
  run: ({ machine: { arch } }) =>
    arch === 'x64' || arch === 'arm64'
      ? ok(arch === 'x64' ? 'x86-64' : 'arm64')
      : failed(
          `this is a program for ${arch}`,
          arch === 'arm'
            ? 'install a 64-bit system (on a Raspberry Pi 3 or later: the 64-bit Raspberry Pi OS)'
            : 'use a machine of x86-64 or arm64',
        ),
};

export const virtualization: Check = {
  name: 'cpu-virtualization',
  summary: 'the processor has virtualization (Intel VT-x, AMD-V, Arm EL2), and it is not hidden',
  decides: 'capable',
  run: ({ machine }) => (machine.arch === 'arm64' ? armVirtualization(machine) : x86Virtualization(machine)),
};

export const kvm: Check = {
  name: 'kvm',
  summary: 'the kernel has KVM',
  decides: 'capable',
  run: ({ machine }) => (machine.arch === 'arm64' ? armKvm(machine) : x86Kvm(machine)),
};

function x86Virtualization(machine: CheckedMachine): Finding {
  const text = readText(machine, '/proc/cpuinfo');
  if (text === undefined) return failed('/proc/cpuinfo cannot be read', 'mount /proc');
  const cpu = x86Cpu(text);
  if (cpu.extension !== undefined) return ok(`${cpu.extension} of ${cpu.model}`);
  if (cpu.nested) {
    return warning(
      `${cpu.model} shows neither vmx nor svm: this machine is virtual itself, and its hypervisor hides them; ${SLOW}`,
      'switch nested virtualization on where this machine is made (kvm_intel or kvm_amd nested=1 and CPU model host), or rent one that has it',
    );
  }
  return warning(
    `${cpu.model} shows neither vmx nor svm; ${SLOW}`,
    "switch virtualization on in the firmware's setup (Intel: VT-x or VMX; AMD: SVM mode)",
  );
}

/** What /proc/cpuinfo of an x86 machine says of its first processor. */
export function x86Cpu(text: string): {
  model: string;
  vendor: string;
  extension: string | undefined;
  nested: boolean;
} {
  const field = (name: string): string => new RegExp(`^${name}\\s*: ?(.*)$`, 'm').exec(text)?.[1]?.trim() ?? '';
  const flags = field('flags').split(' ');
  const extension = flags.includes('vmx') ? 'VT-x (vmx)' : flags.includes('svm') ? 'AMD-V (svm)' : undefined;
  return {
    model: field('model name') || 'the processor',
    vendor: field('vendor_id'),
    extension,
    nested: flags.includes('hypervisor'),
  };
}

function x86Kvm(machine: CheckedMachine): Finding {
  const cpu = x86Cpu(readText(machine, '/proc/cpuinfo') ?? '');
  if (cpu.extension === undefined) return skipped('without virtualization of the processor there is no KVM');
  const [module, option] = cpu.extension.includes('vmx')
    ? ['kvm_intel', 'CONFIG_KVM_INTEL']
    : ['kvm_amd', 'CONFIG_KVM_AMD'];
  const base = moduleState(machine, 'kvm', 'CONFIG_KVM');
  const vendor = moduleState(machine, module, option);
  const nested = readText(machine, `/sys/module/${module}/parameters/nested`)?.trim();
  const inside =
    nested === undefined ? '' : `; virtual machines within it: ${nested === 'Y' || nested === '1' ? 'yes' : 'no'}`;
  if (exists(machine, '/dev/kvm')) return ok(`kvm ${base}, ${module} ${vendor}${inside}`);
  if (vendor === 'available') {
    return warning(
      `${module} is not loaded; ${SLOW}`,
      `modprobe ${module}; for every boot: echo ${module} > /etc/modules-load.d/kvm.conf; if it says "not supported", switch virtualization on in the firmware's setup`,
    );
  }
  if (vendor === 'absent') {
    return warning(
      `the kernel ${machine.kernel} has no ${module}; ${SLOW}`,
      'install a kernel with KVM (Debian: linux-image-amd64)',
    );
  }
  return warning(
    `${module} is ${vendor}, but there is no /dev/kvm; ${SLOW}`,
    `see "dmesg | grep -i kvm": mostly the firmware has virtualization locked; in a container, pass /dev/kvm to it`,
  );
}

/**
 * Arm: the processor's virtualization can be used where the kernel was started at exception level 2, once called "Hyp mode".
 * Neither /proc/cpuinfo nor /proc/device-tree tell it; the kernel's log does as long as it reaches back to the boot.
 */
async function armVirtualization(machine: CheckedMachine): Promise<Finding> {
  const model = armModel(machine);
  const on = model === '' ? '' : ` of ${model}`;
  // KVM makes its device only where it found EL2.
  if (exists(machine, '/dev/kvm')) return ok(`EL2 (Hyp mode)${on}: the kernel has made /dev/kvm`);
  const { text } = await machine.run('dmesg', []);
  const level = /All CPU\(s\) started (?:at (EL[12])|in (HYP|SVC) mode)/.exec(text);
  const started = level?.[1] ?? (level?.[2] === 'HYP' ? 'EL2' : level?.[2] === 'SVC' ? 'EL1' : undefined);
  if (started === 'EL2') return ok(`EL2 (Hyp mode)${on}: the kernel was started there`);
  if (started === 'EL1') {
    return warning(`the kernel was started at EL1, where there is no virtualization${on}; ${SLOW}`, armAdvice(model));
  }
  return warning(
    `there is no /dev/kvm${on}, and the kernel's log does not say whether it was started at EL2; ${SLOW}`,
    armAdvice(model),
  );
}

function armAdvice(model: string): string {
  if (/Raspberry Pi/.test(model)) {
    return (
      'use the 64-bit Raspberry Pi OS with its own firmware and kernel (config.txt: arm_64bit=1, and neither kernel_old nor an armstub of your own), ' +
      'then look at "dmesg | grep EL2"'
    );
  }
  return 'have the firmware start the kernel at EL2 (U-Boot and TF-A: no hypervisor in between); a virtual machine needs nested virtualization (EL2) from its host';
}

function armKvm(machine: CheckedMachine): Finding {
  // Built in on every usual arm64 kernel: there is no module to be loaded.
  if (exists(machine, '/dev/kvm')) return ok('built into the kernel');
  if (moduleState(machine, 'kvm', 'CONFIG_KVM') === 'absent') {
    return warning(
      `the kernel ${machine.kernel} is built without KVM; ${SLOW}`,
      'install a kernel with CONFIG_KVM=y (Debian and Raspberry Pi OS, 64 bit, have it)',
    );
  }
  return warning(`there is no /dev/kvm; ${SLOW}`, 'see cpu-virtualization; in a container, pass /dev/kvm to it');
}

/** The board's name as its device tree has it; empty: none. */
export function armModel(machine: CheckedMachine): string {
  return (readText(machine, '/proc/device-tree/model') ?? '').replaceAll('\0', '').trim();
}
