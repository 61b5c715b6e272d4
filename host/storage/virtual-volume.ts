/**
 * Root file systems that a snapshotter only describes: a mount option carries what Kata calls a virtual volume, base64 of JSON. Of its
 * types, the one by which the guest pulls the image itself.
 */
import { join } from 'node:path';
import { KataError } from '../error.ts';
import type { Mount } from '../proto/messages/containerd_types.ts';
import type { GuestRootfs, ImageOrigin } from './share.ts';

/** Before the description, in a mount's options. */
const OPTION = 'io.katacontainers.volume=';
/** Longest description, characters of base64. */
export const MAX_DESCRIPTION_LENGTH = 256 * 1024;
/** Type of the volume, driver of the storage, and name of its option. */
const GUEST_PULL = 'image_guest_pull';
/** What the guest takes for its own pause image, which it has. */
const PAUSE_IMAGE = 'pause';
/** Annotations by which containerd's CRI and CRI-O name a container's image. */
const IMAGE_NAMES = ['io.kubernetes.cri.image-name', 'io.kubernetes.cri-o.ImageName'];
/** Where the guest puts it together. */
const GUEST_CONTAINERS = '/run/kata-containers';

/**
 * @param id of the container
 * @param mounts containerd's
 * @returns undefined for mounts that say nothing of the kind
 * @throws KataError `invalid_argument` for a description that is none or lacks the image's name, `unimplemented` for another type
 */
export function guestPull(id: string, mounts: readonly Mount[], origin?: ImageOrigin): GuestRootfs | undefined {
  const described = mounts.flatMap(({ options }) => options.filter((option) => option.startsWith(OPTION)));
  const [option] = described;
  if (option === undefined) return undefined;
  const what = whatOf(id);
  if (described.length > 1) {
    throw new KataError('unimplemented', `${what}: ${described.length} of them; one that the guest pulls is supported`);
  }
  return pulled(id, metadataOf(option.slice(OPTION.length), what), origin);
}

/**
 * Likewise, whatever the mounts say.
 * @throws KataError `invalid_argument` where the image's name is missing
 */
export function forcedPull(id: string, origin?: ImageOrigin): GuestRootfs {
  return pulled(id, {}, origin);
}

function whatOf(id: string): string {
  return `container ${id}: the root file system's virtual volume`;
}

function pulled(id: string, metadata: Readonly<Record<string, string>>, origin?: ImageOrigin): GuestRootfs {
  const annotations = origin?.annotations ?? {};
  const path = join(GUEST_CONTAINERS, id, 'rootfs');
  return {
    path,
    storages: [
      {
        driver: GUEST_PULL,
        driver_options: [`${GUEST_PULL}=${JSON.stringify({ metadata: { ...metadata, ...annotations } })}`],
        source: imageOf(origin, whatOf(id)),
        fstype: 'overlay',
        mount_point: path,
      },
    ],
  };
}

function metadataOf(description: string, what: string): Record<string, string> {
  if (description.length > MAX_DESCRIPTION_LENGTH) {
    throw invalid(`${what} has ${description.length} characters; at most ${MAX_DESCRIPTION_LENGTH} are taken`);
  }
  let volume: unknown;
  try {
    volume = JSON.parse(Buffer.from(description, 'base64').toString());
  } catch {
    throw invalid(`${what} is no base64 of JSON; correct the snapshotter`);
  }
  const { volume_type: type, image_pull: pull } = (isRecord(volume) ? volume : {}) as Record<string, unknown>;
  if (type !== GUEST_PULL) {
    throw new KataError('unimplemented', `${what} is of type ${JSON.stringify(type)}; only ${GUEST_PULL} is supported`);
  }
  const metadata = isRecord(pull) ? pull.metadata : undefined;
  if (pull !== undefined && pull !== null && !isTexts(metadata)) {
    throw invalid(`${what}: image_pull.metadata has to be an object of strings`);
  }
  return isTexts(metadata) ? metadata : {};
}

function imageOf(origin: ImageOrigin | undefined, what: string): string {
  if (origin?.containerType === 'pod_sandbox') return PAUSE_IMAGE;
  for (const name of IMAGE_NAMES) {
    const image = origin && Object.hasOwn(origin.annotations, name) ? origin.annotations[name] : undefined;
    if (image) return image;
  }
  throw invalid(`${what}: the guest has to be told the image's name, by the annotation ${IMAGE_NAMES[0]}`);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isTexts(value: unknown): value is Record<string, string> {
  return isRecord(value) && Object.values(value).every((text) => typeof text === 'string');
}

function invalid(message: string): KataError {
  return new KataError('invalid_argument', message);
}
