/** Container ids: they name directories and cgroups. */
import { AgentError } from './error.ts';

/** Longest container id: a file name. */
export const MAX_ID_CHARS = 255;
/** Names beside the bundles in the run directory. */
const RESERVED = ['shared', 'sandbox', 'image', 'overlay'];

/**
 * The first character alphanumeric, the rest alphanumeric or `.`, `-`, `_`. A single one will do, as for containerd;
 * the protocol asks for two.
 * @throws AgentError invalid_argument
 */
export function checkContainerId(id: string): void {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(id) && id.length <= MAX_ID_CHARS && !RESERVED.includes(id)) return;
  throw new AgentError('invalid_argument', `invalid container ID ${JSON.stringify(id.slice(0, MAX_ID_CHARS))}`);
}
