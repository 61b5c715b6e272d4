/** `[factory]`, and `[hypervisor.qemu.factory]` as runtime-rs places it. */
import type { TableSchema } from './key.ts';

const NO_TEMPLATES = 'every virtual machine is booted; templates are not supported yet';

export const FACTORY: TableSchema = {
  enable_template: {
    type: 'boolean',
    default: 'false',
    rs: 'false',
    effect: 'ignored',
    why: NO_TEMPLATES,
    doc: 'Whether virtual machines start as copies of one that has booted.',
  },
  template_path: {
    type: 'string',
    path: true,
    default: '"/run/vc/vm/template"',
    rs: '"/run/vc/vm/template"',
    effect: 'ignored',
    why: NO_TEMPLATES,
    doc: 'The directory of the template.',
  },
};

export const GO_FACTORY: TableSchema = {
  ...Object.fromEntries(Object.entries(FACTORY).map(([name, { rs, ...key }]) => [name, { ...key, go: key.default }])),
  vm_cache_number: {
    type: 'unsigned',
    default: '0',
    go: '0',
    effect: 'ignored',
    why: 'virtual machines are not booted in advance',
    doc: 'Virtual machines booted in advance.',
  },
  vm_cache_endpoint: {
    type: 'string',
    path: true,
    default: '"/var/run/kata-containers/cache.sock"',
    go: '"/var/run/kata-containers/cache.sock"',
    effect: 'ignored',
    why: 'virtual machines are not booted in advance',
    doc: 'The socket of the server that keeps them.',
  },
};
