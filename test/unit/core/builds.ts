/** The WASM core built from assembly/ as it is now: once a process, shared by all tests. */

export interface Built {
  readonly debug: Uint8Array;
  readonly debugText: string;
  readonly release: Uint8Array;
}

interface Build {
  compile(): Promise<Built>;
  embed(bytes: Uint8Array): string;
}

const { compile, embed } = (await import(new URL('../../../setup/build-wasm.mjs', import.meta.url).href)) as Build;

export const built: Built = await compile();
export { embed };
