/** Every way to translate: both builds of the WASM core, fresh from their sources, and the JavaScript twin. */
import { deepStrictEqual } from 'node:assert';
import { instantiate } from '../../../host/core/core.ts';
import { type Document, Fault } from '../../../host/oci/fault.ts';
import { translateOrFault } from '../../../host/oci/translate-js.ts';
import { type OciExports, translateInWasm } from '../../../host/oci/translate-wasm.ts';

import { built } from '../core/builds.ts';

export type Translate = (document: Document, json: Uint8Array) => Uint8Array;

export interface Build {
  readonly name: string;
  /** Null: in JavaScript. */
  readonly wasm: OciExports | null;
  readonly translate: Translate;
}

export const BUILDS: readonly Build[] = [
  ofWasm('debug', built.debug),
  ofWasm('release', built.release),
  { name: 'JavaScript', wasm: null, translate: translateOrFault },
];

/** Every build finds the fault, at the same byte. */
export function refuses(json: string | Uint8Array, code: number, offset: number, document: Document = 'Spec'): void {
  const bytes = typeof json === 'string' ? Buffer.from(json) : json;
  for (const build of BUILDS) {
    const fault = faultOf(build.translate, document, bytes);
    deepStrictEqual([fault?.code, fault?.offset], [code, offset], `${build.name}: ${bytes.subarray(0, 100)}`);
  }
}

/** The fault, or undefined where the document is translated; other exceptions pass. */
export function faultOf(translate: Translate, document: Document, json: Uint8Array): Fault | undefined {
  try {
    translate(document, json);
    return undefined;
  } catch (thrown) {
    if (thrown instanceof Fault) return thrown;
    throw thrown;
  }
}

function ofWasm(name: string, bytes: Uint8Array): Build {
  const wasm = instantiate(bytes).exports;
  return { name, wasm, translate: (document, json) => translateInWasm(wasm, document, json) };
}
