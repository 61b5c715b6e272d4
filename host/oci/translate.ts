/** OCI JSON documents to the agent's protobuf: by the WASM core, by its JavaScript twin where WebAssembly cannot be had. */
import { type Core, core } from '../core/core.ts';
import { Traps } from '../core/trap.ts';
import { KataError } from '../error.ts';
import { type Document, Fault } from './fault.ts';
import { translateInJs } from './translate-js.ts';
import { type OciExports, translateInWasm } from './translate-wasm.ts';

/**
 * Translates config.json.
 * @param json the file's bytes, at most 8 MiB
 * @returns encoded grpc.Spec, the caller's own
 * @throws KataError `invalid_argument` with line, column and key where it is no OCI spec
 */
export function translateSpec(json: Uint8Array): Uint8Array {
  return translated('Spec', json);
}

/**
 * Translates the OCI process of ExecProcessRequest.spec.
 * @returns encoded grpc.Process, the caller's own
 * @throws KataError `invalid_argument`
 */
export function translateProcess(json: Uint8Array): Uint8Array {
  return translated('Process', json);
}

/**
 * Translates the OCI resources of UpdateTaskRequest.resources.
 * @returns encoded grpc.LinuxResources, the caller's own
 * @throws KataError `invalid_argument`
 */
export function translateResources(json: Uint8Array): Uint8Array {
  return translated('LinuxResources', json);
}

/**
 * Translates a document with a given instance; in JavaScript once that has trapped.
 * @param wasm null: in JavaScript
 * @param traps the instance's
 * @throws KataError `invalid_argument` where it is no such document
 */
export function translate(
  wasm: OciExports | null,
  document: Document,
  json: Uint8Array,
  traps: Traps = new Traps(),
): Uint8Array {
  if (!wasm || traps.first) return translateInJs(document, json);
  try {
    return translateInWasm(wasm, document, json);
  } catch (thrown) {
    if (!(thrown instanceof Fault)) {
      traps.note('ociTranslate', thrown);
      return translateInJs(document, json);
    }
    // The twin finds the same fault, and knows the keys around it.
    translateInJs(document, json);
    throw new KataError(
      'internal',
      `the WASM core refused a valid document (${thrown.message}); report it with the document`,
    );
  }
}

/** Null where WebAssembly cannot be had; undefined until the first translation. */
let instance: Core | null | undefined;

function translated(document: Document, json: Uint8Array): Uint8Array {
  if (instance === undefined) {
    try {
      instance = core();
    } catch {
      instance = null;
    }
  }
  return translate(instance?.exports ?? null, document, json, instance?.traps);
}
