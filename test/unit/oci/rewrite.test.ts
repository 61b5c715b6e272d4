import { deepStrictEqual } from 'node:assert';
import { readdirSync, readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type GuestView,
  type RewrittenSpec,
  readSpec,
  rewriteProcess,
  rewriteResources,
  rewriteSpec,
} from '../../../host/oci/rewrite.ts';
import { translateSpec } from '../../../host/oci/translate.ts';
import { oracleType, reading } from './oracle.ts';

type Values = Record<string, unknown>;

const FIXTURES = new URL('../../fixtures/oci/', import.meta.url);
const MINIMAL = { process: { args: ['sh'], cwd: '/' }, root: { path: 'rootfs' } };
const GUEST: GuestView = { rootPath: '/guest/rootfs', bundle: '/run/bundle', disableGuestSeccomp: true };

function encoded(spec: object): Uint8Array {
  return translateSpec(Buffer.from(JSON.stringify(spec)));
}

function fixture(name: string): Uint8Array {
  return translateSpec(readFileSync(new URL(name, FIXTURES)));
}

function rewritten(spec: Uint8Array, guest: Partial<GuestView> = {}): Omit<RewrittenSpec, 'spec'> & { spec: Values } {
  const result = rewriteSpec(spec, readSpec(spec), { ...GUEST, ...guest });
  return { ...result, spec: reading('Spec', result.spec) as Values };
}

/** The guest's spec of MINIMAL with `more`. */
function guestSpec(more: object, guest: Partial<GuestView> = {}): Values {
  return rewritten(encoded({ ...MINIMAL, ...more }), guest).spec;
}

const rewriting = suite('rewriteSpec');

for (const name of readdirSync(FIXTURES)) {
  rewriting(`${name} keeps a canonical form`, () => {
    const spec = fixture(name);
    for (const disableGuestSeccomp of [true, false]) {
      const out = rewriteSpec(spec, readSpec(spec), { ...GUEST, disableGuestSeccomp }).spec;
      // Each message once, or rust-protobuf would lose the first occurrence.
      const canonical = oracleType('Spec').encode(oracleType('Spec').decode(out)).finish();
      assert.is(out.length, canonical.length);
    }
  });
}

rewriting('what no rule names reaches the guest as it was', () => {
  const spec = fixture('every-field.json');
  const before = reading('Spec', spec) as Record<string, Values>;
  const after = rewritten(spec, { disableGuestSeccomp: false }).spec as Record<string, Values>;
  const { SelinuxLabel, ...process } = before.Process as Values;
  assert.is(SelinuxLabel, 'system_u:system_r:container_t:s0:c1,c2');
  deepStrictEqual(after.Process, process);
  deepStrictEqual(after.Root, { Path: '/guest/rootfs', Readonly: true });
  deepStrictEqual([after.Version, after.Hostname, after.Mounts], [before.Version, before.Hostname, before.Mounts]);
  const { MountLabel, Namespaces, Devices, Resources, ...linux } = before.Linux as Values;
  const { Network, ...resources } = Resources as Values;
  assert.ok(MountLabel && Namespaces && Devices && Network);
  deepStrictEqual(after.Linux, {
    ...linux,
    Resources: resources,
    Namespaces: [{ Type: 'ipc' }, { Type: 'uts' }, { Type: 'mount' }, { Type: 'user' }],
    Devices: [(Devices as unknown[])[0]],
  });
  // The hooks that run in the container's own namespaces, from its own root.
  deepStrictEqual(after.Hooks, { StartContainer: [{ Path: '/bin/start-container' }] });
  for (const field of ['Solaris', 'Windows']) assert.is(after[field], undefined);
});

rewriting('seccomp goes where the configuration disables it', () => {
  const linux = { seccomp: { defaultAction: 'SCMP_ACT_ALLOW' }, cgroupsPath: '/c' };
  deepStrictEqual(guestSpec({ linux }).Linux, { CgroupsPath: '/c' });
  deepStrictEqual(guestSpec({ linux }, { disableGuestSeccomp: false }).Linux, {
    CgroupsPath: '/c',
    Seccomp: { DefaultAction: 'SCMP_ACT_ALLOW' },
  });
});

rewriting('a spec of next to nothing', () => {
  deepStrictEqual(guestSpec({}), {
    Process: { Args: ['sh'], Cwd: '/' },
    Root: { Path: '/guest/rootfs' },
    Annotations: {
      'io.katacontainers.pkg.oci.container_type': 'single_container',
      'io.katacontainers.pkg.oci.bundle_path': '/run/bundle',
    },
  });
});

rewriting('sandbox_pidns: a pid namespace of somebody is the sandbox to share', () => {
  const sharing = (namespaces: object[]): boolean =>
    rewritten(encoded({ ...MINIMAL, linux: { namespaces } })).sandboxPidns;
  assert.is(sharing([]), false);
  assert.is(sharing([{ type: 'pid' }]), false);
  assert.is(
    sharing([
      { type: 'pid', path: '' },
      { type: 'ipc', path: '/proc/1/ns/ipc' },
    ]),
    false,
  );
  assert.is(sharing([{ type: 'pid', path: '/proc/1/ns/pid' }]), true);
});

