import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { KataError } from '../../../host/error.ts';
import { translateSpec } from '../../../host/oci/translate.ts';
import { readSpec } from '../../../host/oci/view.ts';
import {
  BlockVolumes,
  blockRequests,
  MAX_BLOCK_VOLUMES,
  refusePassedThrough,
} from '../../../host/storage/block-volumes.ts';
import { VolumeSource } from '../../../host/storage/volume-source.ts';

/** The host's own block devices, whatever they are. */
const DEVICES = readdirSync('/sys/dev/block').map((name) => {
  const [major = 0, minor = 0] = name.split(':').map(Number);
  return {
    major,
    minor,
    node: `/dev/${/^DEVNAME=(.+)$/m.exec(readFileSync(`/sys/dev/block/${name}/uevent`, 'utf8'))?.[1]}`,
  };
});

interface Context {
  calls: string[];
  hypervisor: ConstructorParameters<typeof BlockVolumes>[0];
  volumes: BlockVolumes;
  fail: KataError | undefined;
}

const block = suite<Context>('block volumes');

block.before.each((context) => {
  context.calls = [];
  context.fail = undefined;
  const call = async (line: string): Promise<string> => {
    context.calls.push(line);
    if (context.fail) throw context.fail;
    return '02/07';
  };
  context.hypervisor = {
    plugBlock: (name, path, readOnly) => call(`plug ${name} ${path} ${readOnly ? 'ro' : 'rw'}`),
    unplug: async (name) => void (await call(`unplug ${name}`)),
  };
  context.volumes = new BlockVolumes(context.hypervisor);
});

async function failure(promise: Promise<unknown>): Promise<KataError> {
  return promise.then(
    () => assert.unreachable('should have failed'),
    (error: KataError) => error,
  ) as Promise<KataError>;
}

function requests(devices: object[], rules: object[]) {
  const spec = { process: { args: ['sh'] }, root: { path: '/' }, linux: { devices, resources: { devices: rules } } };
  const encoded = translateSpec(Buffer.from(JSON.stringify(spec)));
  return blockRequests(encoded, readSpec(encoded).devices);
}

const XVDA = { path: '/dev/xvda', type: 'b', major: 8, minor: 16 };
const REQUEST = { major: 8, minor: 16, readOnly: false, containerPath: '/dev/xvda' };

block('are those with a rule of their own', () => {
  const deny = { allow: false, access: 'rwm' };
  const exact = { allow: true, type: 'b', major: 8, minor: 16, access: 'rwm' };
  assert.equal(requests([XVDA], [deny, exact]), [REQUEST]);
  assert.equal(requests([XVDA], [deny, { ...exact, access: 'rm' }]), [{ ...REQUEST, readOnly: true }]);
  assert.equal(requests([XVDA], [deny, exact, { ...exact, access: 'r' }]), [{ ...REQUEST, readOnly: true }]);
  for (const rule of [
    { allow: true, access: 'rwm' },
    { allow: true, type: 'b', major: 8, access: 'rwm' },
    { ...exact, allow: false },
    { ...exact, type: 'c' },
    { ...exact, minor: 17 },
  ]) {
    assert.equal(requests([XVDA], [deny, rule]), []);
  }
  assert.equal(requests([XVDA], []), []);
  const cdrom = { path: '/dev/sr0', type: 'b', major: 11, minor: 0 };
  assert.equal(requests([cdrom], [{ ...exact, major: 11, minor: 0 }]), []);
});

block('devices of VFIO that a container is given are refused, those that a privileged one merely lists are not', () => {
  const refuse = (path: string, rules: object[]): void => {
    const devices = [{ path, type: 'c', major: 241, minor: 3 }];
    const spec = { process: { args: ['sh'] }, root: { path: '/' }, linux: { devices, resources: { devices: rules } } };
    const encoded = translateSpec(Buffer.from(JSON.stringify(spec)));
    refusePassedThrough(encoded, readSpec(encoded).devices);
  };
  const exact = { allow: true, type: 'c', major: 241, minor: 3, access: 'rwm' };
  for (const path of ['/dev/vfio/12', '/dev/vfio/devices/vfio3']) {
    assert.throws(
      () => refuse(path, [{ allow: false, access: 'rwm' }, exact]),
      (thrown: KataError) => thrown.code === 'failed_precondition' && thrown.message.startsWith(`device ${path}: `),
    );
    for (const rules of [[], [{ allow: true, access: 'rwm' }], [exact, { ...exact, allow: false }]])
      refuse(path, rules);
  }
  for (const path of ['/dev/vfio/vfio', '/dev/null', '/dev/vfio/12/x']) refuse(path, [exact]);
});

