/** The sandbox that a command speaks of, and requests to it. */
import { accessSync, constants } from 'node:fs';
import { KataError } from '../error.ts';
import { type Answer, type RequestOptions, request } from '../management/client.ts';
import { findSandbox, listSandboxes, type SandboxRecord } from '../sandbox/census.ts';
import { RUNTIME_DIRECTORY } from '../sandbox/identity.ts';
import { escapeText, oneLine } from '../tail.ts';
import type { Call } from './call.ts';
import { UsageError } from './usage-error.ts';

/** Characters of a refusal that an error quotes. */
const QUOTED = 2000;

/**
 * Every sandbox, dead ones too.
 * @throws KataError `permission_denied` for anybody but root, to whom an empty answer would be a lie; `not_found` for a --root that
 *   is not there
 */
export function sandboxes(call: Call): SandboxRecord[] {
  checkAccess(call);
  return listSandboxes(call.root);
}

/**
 * @param text id, beginning of an id, or name of the pod
 * @throws KataError as `sandboxes`, and of `findSandbox`
 */
export function sandboxNamed(call: Call, text: string): SandboxRecord {
  checkAccess(call);
  return findSandbox(text, call.root);
}

/**
 * The sandbox of --sandbox-id.
 * @param word what names it where the option does not
 * @throws UsageError when there is none; KataError of `sandboxNamed`
 */
export function requiredSandbox(call: Call, word?: string): SandboxRecord {
  const text = call.option('sandbox-id') ?? word;
  if (text === undefined) throw new UsageError('--sandbox-id is missing', call.path);
  return sandboxNamed(call, text);
}

/**
 * Asks a sandbox.
 * @returns the answer's body
 * @throws KataError when it has ended, does not answer, or refuses
 */
export async function ask({ state, shimAlive }: SandboxRecord, options: RequestOptions): Promise<Buffer> {
  const what = `sandbox ${state.id}`;
  if (!shimAlive) {
    throw new KataError(
      'unavailable',
      `${what} is dead: its shim (pid ${state.shim.pid}) has ended; its pod will be made anew`,
    );
  }
  if (state.monitor === undefined || state.monitor === '') {
    throw new KataError(
      'unimplemented',
      `${what} was started by an older version, which has no management socket; start its pod anew`,
    );
  }
  const answer = await request(state.monitor, options);
  if (answer.status >= 400) throw refusal(what, answer);
  return answer.body;
}

function refusal(what: string, { status, body }: Answer): KataError {
  const text = oneLine(escapeText(body.toString('utf8')), QUOTED);
  return new KataError('unknown', `${what}: ${text || `HTTP status ${status}`}`);
}

function checkAccess({ root }: Call): void {
  const directory = root ?? RUNTIME_DIRECTORY;
  try {
    accessSync(directory, constants.R_OK | constants.X_OK);
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException;
    if (code === 'EACCES') throw new KataError('permission_denied', `${directory} is for root to read: use sudo`);
    // Nobody has made a sandbox yet; but a directory that somebody names has to be there.
    if (root !== undefined) throw new KataError('not_found', `--root ${directory} cannot be read (${code})`);
  }
}
