/**
 * The WASM core: everything the host may call. No imports, one fixed memory (its map: layout.ts), no allocation.
 * The bytes it reads may be hostile: every length is checked against what is left, and every loop step consumes input.
 */

export { ociError, ociErrorOffset, ociTranslate } from './oci/translate';
export * from './stdio/output';
export * from './ttrpc/scan';
export * from './ttrpc/write';