rewriting('hostPID: a container of a pod without a pid namespace shares the pod’s', () => {
  const sharing = (type: string): boolean => {
    const annotations = { 'io.kubernetes.cri.container-type': type, 'io.kubernetes.cri.sandbox-id': 's1' };
    return rewritten(encoded({ ...MINIMAL, annotations, linux: { namespaces: [{ type: 'mount' }] } })).sandboxPidns;
  };
  assert.is(sharing('container'), true);
  assert.is(sharing('sandbox'), false);
});

rewriting('sysctls of the pod join the container’s', () => {
  const linux = { sysctl: { 'kernel.msgmax': '1' } };
  const sysctls = { 'net.core.somaxconn': '1024' };
  const both = { 'kernel.msgmax': '1', 'net.core.somaxconn': '1024' };
  deepStrictEqual(guestSpec({ linux }, { sysctls }).Linux, { Sysctl: both });
  deepStrictEqual(guestSpec({}, { sysctls }).Linux, { Sysctl: sysctls });
});

rewriting('namespaces of unknown types are left to the guest', () => {
  const namespaces = [
    { type: 'constructor', path: '/x' },
    { type: 'network', path: '/netns' },
  ];
  deepStrictEqual(guestSpec({ linux: { namespaces } }).Linux, { Namespaces: [{ Type: 'constructor' }] });
});

rewriting('annotations', () => {
  const annotations = JSON.parse('{"a":"b","__proto__":"p"}');
  annotations['io.katacontainers.config.agent.policy'] = 'secret';
  annotations['io.katacontainers.config.hypervisor.cc_init_data'] = 'secret';
  annotations['io.katacontainers.pkg.oci.bundle_path'] = '/forged';
  annotations['io.kubernetes.cri.container-type'] = 'container';
  annotations['io.kubernetes.cri.sandbox-id'] = 'pod';
  const expected = JSON.parse('{"a":"b","__proto__":"p"}');
  expected['io.kubernetes.cri.container-type'] = 'container';
  expected['io.kubernetes.cri.sandbox-id'] = 'pod';
  expected['io.katacontainers.pkg.oci.container_type'] = 'pod_container';
  expected['io.katacontainers.pkg.oci.bundle_path'] = '/run/bundle';
  deepStrictEqual(
    readSpec(
      rewriteSpec(encoded({ ...MINIMAL, annotations }), readSpec(encoded({ ...MINIMAL, annotations })), GUEST).spec,
    ).annotations,
    Object.assign(Object.create(null), expected, { ['__proto__']: 'p' }),
  );
});

rewriting('block devices and VFIO groups are left out, and said so', () => {
  const devices = [
    { path: '/dev/fuse', type: 'c', major: 10, minor: 229 },
    { path: '/dev/sda', type: 'b', major: 8, minor: 0 },
    { path: '/dev/vfio/17', type: 'c', major: 240, minor: 1 },
    { path: '/dev/vfio/devices/vfio0', type: 'c', major: 241, minor: 0 },
    { path: '/dev/vfio', type: 'c', major: 10, minor: 196 },
  ];
  const { spec, omitted } = rewritten(encoded({ ...MINIMAL, linux: { devices } }));
  deepStrictEqual(
    (spec.Linux as { Devices: Values[] }).Devices.map(({ Path }) => Path),
    ['/dev/fuse', '/dev/vfio'],
  );
  deepStrictEqual(omitted, [
    'device /dev/sda (b 8:0): the same numbers are other disks in the guest',
    'device /dev/vfio/17 (c 240:1): VFIO groups are of the host',
    'device /dev/vfio/devices/vfio0 (c 241:0): VFIO groups are of the host',
  ]);
});

rewriting('a block device that the guest has been given stays', () => {
  const devices = [
    { path: '/dev/xvda', type: 'b', major: 8, minor: 0, fileMode: 0o640, uid: 7 },
    { path: '/dev/xvdb', type: 'b', major: 8, minor: 16 },
  ];
  const { spec, omitted } = rewritten(encoded({ ...MINIMAL, linux: { devices } }), {
    blockDevices: new Set(['/dev/xvda']),
  });
  deepStrictEqual((spec.Linux as { Devices: Values[] }).Devices, [
    { Path: '/dev/xvda', Type: 'b', Major: '8', FileMode: 0o640, UID: 7 },
  ]);
  assert.is(omitted.length, 1);
});

rewriting('an exec and an update lose what the spec would lose there', () => {
  const { Process, Linux } = reading('Spec', fixture('every-field.json')) as { Process: Values; Linux: Values };
  const { SelinuxLabel, ...process } = Process;
  const { Network, ...resources } = Linux.Resources as Values;
  assert.ok(SelinuxLabel && Network);
  const ofSpec = (name: string, value: object): Uint8Array =>
    oracleType(name).encode(oracleType(name).fromObject(value)).finish();
  deepStrictEqual(reading('Process', rewriteProcess(ofSpec('Process', Process))), process);
  const update = rewriteResources(ofSpec('LinuxResources', Linux.Resources as Values));
  deepStrictEqual(reading('LinuxResources', update), resources);
});

rewriting.run();
