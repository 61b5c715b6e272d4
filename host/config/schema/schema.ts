/** Every key of configuration.toml that is known, by table. */
import { AGENT, MEM_AGENT } from './agent.ts';
import { EDGE } from './edge.ts';
import { FACTORY, GO_FACTORY } from './factory.ts';
import type { Key, TableSchema } from './key.ts';
import { QEMU_DEVICES } from './qemu-devices.ts';
import { QEMU_GUEST } from './qemu-guest.ts';
import { QEMU_PROTECTION } from './qemu-protection.ts';
import { QEMU_SHARING } from './qemu-sharing.ts';
import { QEMU_SIZES } from './qemu-sizes.ts';
import { REMOTE_TABLE } from './remote.ts';
import { RUNTIME } from './runtime.ts';

export type { Key, TableSchema, ValueType } from './key.ts';

export const SCHEMA: Readonly<Record<string, TableSchema>> = {
  'hypervisor.qemu': { ...QEMU_GUEST, ...QEMU_SIZES, ...QEMU_SHARING, ...QEMU_DEVICES, ...QEMU_PROTECTION },
  'hypervisor.qemu.factory': FACTORY,
  'hypervisor.remote': REMOTE_TABLE,
  factory: GO_FACTORY,
  'agent.kata': AGENT,
  'agent.kata.mem_agent': MEM_AGENT,
  runtime: RUNTIME,
  edge: EDGE,
};

/** @returns undefined: no such key is known */
export function keyOf(table: string, key: string): Key | undefined {
  const keys = Object.hasOwn(SCHEMA, table) ? SCHEMA[table] : undefined;
  return keys && Object.hasOwn(keys, key) ? keys[key] : undefined;
}
