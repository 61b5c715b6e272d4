import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  BRIDGE_SLOTS,
  FIRST_DEVICE_FD,
  hotplugSlots,
  kernelCommandLine,
  qemuArguments,
  ROOT_PORTS,
  TRANSLATION_CACHE_MIB,
} from '../../../host/hypervisor/qemu/command-line.ts';
import { vmConfig } from './vm-config.ts';

const NO_DEVICES = { arguments: [], fds: [] };

/** Values of an option, in order. */
function valuesOf(args: readonly string[], option: string): string[] {
  return args.flatMap((argument, index) => (argument === option ? [args[index + 1] ?? ''] : []));
}

const line = suite('QEMU command line');

for (const [what, changes, accelerator, machine, cpu] of [
  ['amd64 without KVM', {}, 'tcg', 'q35,vmport=off,smbus=off,sata=off,memory-backend=mem', 'max,-erms,-fsrm'],
  [
    'amd64 with KVM',
    { cpuFeatures: 'pmu=off' },
    'kvm',
    'q35,vmport=off,smbus=off,sata=off,memory-backend=mem',
    'host,pmu=off',
  ],
  [
    'amd64 with machine properties of the operator',
    { machineAccelerators: 'kernel_irqchip=split' },
    'kvm',
    'q35,vmport=off,smbus=off,sata=off,memory-backend=mem,kernel_irqchip=split',
    'host',
  ],
  [
    'microvm',
    { machineType: 'microvm' },
    'kvm',
    'microvm,acpi=on,pcie=on,rtc=on,isa-serial=on,memory-backend=mem',
    'host',
  ],
  ['arm64 without KVM', { machineType: 'virt' }, 'tcg', 'virt,gic-version=3,memory-backend=mem', 'cortex-a57'],
  ['arm64 with KVM', { machineType: 'virt' }, 'kvm', 'virt,gic-version=host,memory-backend=mem', 'host'],
] as const) {
  line(`machine and CPU: ${what}`, () => {
    const args = qemuArguments(vmConfig(changes), NO_DEVICES, accelerator);
    assert.equal(valuesOf(args, '-machine'), [machine]);
    assert.equal(valuesOf(args, '-cpu'), [cpu]);
    const accel = accelerator === 'tcg' ? `tcg,tb-size=${TRANSLATION_CACHE_MIB}` : 'kvm';
    assert.equal(valuesOf(args, '-accel'), [accel]);
  });
}

line('the timer of an amd64 guest is not checked at boot: under load the check panics', () => {
  for (const [machineType, checked] of [
    ['q35', false],
    ['microvm', false],
    ['virt', true],
  ] as const) {
    const words = kernelCommandLine(vmConfig({ machineType }), 'kvm').split(' ');
    assert.is(words.includes('no_timer_check'), !checked, machineType);
  }
});

line('memory is shared and has its size in both places', () => {
  const args = qemuArguments(vmConfig({ memoryMib: 384 }), NO_DEVICES, 'tcg');
  assert.equal(valuesOf(args, '-m'), ['size=384M']);
  assert.ok(valuesOf(args, '-object').includes('memory-backend-memfd,id=mem,size=384M,share=on'));
});

line('nothing comes from defaults, files of the host or a display, and QEMU confines itself', () => {
  const args = qemuArguments(vmConfig(), NO_DEVICES, 'tcg');
  for (const flag of ['-nodefaults', '-no-user-config', '-no-reboot']) assert.ok(args.includes(flag), flag);
  assert.equal(valuesOf(args, '-display'), ['none']);
  assert.equal(valuesOf(args, '-sandbox'), ['on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny']);
  assert.equal(valuesOf(qemuArguments(vmConfig({ seccompSandbox: 'on' }), NO_DEVICES, 'tcg'), '-sandbox'), ['on']);
});

line('a q35 has one bridge for hot-plug, a virt root ports; guest paths follow from their slots', () => {
  const hotplug = (machineType: string): string[] =>
    valuesOf(qemuArguments(vmConfig({ machineType }), NO_DEVICES, 'kvm'), '-device');
  assert.equal(hotplug('q35'), [
    'pci-bridge,id=hotplug,bus=pcie.0,addr=0x10,chassis_nr=1,shpc=off,io-reserve=4k,mem-reserve=1m,pref64-reserve=4m',
  ]);
  assert.equal(hotplugSlots('q35')[30], { bus: 'hotplug', addr: '0x1f', path: '10/1f' });
  assert.is(hotplugSlots('q35').length, BRIDGE_SLOTS);
  assert.is(hotplug('virt').length, ROOT_PORTS);
  assert.is(hotplug('virt')[1], 'pcie-root-port,id=rp1,bus=pcie.0,addr=0x11,chassis=2,slot=2');
  assert.equal(hotplugSlots('virt')[1], { bus: 'rp1', addr: '0x0', path: '11/00' });
  assert.equal(hotplug('microvm'), []);
  assert.equal(hotplugSlots('microvm'), []);
});

