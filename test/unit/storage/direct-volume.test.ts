/** Direct-assigned volumes: their records, and the disks they become. */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { KataError } from '../../../host/error.ts';
import type { Mount } from '../../../host/proto/messages/oci.ts';
import { DirectDisks, MAX_DIRECT_VOLUMES } from '../../../host/storage/direct-disks.ts';
import {
  addDirectVolume,
  claimDirectVolume,
  MAX_ENTRIES,
  MAX_RECORD_BYTES,
  MAX_TEXT,
  MAX_VOLUME_PATH_BYTES,
  parseMountInfo,
  readDirectVolume,
  releaseDirectVolume,
  removeDirectVolume,
  sandboxesOf,
} from '../../../host/storage/direct-volume.ts';
import { Rootfs } from '../../../host/storage/rootfs.ts';

interface Context {
  directory: string;
  root: string;
  image: string;
}

const KUBELET = '/var/lib/kubelet/pods/0a1b/volumes/kubernetes.io~csi/pvc-1/mount';
/** As `base64.URLEncoding` of Go writes KUBELET. */
const ENCODED = 'L3Zhci9saWIva3ViZWxldC9wb2RzLzBhMWIvdm9sdW1lcy9rdWJlcm5ldGVzLmlvfmNzaS9wdmMtMS9tb3VudA==';

const test = suite<Context>('direct-assigned volumes');

test.before.each((context) => {
  context.directory = mkdtempSync(join(tmpdir(), 'kata-direct-'));
  context.root = join(context.directory, 'shared/direct-volumes');
  context.image = join(context.directory, 'disk.img');
  writeFileSync(context.image, '');
  truncateSync(context.image, 4096);
});
test.after.each(({ directory }) => rmSync(directory, { recursive: true, force: true }));

function info(more: Record<string, unknown> = {}): string {
  return JSON.stringify({ 'volume-type': 'block', device: '/dev/sdx', fstype: 'ext4', ...more });
}

function complaint(call: () => unknown, code: string): string {
  try {
    call();
  } catch (thrown) {
    assert.instance(thrown, KataError);
    assert.is((thrown as KataError).code, code, (thrown as KataError).message);
    return (thrown as KataError).message;
  }
  throw new Error('nothing was thrown');
}

test('a record lies where Kata looks for it, as it was given', ({ root }) => {
  const text = info({ metadata: { fsGroup: '1000' }, options: ['noatime,discard', 'ro'], extra: 1 });
  addDirectVolume(KUBELET, text, root);
  const path = join(root, ENCODED, 'mountInfo.json');
  assert.is(readFileSync(path, 'utf8'), text);
  assert.equal(
    [root, dirname(path), path].map((each) => statSync(each).mode & 0o777),
    [0o700, 0o700, 0o600],
  );
  assert.equal(readDirectVolume(KUBELET, root), {
    volumeType: 'block',
    device: '/dev/sdx',
    fsType: 'ext4',
    metadata: { fsGroup: '1000' },
    options: ['noatime', 'discard', 'ro'],
  });
  addDirectVolume(KUBELET, info({ device: '/dev/sdy' }), root);
  assert.is(readDirectVolume(KUBELET, root)?.device, '/dev/sdy');
  claimDirectVolume(KUBELET, 'sandbox-1', false, root);
  claimDirectVolume(KUBELET, 'sandbox-2', false, root);
  assert.equal(sandboxesOf(KUBELET, root).sort(), ['sandbox-1', 'sandbox-2']);
  claimDirectVolume(KUBELET, 'sandbox-3', true, root);
  assert.equal(sandboxesOf(KUBELET, root), ['sandbox-3']);
  releaseDirectVolume(KUBELET, 'sandbox-3', root);
  releaseDirectVolume(KUBELET, 'sandbox-3', root);
  assert.equal(readdirSync(join(root, ENCODED)), ['mountInfo.json']);
  removeDirectVolume(KUBELET, root);
  removeDirectVolume(KUBELET, root);
  assert.equal([readdirSync(root), readDirectVolume(KUBELET, root), sandboxesOf(KUBELET, root)], [[], undefined, []]);
});

