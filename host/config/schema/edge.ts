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
};
