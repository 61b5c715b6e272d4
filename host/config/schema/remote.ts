/**
 * `[hypervisor.remote]`. Kata has one set of keys for all hypervisors; those that speak of QEMU or of files of this host mean
 * nothing to a peer that makes machines elsewhere.
 */
import type { Key, TableSchema } from './key.ts';
import { QEMU_DEVICES } from './qemu-devices.ts';
import { QEMU_GUEST } from './qemu-guest.ts';
import { QEMU_PROTECTION } from './qemu-protection.ts';
import { QEMU_SHARING } from './qemu-sharing.ts';
import { QEMU_SIZES } from './qemu-sizes.ts';

const PEER = 'the peer makes the machines, and is not told';

const USED: TableSchema = {
  remote_hypervisor_socket: {
    type: 'string',
    path: true,
    default: '"/run/peerpod/hypervisor.sock"',
    effect: 'used',
    doc: 'The socket of the service that has machines made.',
  },
  remote_hypervisor_timeout: {
    type: 'unsigned',
    unit: 's',
    default: '600',
    effect: 'used',
    doc: 'How long the making of a machine may take.',
  },
  hypervisor_socket: {
    type: 'string',
    path: true,
    default: '""',
    effect: 'ignored',
    why: 'the key is `remote_hypervisor_socket`',
    doc: 'The name of `remote_hypervisor_socket` inside of runtime-rs.',
  },
  hypervisor_timeout: {
    type: 'unsigned',
    unit: 's',
    default: '0',
    effect: 'ignored',
    why: 'the key is `remote_hypervisor_timeout`',
    doc: 'The name of `remote_hypervisor_timeout` inside of runtime-rs.',
  },
  machine_type: { type: 'string', default: '""', effect: 'used', doc: 'Kind of machine, told to the peer.' },
  image: { type: 'string', default: '""', effect: 'used', doc: 'Name of an image, told to the peer.' },
  default_gpus: { type: 'unsigned', default: '0', effect: 'used', doc: 'GPUs of a machine, told to the peer.' },
  default_gpu_model: { type: 'string', default: '""', effect: 'used', doc: 'Kind of GPU, told to the peer.' },
  initdata: {
    type: 'string',
    default: '""',
    effect: 'used',
    doc: 'Initialization data of the guest, base64, told to the peer as it is; mostly set by annotation.',
  },
  default_vcpus: same(QEMU_SIZES.default_vcpus),
  default_maxvcpus: same(QEMU_SIZES.default_maxvcpus),
  default_memory: { ...same(QEMU_SIZES.default_memory), default: '2048' },
  default_maxmemory: same(QEMU_SIZES.default_maxmemory),
  overhead_vcpus: same(QEMU_SIZES.overhead_vcpus),
  overhead_memory: same(QEMU_SIZES.overhead_memory),
  shared_fs: {
    type: 'string',
    choices: ['none'],
    default: '"none"',
    effect: 'used',
    doc: 'Nothing of this host is shared with a machine elsewhere.',
  },
  enable_annotations: same(QEMU_GUEST.enable_annotations),
  enable_debug: same(QEMU_PROTECTION.enable_debug),
  guest_hook_path: same(QEMU_GUEST.guest_hook_path),
};

export const REMOTE_TABLE: TableSchema = {
  ...Object.fromEntries(
    Object.entries({ ...QEMU_GUEST, ...QEMU_SIZES, ...QEMU_SHARING, ...QEMU_DEVICES, ...QEMU_PROTECTION }).map(
      ([key, entry]) => [key, unused(entry)],
    ),
  ),
  ...USED,
};

/** As of QEMU; what Kata ships for QEMU says nothing here. */
function same(entry: Key | undefined): Key {
  const { go, rs, alias, ...rest } = entry as Key;
  return rest;
}

function unused(entry: Key): Key {
  const rest = same(entry);
  return rest.effect === 'ignored' || rest.refused ? rest : { ...rest, effect: 'ignored', why: PEER };
}