test('bad records name the field', () => {
  const cases: [string, RegExp][] = [
    ['', /no JSON/],
    ['[]', /no JSON object/],
    ['null', /no JSON object/],
    [info({ 'volume-type': 'spdkvol' }), /"volume-type" is "spdkvol"; block or directvol/],
    [info({ 'volume-type': undefined }), /"volume-type" must be a text/],
    [info({ device: 'sdx' }), /"device" must be an absolute path/],
    [info({ device: '/dev/\0sdx' }), /"device" must be an absolute path/],
    [info({ device: 7 }), /"device" must be a text/],
    [info({ device: `/${'x'.repeat(MAX_TEXT)}` }), /"device" exceeds 4096/],
    [info({ fstype: '../ext4' }), /"fstype" is "\.\.\/ext4"/],
    [info({ fstype: '' }), /"fstype" must be a text/],
    [info({ metadata: ['a'] }), /"metadata" must be an object/],
    [info({ metadata: { fsGroup: 1000 } }), /"metadata\.fsGroup" must be a text/],
    [
      info({ metadata: Object.fromEntries(Array.from({ length: MAX_ENTRIES + 1 }, (_, n) => [n, ''])) }),
      /more than 64/,
    ],
    [info({ options: 'ro' }), /"options" must be a list/],
    [info({ options: [1] }), /"options" must be a list/],
    [info({ options: Array(MAX_ENTRIES + 1).fill('x') }), /more than 64/],
    [info({ padding: 'x'.repeat(MAX_RECORD_BYTES) }), /exceeds 65536 bytes/],
  ];
  for (const [text, expected] of cases)
    assert.match(
      complaint(() => parseMountInfo(text), 'invalid_argument'),
      expected,
    );
  assert.equal(parseMountInfo(info({ options: null, metadata: null })).options, []);
});

test('bad paths, and places that others could have written', ({ root, directory, image }) => {
  const long = `/${'x'.repeat(MAX_VOLUME_PATH_BYTES)}`;
  for (const path of ['', 'relative', '/with\0zero', long]) {
    assert.match(
      complaint(() => addDirectVolume(path, info(), root), 'invalid_argument'),
      /must be absolute/,
    );
    assert.is(readDirectVolume(path, root), undefined);
  }
  addDirectVolume(long.slice(0, -1), info(), root);
  addDirectVolume(KUBELET, info(), root);
  const record = join(root, ENCODED, 'mountInfo.json');
  for (const path of [root, dirname(record), record]) {
    const { mode } = statSync(path);
    chmodSync(path, 0o722);
    assert.match(
      complaint(() => readDirectVolume(KUBELET, root), 'permission_denied'),
      /nobody else can write/,
    );
    chmodSync(path, mode);
  }
  rmSync(record);
  symlinkSync(image, record);
  complaint(() => readDirectVolume(KUBELET, root), 'permission_denied');
  rmSync(record);
  assert.is(readDirectVolume(KUBELET, root), undefined);
  // A link in the place of a record's directory: nothing is written, or removed, where it leads.
  rmSync(dirname(record), { recursive: true });
  const elsewhere = join(directory, 'elsewhere');
  mkdirSync(elsewhere, { mode: 0o700 });
  writeFileSync(join(elsewhere, 'kept'), '');
  symlinkSync(elsewhere, dirname(record));
  complaint(() => addDirectVolume(KUBELET, info(), root), 'permission_denied');
  complaint(() => removeDirectVolume(KUBELET, root), 'permission_denied');
  assert.equal(readdirSync(elsewhere), ['kept']);
});

