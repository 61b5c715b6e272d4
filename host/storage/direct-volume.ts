/**
 * Direct-assigned volumes: a CSI driver that leaves a disk unmounted writes down, under the path where kubelet expects the volume, which
 * device it is. Kata's record, in Kata's place, so that drivers made for Kata work.
 */
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { KataError, reasonOf } from '../error.ts';

export const DIRECT_VOLUMES = '/run/kata-containers/shared/direct-volumes';
/** Largest record, bytes. */
export const MAX_RECORD_BYTES = 64 * 1024;
/** Longest volume path: its name in base64 has to fit a file name of 255 bytes. */
export const MAX_VOLUME_PATH_BYTES = 189;
/** Most mount options, and most entries of metadata. */
export const MAX_ENTRIES = 64;
/** Longest of each, characters. */
export const MAX_TEXT = 4096;
/** Most sandboxes of one volume that are named. */
const MAX_SANDBOXES = 64;
const RECORD = 'mountInfo.json';
/** Others' write permission. */
const OTHERS_WRITE = 0o022;
/** Names for "a disk" of Kata's Go and Rust runtimes. */
const DISK_TYPES: readonly string[] = ['block', 'directvol'];
const FILE_SYSTEM = /^[a-z0-9][a-z0-9_.-]{0,31}$/;

/** What a CSI driver writes. */
export interface MountInfo {
  /** One of DISK_TYPES. */
  readonly volumeType: string;
  /** Absolute path of a block device or an image file. */
  readonly device: string;
  readonly fsType: string;
  readonly metadata: Readonly<Record<string, string>>;
  /** Of mount(8). */
  readonly options: readonly string[];
}

/**
 * Records a volume.
 * @param volumePath where kubelet publishes it: absolute
 * @param mountInfo JSON, written as it is
 * @throws KataError `invalid_argument`, `permission_denied`
 */
export function addDirectVolume(volumePath: string, mountInfo: string, root: string = DIRECT_VOLUMES): void {
  const directory = directoryOf(volumePath, root);
  parseMountInfo(mountInfo);
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    checkDirectories(root, directory);
    const path = join(directory, RECORD);
    // What a crash has left half written.
    rmSync(`${path}.new`, { force: true });
    writeFileSync(`${path}.new`, mountInfo, { mode: 0o600, flag: 'wx' });
    renameSync(`${path}.new`, path);
  } catch (thrown) {
    if (thrown instanceof KataError) throw thrown;
    throw new KataError('permission_denied', `cannot record ${volumePath}: ${reasonOf(thrown)}`, { cause: thrown });
  }
}

/**
 * Forgets a volume, and which sandbox has it. Idempotent.
 * @throws KataError `invalid_argument`, `permission_denied`
 */
export function removeDirectVolume(volumePath: string, root: string = DIRECT_VOLUMES): void {
  const directory = directoryOf(volumePath, root);
  try {
    if (!lstatSync(directory, { throwIfNoEntry: false })) return;
    checkDirectories(root, directory);
    rmSync(directory, { recursive: true, force: true });
  } catch (thrown) {
    if (thrown instanceof KataError) throw thrown;
    throw new KataError('permission_denied', `cannot forget ${volumePath}: ${reasonOf(thrown)}`, { cause: thrown });
  }
}

/**
 * @returns undefined: nobody has recorded such a volume
 * @throws KataError `permission_denied` where others could have written the record, `invalid_argument` for a bad one
 */
export function readDirectVolume(volumePath: string, root: string = DIRECT_VOLUMES): MountInfo | undefined {
  if (!isVolumePath(volumePath)) return undefined;
  const directory = directoryOf(volumePath, root);
  if (!lstatSync(directory, { throwIfNoEntry: false })) return undefined;
  checkDirectories(root, directory);
  const text = readRecord(join(directory, RECORD));
  return text === undefined ? undefined : parseMountInfo(text);
}

/**
 * Notes which sandbox has a volume: Kata's command line asks its shim. Idempotent.
 * @param alone whether no other sandbox can have it: then other names are what crashes have left
 * @throws what the file system refuses
 */
export function claimDirectVolume(
  volumePath: string,
  sandboxId: string,
  alone: boolean,
  root: string = DIRECT_VOLUMES,
): void {
  const others = alone ? sandboxesOf(volumePath, root).filter((id) => id !== sandboxId) : [];
  for (const id of others) releaseDirectVolume(volumePath, id, root);
  writeFileSync(join(directoryOf(volumePath, root), sandboxId), '', { mode: 0o600 });
}

/** Undoes that. Idempotent: the record may have gone before. */
export function releaseDirectVolume(volumePath: string, sandboxId: string, root: string = DIRECT_VOLUMES): void {
  try {
    unlinkSync(join(directoryOf(volumePath, root), sandboxId));
  } catch {
    // ENOENT
  }
}

/** Ids of the sandboxes that have a volume. */
export function sandboxesOf(volumePath: string, root: string = DIRECT_VOLUMES): string[] {
  try {
    const names = readdirSync(directoryOf(volumePath, root));
    return names.filter((name) => !name.startsWith(RECORD)).slice(0, MAX_SANDBOXES);
  } catch {
    return [];
  }
}

