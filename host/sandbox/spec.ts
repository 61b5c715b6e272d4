/** What a sandbox has to know of a container's config.json. */
import { closeSync, constants, fstatSync, openSync, readFileSync, readSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { KataError, reasonOf } from '../error.ts';
import { readSpec, type SpecView } from '../oci/rewrite.ts';
import { translateSpec } from '../oci/translate.ts';

/** Largest config.json, bytes: what comes of it has to fit one message to the guest. */
export const MAX_CONFIG_BYTES = 4 * 1024 * 1024;
/** Longest host name the guest is given, characters; Linux holds 64. */
export const MAX_HOSTNAME_LENGTH = 64;
/** Largest resolv.conf that is read for the guest, bytes. */
export const MAX_RESOLV_BYTES = 64 * 1024;

export interface ContainerSpec {
  /** The whole spec, an encoded `grpc.Spec`. */
  readonly encoded: Uint8Array;
  readonly view: SpecView;
  /** Absolute path of `root.path`. */
  readonly rootPath: string;
  readonly hostname: string;
  /** Lines of the resolv.conf that is mounted into the container. */
  readonly dns: readonly string[];
}

/**
 * Reads a bundle's config.json.
 * @param bundle absolute
 * @throws KataError `not_found` when there is none, `invalid_argument` for one that cannot be used
 */
export function readBundle(bundle: string): ContainerSpec {
  const encoded = translateSpec(readConfig(join(bundle, 'config.json')));
  const view = readSpec(encoded);
  return {
    encoded,
    view,
    rootPath: isAbsolute(view.rootPath) ? view.rootPath : join(bundle, view.rootPath),
    hostname: view.hostname.slice(0, MAX_HOSTNAME_LENGTH),
    dns: readDns(view.mounts.find((mount) => mount.destination === '/etc/resolv.conf')?.source),
  };
}

function readConfig(path: string): Uint8Array {
  let json: Uint8Array;
  try {
    json = readFileSync(path);
  } catch (thrown) {
    const code = (thrown as NodeJS.ErrnoException).code === 'ENOENT' ? 'not_found' : 'invalid_argument';
    throw new KataError(code, `cannot read the OCI spec: ${reasonOf(thrown)}`, { cause: thrown });
  }
  if (json.length > MAX_CONFIG_BYTES) {
    throw new KataError(
      'invalid_argument',
      `${path} has ${json.length} bytes; at most ${MAX_CONFIG_BYTES} are allowed`,
    );
  }
  return json;
}

/** A resolv.conf that cannot be read is none: the mount itself reports what is wrong with it. */
function readDns(source: string | undefined): string[] {
  if (!source?.startsWith('/')) return [];
  let fd = -1;
  try {
    fd = openSync(source, constants.O_RDONLY | constants.O_NONBLOCK);
    if (!fstatSync(fd).isFile()) return [];
    const bytes = Buffer.alloc(MAX_RESOLV_BYTES);
    const text = bytes.subarray(0, readSync(fd, bytes, 0, bytes.length, 0)).toString();
    return text.split('\n').filter((line) => line !== '');
  } catch {
    return [];
  } finally {
    if (fd >= 0) closeSync(fd);
  }
}
