/** Where things are in the checkout, as absolute paths. */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
export const BUILD = join(ROOT, 'build');
/** Downloads, kept between builds. */
export const CACHE = join(BUILD, 'cache');
/** .deb files and what fetches them. */
export const DEBIAN_CACHE = join(CACHE, 'debs');
/** Unpacked containerds and runc. */
export const CONTAINERD = join(BUILD, 'containerd');
/** Unpacked Go and its libraries, and the cache of what it compiles. */
export const GO = join(BUILD, 'go');
export const GO_CACHE = join(CACHE, 'go');
/** Unpacked crates, and what cargo makes of them. */
export const RUST = join(BUILD, 'rust');
export const RUST_CACHE = join(CACHE, 'rust');
/** OCI archives. */
export const IMAGES = join(CACHE, 'image');
/** The shim that an installation links to. */
export const SHIM = join(BUILD, 'bin', 'containerd-shim-kata-v2');
