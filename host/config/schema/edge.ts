/** `[edge]`: keys of ours, which Kata does not have. */
import type { TableSchema } from './key.ts';

export const EDGE: TableSchema = {
  agent_transport: {
    type: 'string',
    choices: ['auto', 'virtio-serial', 'vsock', 'hybrid-vsock'],
    default: '"auto"',
    effect: 'used',
    doc: 'How the agent is reached: virtio-serial for our own guest, vsock for one of Kata, unless it is said here.',
  },
  agent: {
    type: 'string',
    choices: ['kata', 'own'],
    default: '"kata"',
    effect: 'used',
    doc: 'Whose agent the machines of a remote hypervisor run.',
  },
  console_log: {
    type: 'boolean',
    default: "the hypervisor's enable_debug",
    effect: 'used',
    doc: "Whether the lines of the guest's console go to the shim's log.",
  },
  log_targets: {
    type: 'strings',
    choices: ['fifo', 'journald', 'syslog'],
    default: '["fifo"]',
    effect: 'used',
    doc: "Where the shim's log goes: the fifo that containerd reads, the journal (`journalctl -t kata`), syslog.",
  },
  otlp_endpoint: {
    type: 'string',
    default: '"http://127.0.0.1:4318"',
    effect: 'used',
    doc: 'Where traces are sent by OTLP over HTTP when `[runtime] enable_tracing` is set: the URL of a collector.',
  },
  valid_asset_paths: {
    type: 'strings',
    default: '[]',
    effect: 'used',
    doc: 'Patterns of the files that a pod may name as its kernel, image, initrd or firmware, where such an annotation is enabled; Kata has no list for them.',
  },
  valid_guest_hook_paths: {
    type: 'strings',
    default: '[]',
    effect: 'used',
    doc: 'Patterns of the directories of the guest that a pod may name as `guest_hook_path`, where that annotation is enabled.',
  },
};
