/** `-info` and `-version`: what this runtime is. */
import { encode } from '../proto/codec.ts';
import { RuntimeInfo } from '../proto/messages/containerd_types.ts';
import { features } from './features.ts';

export const RUNTIME_NAME = 'io.containerd.kata.v2';
export const PROGRAM_NAME = 'containerd-shim-kata-v2';

/** What the build knows of itself. */
export interface Version {
  readonly version: string;
  /** Commit; empty: unknown. */
  readonly revision: string;
}

/** @returns an encoded RuntimeInfo */
export function runtimeInfo(version: Version): Uint8Array {
  return encode(RuntimeInfo, { name: RUNTIME_NAME, version, features: features() });
}

/** One line, without its end. */
export function versionLine({ version, revision }: Version): string {
  return `${PROGRAM_NAME}: kata-edge ${version}${revision ? ` (commit ${revision})` : ''}`;
}