/**
 * @param text JSON as the command line of Kata takes it
 * @throws KataError `invalid_argument` naming the field
 */
export function parseMountInfo(text: string): MountInfo {
  if (Buffer.byteLength(text) > MAX_RECORD_BYTES) throw bad(`it exceeds ${MAX_RECORD_BYTES} bytes`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (thrown) {
    throw bad(`it is no JSON: ${reasonOf(thrown)}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw bad('it is no JSON object');
  const fields = value as Record<string, unknown>;
  const volumeType = textOf(fields, 'volume-type');
  if (!DISK_TYPES.includes(volumeType)) {
    throw bad(`"volume-type" is ${JSON.stringify(volumeType)}; ${DISK_TYPES.join(' or ')} is supported`);
  }
  const device = textOf(fields, 'device');
  if (!device.startsWith('/') || device.includes('\0')) throw bad('"device" must be an absolute path');
  const fsType = textOf(fields, 'fstype');
  if (!FILE_SYSTEM.test(fsType))
    throw bad(`"fstype" is ${JSON.stringify(fsType)}; a file system such as ext4 is expected`);
  return { volumeType, device, fsType, metadata: metadataOf(fields.metadata), options: optionsOf(fields.options) };
}

function textOf(fields: Record<string, unknown>, name: string): string {
  const value = fields[name];
  if (typeof value !== 'string' || value === '') throw bad(`"${name}" must be a text`);
  if (value.length > MAX_TEXT) throw bad(`"${name}" exceeds ${MAX_TEXT} characters`);
  return value;
}

function metadataOf(value: unknown): Readonly<Record<string, string>> {
  if (value === undefined || value === null) return {};
  if (typeof value !== 'object' || Array.isArray(value)) throw bad('"metadata" must be an object of texts');
  const entries = Object.entries(value);
  if (entries.length > MAX_ENTRIES) throw bad(`"metadata" has more than ${MAX_ENTRIES} entries`);
  for (const [name, each] of entries) {
    if (!isShortText(each))
      throw bad(`"metadata.${name.slice(0, 64)}" must be a text of at most ${MAX_TEXT} characters`);
  }
  return Object.fromEntries(entries) as Record<string, string>;
}

function optionsOf(value: unknown): readonly string[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value) || !value.every(isShortText)) {
    throw bad(`"options" must be a list of texts of at most ${MAX_TEXT} characters`);
  }
  if (value.length > MAX_ENTRIES) throw bad(`"options" has more than ${MAX_ENTRIES} entries`);
  // One entry may hold several, as in fstab.
  return value.flatMap((option) => option.split(',')).filter((option) => option !== '');
}

function isShortText(value: unknown): value is string {
  return typeof value === 'string' && value.length <= MAX_TEXT && !value.includes('\0');
}

function bad(what: string): KataError {
  const form = '{"volume-type":"block","device":"/dev/…","fstype":"ext4","options":[],"metadata":{}}';
  return new KataError('invalid_argument', `mount info of a direct-assigned volume: ${what}; expected is ${form}`);
}

function isVolumePath(path: string): boolean {
  return path.startsWith('/') && !path.includes('\0') && Buffer.byteLength(path) <= MAX_VOLUME_PATH_BYTES;
}

function directoryOf(volumePath: string, root: string): string {
  if (!isVolumePath(volumePath)) {
    throw new KataError(
      'invalid_argument',
      `volume path ${JSON.stringify(volumePath.slice(0, 256))} must be absolute and have at most ${MAX_VOLUME_PATH_BYTES} bytes`,
    );
  }
  // With its padding, as Kata writes it.
  const name = Buffer.from(volumePath).toString('base64').replaceAll('+', '-').replaceAll('/', '_');
  return join(root, name);
}

/** Whoever can write there gives a pod any disk of the node: nobody but us may. */
function checkDirectories(root: string, directory: string): void {
  for (const path of [root, directory]) {
    const found = lstatSync(path);
    const ours = found.isDirectory() && found.uid === process.geteuid?.() && (found.mode & OTHERS_WRITE) === 0;
    if (!ours) {
      throw new KataError(
        'permission_denied',
        `${path} must be a directory of this user that nobody else can write; correct its owner and mode (0700)`,
      );
    }
  }
}

function readRecord(path: string): string | undefined {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new KataError('permission_denied', `${path} cannot be read: ${reasonOf(thrown)}`, { cause: thrown });
  }
  try {
    const found = fstatSync(fd);
    if (!found.isFile() || found.uid !== process.geteuid?.() || (found.mode & OTHERS_WRITE) !== 0) {
      throw new KataError('permission_denied', `${path} must be a file of this user that nobody else can write`);
    }
    if (found.size > MAX_RECORD_BYTES) throw bad(`${path} exceeds ${MAX_RECORD_BYTES} bytes`);
    return readFileSync(fd, 'utf8');
  } finally {
    closeSync(fd);
  }
}
