/** Devices and parts of the kernel that sandboxes need. */
import { VSOCK_DAEMON } from '../../agent/vhost-device-vsock.ts';
import { x86Cpu } from './cpu.ts';
import { type Check, type Finding, failed, ok, skipped, warning } from './finding.ts';
import { type CheckedMachine, exists, moduleState, readText, whyNotOpen } from './machine.ts';
import { NO_CONFIGURATION } from './situation.ts';

export const kvmDevice: Check = {
  name: 'accelerator',
  summary: '/dev/kvm opens, and the guest kernel really runs under it',
  decides: 'create',
  run: async ({ machine, configuration, accelerator }) => {
    if (configuration?.remote) return skipped('sandboxes are machines of another host');
    // Why, and what to do, is what the checks of processor and kernel have told.
    if (!exists(machine, '/dev/kvm')) return skipped('TCG: there is no /dev/kvm');
    if (machine.arch === 'x64' && x86Cpu(readText(machine, '/proc/cpuinfo') ?? '').extension === undefined) {
      return skipped('TCG: the processor shows no virtualization');
    }
    const reason = whyNotOpen(machine, '/dev/kvm');
    if (reason !== '' && machine.uid !== 0) return skipped('/dev/kvm is for root to open');
    if (reason !== '')
      return failed(
        `/dev/kvm cannot be opened: ${reason}`,
        'in a container: allow the device; else see "dmesg | grep -i kvm"',
      );
    if (!configuration) return ok('/dev/kvm opens');
    const choice = await accelerator(configuration.qemuPath, configuration.kernel);
    if (choice.accelerator === 'kvm') return ok('KVM: the guest kernel runs under it');
    return warning(
      `TCG: ${choice.reason}; sandboxes start and run slowly`,
      'use a machine, or a kind of cloud machine, whose KVM works; the answer is kept until the next boot',
    );
  },
};

export const tun: Check = {
  name: 'tun',
  summary: '/dev/net/tun, through which a sandbox is on the network',
  decides: 'capable',
  run: ({ machine, configuration }) => {
    if (configuration?.networkModel === 'none') return skipped('no network is configured');
    if (exists(machine, '/dev/net/tun')) {
      const reason = whyNotOpen(machine, '/dev/net/tun');
      // EACCES is nobody's fault but the asker's.
      if (reason === '' || machine.uid !== 0) return ok('/dev/net/tun is there');
      return failed(
        `/dev/net/tun cannot be opened: ${reason}`,
        'in a container: allow the device; else modprobe tun',
        'create',
      );
    }
    const state = moduleState(machine, 'tun', 'CONFIG_TUN');
    if (state === 'available')
      return failed(
        'the module tun is not loaded',
        'modprobe tun; for every boot: echo tun > /etc/modules-load.d/tun.conf',
        'create',
      );
    if (state === 'absent')
      return failed(`the kernel ${machine.kernel} has no tun`, 'install a kernel with CONFIG_TUN');
    return failed(
      '/dev/net/tun does not exist',
      'mkdir -p /dev/net && mknod /dev/net/tun c 10 200; in a container: pass the device',
      'create',
    );
  },
};

/** How a pod's interface is joined to the guest's, and what the kernel needs for that: module, option, and where it cannot be done without. */
const NETWORK_MODULES: Readonly<Record<string, readonly (readonly [name: string, option: string])[]>> = {
  tcfilter: [
    ['sch_ingress', 'CONFIG_NET_SCH_INGRESS'],
    ['cls_u32', 'CONFIG_NET_CLS_U32'],
    ['act_mirred', 'CONFIG_NET_ACT_MIRRED'],
  ],
  macvtap: [['macvtap', 'CONFIG_MACVTAP']],
};

export const network: Check = {
  name: 'network',
  summary: "the kernel's traffic control (or macvtap), which joins a pod's interface to its guest's",
  decides: 'capable',
  run: ({ machine, configuration }) => {
    const model = configuration?.networkModel ?? 'tcfilter';
    const needed = NETWORK_MODULES[model] ?? [];
    if (needed.length === 0) return skipped('no network is configured');
    return modules(machine, model, needed);
  },
};

