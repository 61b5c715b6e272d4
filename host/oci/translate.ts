/** OCI JSON documents to the agent's protobuf: by the WASM core, by its JavaScript twin where WebAssembly cannot be had. */
import { core } from '../core/core.ts';
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
  return translate(loaded(), 'Spec', json);
}

/**
 * Translates the OCI process of ExecProcessRequest.spec.
 * @returns encoded grpc.Process, the caller's own
 * @throws KataError `invalid_argument`
 */
export function translateProcess(json: Uint8Array): Uint8Array {
  return translate(loaded(), 'Process', json);
}

/**
 * Translates the OCI resources of UpdateTaskRequest.resources.
 * @returns encoded grpc.LinuxResources, the caller's own
 * @throws KataError `invalid_argument`
 */
export function translateResources(json: Uint8Array): Uint8Array {
  return translate(loaded(), 'LinuxResources', json);
}

/**
 * Translates a document with a given instance.
 * @param wasm null: in JavaScript
 * @throws KataError `invalid_argument` where it is no such document
 */
export function translate(wasm: OciExports | null, document: Document, json: Uint8Array): Uint8Array {
  if (!wasm) return translateInJs(document, json);
  try {
    return translateInWasm(wasm, document, json);
  } catch (thrown) {
    if (!(thrown instanceof Fault)) throw thrown;
    // The twin finds the same fault, and knows the keys around it.
    translateInJs(document, json);
    throw new KataError(
      'internal',
      `the WASM core refused a valid document (${thrown.message}); report it with the document`,
    );
  }
}

/** Undefined until the first translation. */
let instance: OciExports | null | undefined;

function loaded(): OciExports | null {
  if (instance === undefined) {
    try {
      instance = core().exports;
    } catch {
      instance = null;
    }
  }
  return instance;
}
