/** `direct-volume`: disks that a CSI driver hands to a sandbox unmounted. */
import type { Call } from './call.ts';
import type { Command, Operand, Option } from './command.ts';
import { UsageError } from './usage-error.ts';

const VOLUME_PATH: Option = {
  name: 'volume-path',
  value: 'PATH',
  kind: 'directory',
  summary: 'where kubelet publishes the volume, absolute; the same as VOLUME_PATH',
};
const PATH_OPERAND: Operand = {
  name: 'VOLUME_PATH',
  kind: 'directory',
  optional: true,
  summary: 'where kubelet publishes the volume, absolute; the same as --volume-path',
};
/** As docker and kubectl write sizes. */
const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  K: 1000,
  M: 1000 ** 2,
  G: 1000 ** 3,
  T: 1000 ** 4,
  Ki: 1024,
  Mi: 1024 ** 2,
  Gi: 1024 ** 3,
  Ti: 1024 ** 4,
};

export const directVolume: Command = {
  name: 'direct-volume',
  summary: 'hand a disk to a sandbox unmounted, as CSI drivers do; look into it; let it grow',
  description: [
    'A direct-assigned volume is a block device, or an image file, that is not mounted on the host: the guest mounts it. It is written down under the path at which kubelet publishes the volume; a container that mounts this path has the device. Records are where Kata keeps its own, so CSI drivers made for Kata work.',
    'Each command takes its values as options (as kata-runtime has them) or in order (as kata-ctl has them).',
  ],
  commands: [
    {
      name: 'add',
      summary: 'write a volume down, before its pod is started',
      operands: [PATH_OPERAND, { name: 'MOUNT_INFO', optional: true, summary: 'the same as --mount-info' }],
      options: [
        VOLUME_PATH,
        {
          name: 'mount-info',
          value: 'JSON',
          summary:
            'what the volume is: {"volume-type":"block","device":"/dev/…","fstype":"ext4","options":[],"metadata":{}}',
        },
      ],
      examples: [
        [
          `direct-volume add --volume-path /var/lib/kubelet/pods/0a1b/volumes/kubernetes.io~csi/data/mount --mount-info '{"volume-type":"block","device":"/dev/sdb","fstype":"ext4"}'`,
          'a disk for a pod',
        ],
      ],
      run: add,
    },
    {
      name: 'remove',
      summary: 'forget a volume, after its pod has ended; the disk itself is left alone',
      operands: [PATH_OPERAND],
      options: [VOLUME_PATH],
      run: remove,
    },
    {
      name: 'stats',
      summary: 'how full a volume is, as JSON: bytes (unit 1) and inodes (unit 2), counted in the guest',
      operands: [PATH_OPERAND],
      options: [VOLUME_PATH],
      run: stats,
    },
    {
      name: 'resize',
      summary: 'have the file system fill a disk that has grown',
      operands: [PATH_OPERAND, { name: 'SIZE', optional: true, summary: 'the same as --size' }],
      options: [
        VOLUME_PATH,
        { name: 'size', value: 'BYTES', summary: 'the new size: bytes, or with K, M, G, Ki, Mi, Gi' },
      ],
      examples: [['direct-volume resize --volume-path /v/data --size 20Gi', 'once the disk has 20 GiB']],
      run: resize,
    },
  ],
};

async function add(call: Call): Promise<number> {
  const { addDirectVolume } = await import('../storage/direct-volume.ts');
  const [path, info] = values(call, ['volume-path', 'mount-info']);
  addDirectVolume(path, info);
  return 0;
}

async function remove(call: Call): Promise<number> {
  const { removeDirectVolume } = await import('../storage/direct-volume.ts');
  const [path] = values(call, ['volume-path']);
  removeDirectVolume(path);
  return 0;
}

async function stats(call: Call): Promise<number> {
  const { volumeOf } = await import('./volume.ts');
  const { ask } = await import('./sandbox.ts');
  const [path] = values(call, ['volume-path']);
  const { record, device } = volumeOf(call, path);
  const query = `/direct-volume/stats?path=${encodeURIComponent(device)}`;
  call.output.line((await ask(record, { method: 'GET', path: query })).toString('utf8'));
  return 0;
}

async function resize(call: Call): Promise<number> {
  const { volumeOf } = await import('./volume.ts');
  const { ask } = await import('./sandbox.ts');
  const [path, text] = values(call, ['volume-path', 'size']);
  const Size = bytesOf(text, call);
  const { record, device } = volumeOf(call, path);
  const body = JSON.stringify({ VolumePath: device, Size });
  await ask(record, { method: 'POST', path: '/direct-volume/resize', body, contentType: 'application/json' });
  return 0;
}

/** Each is an option, or the next word. */
function values<const N extends readonly string[]>(call: Call, names: N): { [K in keyof N]: string } {
  const words = [...call.words];
  const found = names.map((name) => {
    const value = call.option(name) ?? words.shift();
    if (value === undefined || value === '') throw new UsageError(`--${name} is missing`, call.path);
    return value;
  });
  const [extra] = words;
  if (extra !== undefined) throw new UsageError(`unexpected word: ${JSON.stringify(extra.slice(0, 80))}`, call.path);
  return found as { [K in keyof N]: string };
}

function bytesOf(text: string, call: Call): number {
  const [, digits = '', unit = ''] = /^(\d{1,16})([KMGT]i?|)$/.exec(text) ?? [];
  const bytes = Number(digits) * (UNITS[unit] ?? 0);
  if (bytes > 0 && Number.isSafeInteger(bytes)) return bytes;
  throw new UsageError(
    `--size is ${JSON.stringify(text.slice(0, 80))}; it must be a number of bytes, as 20Gi`,
    call.path,
  );
}
