/** `[runtime] enable_pprof`: whether a shim shows its inside. */
import type { Values } from './values.ts';

export interface ManagementSettings {
  /** Whether the management socket has `/debug/`. */
  readonly enablePprof: boolean;
}

export function managementOf(values: Values): ManagementSettings {
  return { enablePprof: values.boolean('runtime', 'enable_pprof', false) };
}