line('vCPUs beyond those at boot are present but asleep', () => {
  const config = vmConfig({ vcpus: 2, maxVcpus: 4 });
  assert.equal(valuesOf(qemuArguments(config, NO_DEVICES, 'tcg'), '-smp'), ['4']);
  assert.match(kernelCommandLine(config, 'tcg'), / maxcpus=2( |$)/);
  assert.not.match(kernelCommandLine(vmConfig({ vcpus: 2, maxVcpus: 2 }), 'tcg'), /maxcpus/);
});

line('an initrd boots without a disk, an image as read-only virtio-blk and never as pmem', () => {
  const initrd = qemuArguments(vmConfig(), NO_DEVICES, 'tcg');
  assert.equal(valuesOf(initrd, '-initrd'), ['/guest/initramfs']);
  assert.equal(valuesOf(initrd, '-blockdev'), []);
  assert.not.match(kernelCommandLine(vmConfig(), 'tcg'), /root=/);

  const config = vmConfig({ initrd: undefined, image: '/guest/kata,1.img' });
  const image = qemuArguments(config, NO_DEVICES, 'kvm');
  const [blockdev = ''] = valuesOf(image, '-blockdev');
  assert.equal(JSON.parse(blockdev), {
    driver: 'raw',
    'node-name': 'image',
    'read-only': true,
    file: { driver: 'file', filename: '/guest/kata,1.img', 'read-only': true },
  });
  assert.not.match(image.join(' '), /nvdimm|pmem/);
  assert.match(
    kernelCommandLine(config, 'kvm'),
    /root=\/dev\/vda1 rootflags=data=ordered,errors=remount-ro ro rootfstype=ext4/,
  );
  assert.match(kernelCommandLine({ ...config, rootfsType: 'erofs' }, 'kvm'), /root=\/dev\/vda1 ro rootfstype=erofs/);
});

line("Kata's guest speaks on hvc0, ours on the serial line", () => {
  assert.match(kernelCommandLine(vmConfig({ guest: 'kata' }), 'kvm'), /^console=ttyS0 console=hvc0 /);
  assert.match(kernelCommandLine(vmConfig(), 'kvm'), /^console=ttyS0 quiet /);
  assert.match(kernelCommandLine(vmConfig({ machineType: 'virt' }), 'kvm'), /^console=ttyAMA0 /);
  const kata = valuesOf(qemuArguments(vmConfig({ guest: 'kata' }), NO_DEVICES, 'kvm'), '-device');
  assert.ok(kata.some((device) => device.startsWith('virtconsole')));
});

line("the operator's kernel parameters come last, and nothing names the pod", () => {
  const config = vmConfig({ sandboxId: 'pod-1234', kernelParams: 'agent.log=debug quiet' });
  assert.ok(kernelCommandLine(config, 'tcg').endsWith(' agent.log=debug quiet'));
  assert.not.match(kernelCommandLine(config, 'tcg'), /pod-1234/);
  assert.match(kernelCommandLine(vmConfig({ debug: true }), 'tcg'), / debug /);
});

line("the transport's descriptors get the numbers QEMU sees", () => {
  const devices = { arguments: ['-device', 'x,vhostfd={{fd0}},other={{fd1}}'], fds: [20, 21] };
  const args = qemuArguments(vmConfig(), devices, 'tcg');
  assert.equal(args.slice(-2), ['-device', `x,vhostfd=${FIRST_DEVICE_FD},other=${FIRST_DEVICE_FD + 1}`]);
  assert.throws(() => qemuArguments(vmConfig(), { arguments: ['{{fd2}}'], fds: [20] }, 'tcg'), /not given/);
});

line('a comma in a name does not become an option', () => {
  const args = qemuArguments(vmConfig({ sandboxId: 'a,debug-threads=on' }), NO_DEVICES, 'tcg');
  assert.equal(valuesOf(args, '-name'), ['sandbox-a,,debug-threads=on,debug-threads=on']);
});

line('machines that cannot be are refused with the key to change', () => {
  for (const [machineType, text] of [
    ['pc', /machine_type: "pc" is not supported; use q35/],
    ['__proto__', /not supported/],
    ['microvm', /"microvm" needs KVM.*use q35/],
  ] as const) {
    assert.throws(
      () => qemuArguments(vmConfig({ machineType }), NO_DEVICES, 'tcg'),
      (error: { code: string; message: string }) => error.code === 'failed_precondition' && text.test(error.message),
    );
  }
});

line.run();
