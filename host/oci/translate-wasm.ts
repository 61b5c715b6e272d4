/** Calls the WASM core's translation (assembly/oci). */

import { OCI_INPUT_BASE, OCI_OUTPUT_BASE, OCI_OUTPUT_BYTES } from '../../assembly/layout.ts';
import { TOO_LARGE } from '../../assembly/oci/errors.ts';
import { MAX_INPUT } from '../../assembly/oci/limits.ts';
import { type Document, Fault } from './fault.ts';
import { OCI_ROOTS } from './names.ts';

/** What of the core's exports the translation needs. */
export interface OciExports {
  readonly memory: { readonly buffer: ArrayBuffer };
  ociTranslate(root: number, input: number, length: number, output: number, capacity: number): number;
  ociError(): number;
  ociErrorOffset(): number;
}

/**
 * Translates a document to protobuf.
 * @returns a copy of the core's output
 * @throws Fault where it is no such document; its path is empty
 */
export function translateInWasm(core: OciExports, document: Document, json: Uint8Array): Uint8Array {
  if (json.length > MAX_INPUT) throw new Fault(TOO_LARGE, MAX_INPUT, []);
  const memory = new Uint8Array(core.memory.buffer);
  memory.set(json, OCI_INPUT_BASE);
  const length = core.ociTranslate(OCI_ROOTS[document], OCI_INPUT_BASE, json.length, OCI_OUTPUT_BASE, OCI_OUTPUT_BYTES);
  if (length < 0) throw new Fault(core.ociError(), core.ociErrorOffset() >>> 0, []);
  return memory.slice(OCI_OUTPUT_BASE, OCI_OUTPUT_BASE + length);
}
