/** CPUs of the host that a container is to run on. */
import { decode } from '../proto/codec.ts';
import { LinuxResources, Spec } from '../proto/messages/oci.ts';

/**
 * @param spec an encoded `grpc.Spec`
 * @returns a list as `0-3,8`; empty: any
 */
export function cpusetOf(spec: Uint8Array): string {
  return decode(Spec, spec).Linux?.Resources?.CPU?.Cpus ?? '';
}

/**
 * @param resources an encoded `grpc.LinuxResources`
 * @returns empty: they say nothing of it
 */
export function resourcesCpuset(resources: Uint8Array): string {
  return decode(LinuxResources, resources).CPU?.Cpus ?? '';
}