class Plugs {
  readonly calls: string[] = [];
  failure: KataError | undefined;
  async plugBlock(id: string, path: string, readOnly: boolean): Promise<string> {
    this.calls.push(`plug ${id} ${path} ${readOnly ? 'ro' : 'rw'}`);
    if (this.failure) throw this.failure;
    return '02/01';
  }
  async unplug(id: string): Promise<void> {
    this.calls.push(`unplug ${id}`);
  }
  async resizeBlock(id: string, bytes: number): Promise<void> {
    this.calls.push(`resize ${id} ${bytes}`);
  }
  async plugVirtioFs(): Promise<string> {
    return '02/02';
  }
}

function mountOf(source: string, options: string[] = ['rbind', 'ro']): Mount {
  return { destination: '/data', source, type: 'bind', options };
}

async function rejection(call: Promise<unknown>, code: string): Promise<string> {
  const thrown = await call.then(
    () => undefined,
    (each: unknown) => each,
  );
  assert.instance(thrown, KataError);
  assert.is((thrown as KataError).code, code, (thrown as KataError).message);
  return (thrown as KataError).message;
}

test('containers of a pod share one disk, which goes with the last of them', async ({ root, image }) => {
  const plugs = new Plugs();
  const disks = new DirectDisks(plugs, { sandboxId: 'pod', root });
  assert.is(await disks.add('a', mountOf('/something/else')), undefined);
  const metadata = {
    fsGroup: '1000',
    fsGroupChangePolicy: 'OnRootMismatch',
    encryptionKey: 'ephemeral',
    createFilesystem: 'true',
  };
  addDirectVolume(KUBELET, info({ device: image, fstype: 'xfs', options: ['noatime'], metadata }), root);
  const first = await disks.add('a', mountOf(KUBELET));
  const second = await disks.add('b', mountOf(KUBELET, ['rw']));
  const [storage] = first?.storages ?? [];
  assert.equal(storage, {
    driver: 'blk',
    source: '02/01',
    fstype: 'xfs',
    options: ['noatime', 'nouuid'],
    mount_point: `/run/kata-containers/sandbox/storage/${Buffer.from(image).toString('base64url')}`,
    driver_options: ['encryption_key=ephemeral', 'create_filesystem'],
    fs_group: { group_id: 1000, group_change_policy: 1 },
  });
  assert.equal(second?.storages, first?.storages);
  const source = storage?.mount_point ?? '';
  assert.equal(first?.mount, { destination: '/data', type: 'bind', source, options: ['rbind', 'ro'] });
  assert.equal(second?.mount?.options, ['bind', 'rw']);
  assert.equal(plugs.calls, [`plug direct-0 ${image} rw`]);
  assert.equal(sandboxesOf(KUBELET, root), ['pod']);
  for (const path of [KUBELET, image, source]) assert.is(disks.find(path)?.guestPath, source);
  assert.is(disks.find('/else'), undefined);
  await disks.remove('a');
  await disks.remove('a');
  assert.is(plugs.calls.length, 1);
  await disks.remove('b');
  assert.is(plugs.calls[1], 'unplug direct-0');
  assert.equal([sandboxesOf(KUBELET, root), disks.find(KUBELET)], [[], undefined]);
});

test('read-only where the record says so; one device is not had in two ways', async ({ root, image }) => {
  const plugs = new Plugs();
  const disks = new DirectDisks(plugs, { sandboxId: 'pod', root });
  addDirectVolume('/one', info({ device: image, options: ['ro'] }), root);
  addDirectVolume('/two', info({ device: image }), root);
  addDirectVolume('/three', info({ device: image, options: ['ro'] }), root);
  await disks.add('a', mountOf('/one'));
  assert.equal(plugs.calls, [`plug direct-0 ${image} ro`]);
  assert.match(await rejection(disks.add('a', mountOf('/two')), 'failed_precondition'), /with other options/);
  await disks.add('a', mountOf('/three'));
  assert.is(plugs.calls.length, 1);
  assert.match(await rejection(disks.find('/one')?.grow(1) ?? Promise.resolve(), 'failed_precondition'), /read-only/);
  disks.close();
  disks.close();
  assert.equal([sandboxesOf('/one', root), sandboxesOf('/three', root)], [[], []]);
});

