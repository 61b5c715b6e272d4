/** OCI JSON documents to the agent's protobuf. */
import { translateInJs } from './translate-js.ts';

/**
 * Translates config.json.
 * @param json the file's bytes, at most 8 MiB
 * @returns encoded grpc.Spec, the caller's own
 * @throws KataError `invalid_argument` with line, column and key where it is no OCI spec
 */
export function translateSpec(json: Uint8Array): Uint8Array {
  return translateInJs('Spec', json);
}

/**
 * Translates the OCI process of ExecProcessRequest.spec.
 * @returns encoded grpc.Process, the caller's own
 * @throws KataError `invalid_argument`
 */
export function translateProcess(json: Uint8Array): Uint8Array {
  return translateInJs('Process', json);
}

/**
 * Translates the OCI resources of UpdateTaskRequest.resources.
 * @returns encoded grpc.LinuxResources, the caller's own
 * @throws KataError `invalid_argument`
 */
export function translateResources(json: Uint8Array): Uint8Array {
  return translateInJs('LinuxResources', json);
}
