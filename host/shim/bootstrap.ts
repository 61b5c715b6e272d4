/** What containerd says on the stdin of `start`, and the form of the answer that this containerd reads. */
import { fstatSync, readSync } from 'node:fs';
import { decode } from '../proto/codec.ts';
import { BootstrapParams } from '../proto/messages/bootstrap.ts';
import { Any } from '../proto/messages/google.ts';

/** Most that is read from stdin, bytes; containerd's own shims stop here too. */
export const MAX_STDIN_BYTES = 10 * 1024 * 1024;
/** Bytes of one read. */
const READ_BYTES = 64 * 1024;
/** Protocol version of the answer to 2.3 and newer: containerd.task.v3 is served as well as v2. */
const BOOTSTRAP_VERSION = 3;

export interface Bootstrap {
  /** containerd 2.3 and newer: the answer may name a protocol version. */
  readonly params: boolean;
  /** Where containerd wants the socket; undefined: it did not say. */
  readonly socketDirectory: string | undefined;
  /** TTRPC address for events; empty: it did not say. */
  readonly ttrpcAddress: string;
  /** Runtime options of the handler; undefined: it has none. */
  readonly options: Any | undefined;
}

const NOTHING: Bootstrap = { params: false, socketDirectory: undefined, ttrpcAddress: '', options: undefined };
/** Types of options end so, by whatever runtime they are named after. */
const OPTIONS_TYPE = /(^|\.)Options$/;

/**
 * Reads stdin to its end, unless it is a device (a terminal, /dev/null).
 * @returns at most MAX_STDIN_BYTES
 */
export function readStdin(fd = 0): Uint8Array {
  try {
    if (fstatSync(fd).isCharacterDevice()) return new Uint8Array(0);
  } catch {
    return new Uint8Array(0);
  }
  const parts: Buffer[] = [];
  let total = 0;
  while (total < MAX_STDIN_BYTES) {
    const part = Buffer.allocUnsafe(READ_BYTES);
    const count = readSync(fd, part, 0, READ_BYTES, null);
    if (count === 0) break;
    parts.push(part.subarray(0, count));
    total += count;
  }
  return Buffer.concat(parts).subarray(0, MAX_STDIN_BYTES);
}

/**
 * Tells BootstrapParams from the options' Any that older versions send: an Any decodes too (type_url lands in
 * instance_id), so both names must be ours.
 */
export function readBootstrap(stdin: Uint8Array, namespace: string, id: string): Bootstrap {
  if (stdin.length === 0) return NOTHING;
  try {
    const params = decode(BootstrapParams, stdin);
    if (params.instance_id === id && params.namespace === namespace) {
      const options = params.extensions.map(({ value }) => value).find((any) => OPTIONS_TYPE.test(any?.type_url ?? ''));
      return {
        params: true,
        socketDirectory: params.socket_dir,
        ttrpcAddress: params.containerd_ttrpc_address,
        options,
      };
    }
  } catch {
    // No BootstrapParams, then.
  }
  try {
    const options = decode(Any, stdin);
    return { ...NOTHING, options: OPTIONS_TYPE.test(options.type_url) ? options : undefined };
  } catch {
    return NOTHING;
  }
}

/**
 * The text `start` prints. JSON for 2.3 and newer (it reads its binary form, then JSON, then a plain address; a shell
 * cannot hold the binary form); all others get the plain address, which none of them refuses.
 */
export function answer(bootstrap: Bootstrap, address: string): string {
  if (!bootstrap.params) return address;
  return JSON.stringify({ version: BOOTSTRAP_VERSION, address, protocol: 'ttrpc' });
}