block('are plugged once for all containers, and unplugged after the last', async ({ calls, volumes }) => {
  const [device] = DEVICES;
  assert.ok(device, 'this machine has no block device at all');
  const request = { ...device, readOnly: false, containerPath: '/dev/a' };
  const plugged = { type: 'blk', id: '02/07', container_path: '/dev/a' };
  const both = [
    volumes.add('one', request),
    volumes.add('two', { ...request, containerPath: '/dev/b', readOnly: true }),
  ];
  assert.equal(await Promise.all(both), [plugged, { ...plugged, container_path: '/dev/b' }]);
  await volumes.remove('one');
  await volumes.remove('one');
  assert.equal(calls, [`plug volume-0 ${device.node} rw`]);
  await volumes.remove('two');
  assert.equal(calls, [`plug volume-0 ${device.node} rw`, 'unplug volume-0']);
  await volumes.add('two', request);
  assert.is(calls.at(-1), `plug volume-1 ${device.node} rw`);
});

block('read-only for one container cannot be writable for another', async ({ volumes }) => {
  const request = { major: 0, minor: 0, containerPath: '/dev/a', ...DEVICES[0] };
  await volumes.add('one', { ...request, readOnly: true });
  assert.is((await failure(volumes.add('two', { ...request, readOnly: false }))).code, 'failed_precondition');
  await volumes.add('two', { ...request, readOnly: true });
});

block('that the host has not are named', async ({ calls, volumes }) => {
  const { code, message } = await failure(volumes.add('c', { ...REQUEST, major: 4095, minor: 7 }));
  assert.is(code, 'not_found');
  assert.match(message, /container c: block device 4095:7 for \/dev\/xvda/);
  assert.equal(calls, []);
});

block('a failure leaves nothing, and removal outlives the VM', async (context) => {
  const { calls, volumes } = context;
  const request = { major: 0, minor: 0, containerPath: '/dev/a', readOnly: false, ...DEVICES[0] };
  context.fail = new KataError('resource_exhausted', 'no slot');
  assert.is((await failure(volumes.add('c', request))).message, 'no slot');
  await volumes.remove('c');
  assert.is(calls.length, 1);
  context.fail = undefined;
  await volumes.add('c', request);
  context.fail = new KataError('unavailable', 'the VM is gone');
  await volumes.remove('c');
  assert.is(calls.at(-1), 'unplug volume-1');
});

block('as many as the limit and no more', async ({ calls, hypervisor }) => {
  const sysfs = mkdtempSync(join(tmpdir(), 'kata-sysfs-'));
  const volumes = new BlockVolumes(hypervisor, sysfs);
  const request = (minor: number) => ({ major: 8, minor, readOnly: true, containerPath: '/dev/x' });
  try {
    for (let minor = 0; minor <= MAX_BLOCK_VOLUMES; minor++) {
      mkdirSync(join(sysfs, `8:${minor}`));
      writeFileSync(join(sysfs, `8:${minor}`, 'uevent'), `MAJOR=8\nDEVNAME=sd/${minor}\nDEVTYPE=disk\n`);
      if (minor < MAX_BLOCK_VOLUMES) await volumes.add('c', request(minor));
    }
    assert.is(calls[1], 'plug volume-1 /dev/sd/1 ro');
    assert.is((await failure(volumes.add('c', request(MAX_BLOCK_VOLUMES)))).code, 'resource_exhausted');
  } finally {
    rmSync(sysfs, { recursive: true });
  }
});

block('numbers of a node are read as the kernel gives them', async () => {
  for (const { major, minor, node } of DEVICES) {
    if (!statSync(node, { throwIfNoEntry: false })?.isBlockDevice()) continue;
    const source = await VolumeSource.open('c', { destination: '/x', type: 'bind', source: node, options: [] });
    assert.is(source.kind, 'block');
    assert.equal(source.device, { major, minor });
    await source.close();
  }
});

block.run();
