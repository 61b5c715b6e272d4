/** Direct-assigned volumes of the sandbox: how full they are, and growing them. */
import { KataError } from '../error.ts';
import type { VolumeStatsResponse } from '../proto/messages/csi.ts';
import type { Managed } from '../shim/boot.ts';
import { escapeText } from '../tail.ts';
import { type Answered, type Asked, json } from './answer.ts';
import type { Route } from './route.ts';

/** Largest request to resize, bytes. */
export const MAX_RESIZE_BYTES = 16 * 1024;
/** Most figures of a volume, and the longest text about it, characters: both are the guest's. */
const MAX_USAGES = 16;
const MAX_CONDITION_TEXT = 1024;
/** Where a guest may be asked for what is no direct-assigned volume. */
const GUEST_MOUNTS = '/run/kata-containers/';

export function volumeRoutes(managed: Managed): readonly Route[] {
  const stats = {
    path: '/direct-volume/stats',
    what: 'how full the volume ?path=P is, as JSON; P is its path on the host, its device, or where the guest has it mounted',
    act: (asked: Asked) => volumeStats(managed, asked.query.get('path')),
  };
  return [
    { ...stats, method: 'GET' },
    // As Kata's Rust runtime is asked.
    { ...stats, method: 'POST' },
    {
      method: 'POST',
      path: '/direct-volume/resize',
      what: 'has a volume whose device has grown fill it; the body is {"VolumePath": path or device, "Size": bytes}',
      maxBody: MAX_RESIZE_BYTES,
      act: (asked) => resize(managed, asked.body),
    },
  ];
}

async function volumeStats({ sandbox }: Managed, path: string | null): Promise<Answered> {
  if (!path)
    throw new KataError('invalid_argument', 'the parameter "path" is missing: /direct-volume/stats?path=<volume>');
  const wanted = checkedPath(unescaped(path));
  const { machine } = sandbox();
  const guestPath =
    machine.share.directVolume?.(wanted)?.guestPath ?? (wanted.startsWith(GUEST_MOUNTS) ? wanted : undefined);
  if (guestPath === undefined) throw unknownVolume(wanted, sandbox().identity.id);
  return json(shown(await machine.agent.volumeStats(guestPath)));
}

async function resize({ sandbox }: Managed, body: Buffer): Promise<Answered> {
  const { path, size } = resizeRequest(body);
  const { machine } = sandbox();
  const volume = machine.share.directVolume?.(path);
  if (!volume) throw unknownVolume(path, sandbox().identity.id);
  await volume.grow(size);
  await machine.agent.resizeVolume(volume.guestPath, size);
  return { body: '' };
}

function resizeRequest(body: Buffer): { path: string; size: number } {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body.toString('utf8'));
  } catch {
    throw new KataError('invalid_argument', 'the body is no JSON; {"VolumePath": "...", "Size": bytes} is expected');
  }
  const { VolumePath: path, Size: size } = (parsed ?? {}) as Record<string, unknown>;
  if (typeof path !== 'string') throw new KataError('invalid_argument', '"VolumePath" must be a text');
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size <= 0) {
    throw new KataError('invalid_argument', '"Size" must be a whole number of bytes above 0');
  }
  return { path: checkedPath(path), size };
}

/** Kata's command line escapes it twice. */
function unescaped(path: string): string {
  if (path.startsWith('/')) return path;
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

function checkedPath(path: string): string {
  if (path.startsWith('/') && !path.includes('\0') && path.length <= 4096) return path;
  throw new KataError('invalid_argument', `${JSON.stringify(path.slice(0, 256))} is no absolute path`);
}

function unknownVolume(path: string, id: string): KataError {
  return new KataError(
    'not_found',
    `sandbox ${id} has no direct-assigned volume ${JSON.stringify(path)}; see the file beside its mountInfo.json, which is named after the sandbox`,
  );
}

/** As Kata's command line prints it. */
function shown({ usage, volume_condition: condition }: VolumeStatsResponse): Record<string, unknown> {
  return {
    usage: usage.slice(0, MAX_USAGES).map(({ available, total, used, unit }) => ({
      available: Number(available),
      total: Number(total),
      used: Number(used),
      unit: Number(unit),
    })),
    ...(condition
      ? {
          volume_condition: {
            abnormal: condition.abnormal,
            message: escapeText(condition.message.slice(0, MAX_CONDITION_TEXT)),
          },
        }
      : {}),
  };
}
