/** What is compared: a module each, bundled alone as the shim is, that exports `translate(json): bytes`. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { ROOT } from '../../setup/paths.ts';
import { generateStatic } from './static.ts';

export interface Variant {
  readonly name: string;
  readonly source: string;
}

/** The WASM core with its copies in and out, and no more: what it takes to translate, like the controls. */
export const CORE: Variant = {
  name: 'core',
  source: `
    import { core } from './host/core/core.ts';
    import { translateInWasm } from './host/oci/translate-wasm.ts';
    export const translate = (json) => translateInWasm(core().exports, 'Spec', json);
  `,
};
/** As the shim has it: with the twin for where WebAssembly cannot be had, and words for every fault. */
export const OURS: Variant = {
  name: 'wasm',
  source: `export { translateSpec as translate } from './host/oci/translate.ts';`,
};
/** The core's twin: where WebAssembly cannot be had. */
export const TWIN: Variant = {
  name: 'twin',
  source: `
    import { translateOrFault } from './host/oci/translate-js.ts';
    export const translate = (json) => translateOrFault('Spec', json);
  `,
};
export const HANDMADE: Variant = {
  name: 'handmade',
  source: `
    import { encodeSpec } from './bench/oci/encode.ts';
    export const translate = (json) => encodeSpec(JSON.parse(json.toString()));
  `,
};
export const STATIC: Variant = {
  name: 'static',
  source: `
    import { grpc } from 'oci-static';
    export const translate = (json) => grpc.Spec.encode(JSON.parse(json.toString())).finish();
  `,
};

/**
 * Bundles each variant to `<name>.cjs`.
 * @param directory where to
 */
export async function bundleVariants(directory: string, variants: readonly Variant[]): Promise<void> {
  const generated = await generateStatic(directory);
  for (const { name, source } of variants) {
    const { outputFiles } = await build({
      stdin: { contents: source, resolveDir: ROOT, loader: 'ts' },
      alias: { 'oci-static': generated },
      nodePaths: [join(ROOT, 'node_modules')],
      bundle: true,
      platform: 'node',
      target: 'node20',
      format: 'cjs',
      minify: true,
      legalComments: 'none',
      write: false,
      logLevel: 'warning',
    });
    writeFileSync(join(directory, `${name}.cjs`), outputFiles[0]?.contents ?? '');
  }
}