test('a disk that has grown is told of, one that has not is refused', async ({ root, image }) => {
  const plugs = new Plugs();
  const disks = new DirectDisks(plugs, { sandboxId: 'pod', root });
  addDirectVolume(KUBELET, info({ device: image }), root);
  await disks.add('a', mountOf(KUBELET));
  assert.match(
    await rejection(disks.find(KUBELET)?.grow(8192) ?? Promise.resolve(), 'failed_precondition'),
    /grown first/,
  );
  truncateSync(image, 10_000);
  await disks.find(KUBELET)?.grow(8192);
  assert.is(plugs.calls.at(-1), 'resize direct-0 10000');
});

test('what cannot be had leaves nothing behind', async ({ root, image, directory }) => {
  const plugs = new Plugs();
  const disks = new DirectDisks(plugs, { sandboxId: 'pod', root });
  const add = (more: Record<string, unknown>): Promise<unknown> => {
    addDirectVolume(KUBELET, info({ device: image, ...more }), root);
    return disks.add('a', mountOf(KUBELET));
  };
  assert.match(await rejection(add({ device: '/nowhere/disk' }), 'not_found'), /direct-assigned volume .*pvc-1/);
  await rejection(add({ device: directory }), 'invalid_argument');
  await rejection(add({ device: '/dev/null' }), 'invalid_argument');
  assert.match(await rejection(add({ metadata: { fsGroup: '-1' } }), 'invalid_argument'), /fsGroup is "-1"/);
  await rejection(add({ metadata: { fsGroup: '4294967295' } }), 'invalid_argument');
  await rejection(add({ metadata: { fsGroup: '1', fsGroupChangePolicy: 'Never' } }), 'invalid_argument');
  assert.equal(plugs.calls, []);
  plugs.failure = new KataError('internal', 'QMP: Failed to get "write" lock');
  await rejection(add({}), 'internal');
  assert.equal([sandboxesOf(KUBELET, root), disks.find(KUBELET)], [[], undefined]);
  plugs.failure = undefined;
  await add({});
  for (let n = 1; n < MAX_DIRECT_VOLUMES; n++) {
    const other = join(directory, `disk-${n}`);
    writeFileSync(other, '');
    addDirectVolume(`/v/${n}`, info({ device: other }), root);
    await disks.add('a', mountOf(`/v/${n}`));
  }
  const last = join(directory, 'one-more');
  writeFileSync(last, '');
  addDirectVolume('/v/last', info({ device: last }), root);
  assert.match(await rejection(disks.add('a', mountOf('/v/last')), 'resource_exhausted'), /16 direct-assigned/);
});

test('where disks are forbidden a recorded volume is refused, not shared empty', async ({ root, directory, image }) => {
  const config = { daemon: '', cache: '', extraArgs: [], sandboxId: 'pod', directVolumes: root };
  const volume = join(directory, 'volume');
  mkdirSync(volume);
  addDirectVolume(volume, info({ device: image }), root);
  const plugs = new Plugs();
  const share = new Rootfs(directory, { ...config, disableBlockDeviceUse: true }, plugs);
  assert.match(
    await rejection(share.addVolume('a', mountOf(volume)), 'failed_precondition'),
    /disable_block_device_use/,
  );
  const usual = new Rootfs(directory, { ...config, disableBlockDeviceUse: false }, plugs);
  assert.is((await usual.addVolume('a', mountOf(volume)))?.storages[0]?.driver, 'blk');
  assert.ok(usual.directVolume(volume));
  await usual.removeRootfs('a');
  assert.equal(plugs.calls, [`plug direct-0 ${image} rw`, 'unplug direct-0']);
  assert.ok(existsSync(image));
});

test.run();
