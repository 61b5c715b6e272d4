/** `[runtime] shared_mounts`: directories of one container of a pod that another sees. Kata's agent makes such mounts, ours does not. */
import { KataError } from '../error.ts';
import type { SharedMount } from '../proto/messages/agent.ts';
import { show, type Values } from './values.ts';

/** Most of a configuration, or of a pod. */
export const MAX_SHARED_MOUNTS = 64;
/** Longest name or path, characters. */
export const MAX_SHARED_LENGTH = 1024;

const TABLE = 'runtime';
const KEY = 'shared_mounts';
const FIELDS = ['name', 'src_ctr', 'src_path', 'dst_ctr', 'dst_path'] as const;

/** @throws KataError `invalid_argument` naming file and key */
export function sharedMountsOf(values: Values): readonly SharedMount[] {
  const list = (values.merged.get(TABLE)?.get(KEY)?.value ?? []) as readonly Record<string, unknown>[];
  if (list.length > MAX_SHARED_MOUNTS) {
    throw values.invalid(TABLE, KEY, `has ${list.length} entries; at most ${MAX_SHARED_MOUNTS} are taken`);
  }
  return list.map((entry) => {
    const fault = sharedMountFault(entry);
    if (fault !== undefined) throw values.invalid(TABLE, KEY, `has ${show(entry)}, ${fault}`);
    const [name = '', src_ctr = '', src_path = '', dst_ctr = '', dst_path = ''] = FIELDS.map((field) =>
      String(entry[field]),
    );
    return { name, src_ctr, src_path, dst_ctr, dst_path };
  });
}

/** Why no sandbox is made: mounts that would be missing. */
export function sharedMountObstacles(values: Values, ownGuest: boolean): KataError[] {
  if (!ownGuest || sharedMountsOf(values).length === 0) return [];
  return [
    new KataError(
      'unimplemented',
      `${values.where(TABLE, KEY)} is set: our own guest's agent mounts no directory of one container into another; use a guest of Kata's (kernel and image), an emptyDir, or remove it`,
    ),
  ];
}

function sharedMountFault(entry: Record<string, unknown>): string | undefined {
  for (const field of FIELDS) {
    const value = entry[field];
    if (typeof value !== 'string' || value === '' || value.length > MAX_SHARED_LENGTH)
      return `which needs ${field}, a text`;
    if (field.endsWith('_path') && !isPath(value)) {
      return `whose ${field} must be an absolute path of letters, digits, "-", "_" and ".", without ".."`;
    }
  }
  return undefined;
}

function isPath(text: string): boolean {
  return /^(\/[\w.-]+)+\/?$/.test(text) && !text.split('/').includes('..');
}
