/** Sizes that a pod has asked for by annotation, and does not get because its limits decide. */
import type { Ignored } from '../config/annotations.ts';
import type { Configuration } from '../config/configuration.ts';
import { MEMORY_STEP_MIB, type Size } from '../resources/sizing.ts';

/** How annotations are named as what has set a key. */
const SET_BY = 'annotation ';

/** @returns annotations that had no part in a machine's size; without static sizing the defaults always have */
export function unusedSizes(configuration: Configuration, size: Size): Ignored[] {
  const { values, vcpus, maxVcpus, memoryMib, staticSizing } = configuration;
  if (!staticSizing) return [];
  const unused = (key: string, unit: string, has: number, wanted: number): Ignored[] => {
    const by = values.merged.get(values.hypervisor)?.get(key)?.file ?? '';
    if (!by.startsWith(SET_BY) || has === wanted) return [];
    return [{ name: by.slice(SET_BY.length), why: `the pod has a limit, and gets ${has} ${unit} for it` }];
  };
  return [
    ...unused('default_vcpus', 'vCPUs', size.vcpus, Math.min(Math.ceil(vcpus), maxVcpus)),
    ...unused('default_memory', 'MiB', size.memoryMib, Math.ceil(memoryMib / MEMORY_STEP_MIB) * MEMORY_STEP_MIB),
  ];
}
