/** What a remote hypervisor is told of the machine it is to make: Kata's names, every one of them, empty where there is nothing. */
import type { RemoteVm, VmConfig } from '../hypervisor.ts';

const HYPERVISOR = 'io.katacontainers.config.hypervisor.';

/** Annotations of CreateVM. */
export function machineAnnotations(
  config: Pick<VmConfig, 'machineType' | 'image' | 'vcpus' | 'memoryMib'>,
  remote: RemoteVm,
): Record<string, string> {
  return {
    'io.kubernetes.cri.sandbox-name': remote.podName,
    'io.kubernetes.cri.sandbox-namespace': remote.podNamespace,
    [`${HYPERVISOR}machine_type`]: config.machineType,
    [`${HYPERVISOR}image`]: config.image ?? '',
    [`${HYPERVISOR}default_vcpus`]: String(config.vcpus),
    [`${HYPERVISOR}default_memory`]: String(config.memoryMib),
    [`${HYPERVISOR}cc_init_data`]: remote.initdata,
    [`${HYPERVISOR}default_gpus`]: String(remote.gpus),
    [`${HYPERVISOR}default_gpu_model`]: remote.gpuModel,
  };
}