export const portForwarding: Check = {
  name: 'port-forwarding',
  summary: "nf_tables, by which kubectl port-forward reaches a guest's ports",
  decides: 'nothing',
  run: ({ machine }) => {
    const finding = modules(machine, 'port-forwarding', [
      ['nf_tables', 'CONFIG_NF_TABLES'],
      ['nft_chain_nat', 'CONFIG_NFT_NAT'],
      ['nft_redir', 'CONFIG_NFT_REDIR'],
    ]);
    return finding.status === 'failed' ? warning(finding.found, finding.advice ?? '') : finding;
  },
};

export const vhostNet: Check = {
  name: 'vhost-net',
  summary: 'vhost_net, which makes the network of guests faster',
  decides: 'nothing',
  run: ({ machine, configuration }) => {
    if (configuration?.networkModel === 'none') return skipped('no network is configured');
    if (exists(machine, '/dev/vhost-net')) return ok('/dev/vhost-net is there');
    const state = moduleState(machine, 'vhost_net', 'CONFIG_VHOST_NET');
    if (state === 'available') {
      return warning(
        'vhost_net is not loaded: QEMU itself moves every packet',
        'modprobe vhost_net; for every boot: echo vhost_net > /etc/modules-load.d/vhost_net.conf',
      );
    }
    return warning(
      'there is no vhost_net: QEMU itself moves every packet',
      'install a kernel with CONFIG_VHOST_NET, or live with it',
    );
  },
};

export const vhostVsock: Check = {
  name: 'vhost-vsock',
  summary: "vhost_vsock, which Kata's own guests need; this project's guest does not",
  decides: 'create',
  run: ({ machine, configuration }) => {
    if (!configuration) return skipped(NO_CONFIGURATION);
    if (configuration.remote) return skipped('sandboxes are machines of another host');
    const transport = configuration.agentTransport || 'auto';
    if (transport === 'virtio-serial' || (transport === 'auto' && configuration.ownGuest)) {
      return skipped('not needed: the guest is reached over virtio-serial');
    }
    if (exists(machine, '/dev/vhost-vsock')) return ok('/dev/vhost-vsock is there');
    if (transport !== 'vsock' && exists(machine, VSOCK_DAEMON)) return ok('vhost-device-vsock takes its place');
    const state = moduleState(machine, 'vhost_vsock', 'CONFIG_VHOST_VSOCK');
    const advice =
      state === 'absent'
        ? 'install a kernel with CONFIG_VHOST_VSOCK, or use the guest of this installation'
        : 'modprobe vhost_vsock; for every boot: echo vhost_vsock > /etc/modules-load.d/vhost_vsock.conf';
    return failed('there is no /dev/vhost-vsock, over which a Kata guest is reached', advice);
  },
};

export const namespaces: Check = {
  name: 'namespaces',
  summary: 'mount and network namespaces, and seccomp, which keep the processes of a sandbox apart',
  decides: 'capable',
  run: ({ machine }) => {
    const missing = ['mnt', 'net'].filter((name) => !exists(machine, `/proc/self/ns/${name}`));
    if (missing.length > 0)
      return failed(
        `the kernel lacks namespaces: ${missing.join(', ')}`,
        'install a usual kernel (CONFIG_NAMESPACES, CONFIG_NET_NS)',
      );
    if (!exists(machine, '/proc/sys/kernel/seccomp')) {
      return failed(
        'the kernel has no seccomp, without which QEMU does not start confined',
        'install a kernel with CONFIG_SECCOMP_FILTER',
      );
    }
    return ok('mnt, net, seccomp');
  },
};

function modules(machine: CheckedMachine, what: string, needed: readonly (readonly [string, string])[]): Finding {
  const states = needed.map(([name, option]) => ({ name, state: moduleState(machine, name, option) }));
  const absent = states.filter(({ state }) => state === 'absent').map(({ name }) => name);
  if (absent.length > 0) {
    const options = needed.filter(([name]) => absent.includes(name)).map(([, option]) => option);
    return failed(
      `${what}: the kernel ${machine.kernel} has no ${absent.join(', ')}`,
      `install a kernel with ${options.join(', ')}`,
    );
  }
  const told = states.map(({ name, state }) => `${name} ${state}`).join(', ');
  // Neither /lib/modules nor the kernel's configuration are there: a container, or a kernel of somebody's own.
  if (states.every(({ state }) => state === 'unknown'))
    return skipped(`${what}: nothing here tells what the kernel has`);
  return ok(`${what}: ${told}`);
}
