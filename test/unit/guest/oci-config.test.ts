/** config.json → grpc.Spec by the host → config.json for crun: what goes in comes out, save what the guest decides. */
import fs from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { configOf, jsonText } from '../../../guest/agent/oci-config.ts';
import { translateInJs } from '../../../host/oci/translate-js.ts';
import { decode, encode, type Init } from '../../../host/proto/codec.ts';
import { Spec } from '../../../host/proto/messages/oci.ts';

const FIXTURES = new URL('../../fixtures/oci/', import.meta.url);
const PLACE = { rootfs: '/run/kata-containers/x/rootfs', cgroupsPath: '/kata/x', selinux: false };

// biome-ignore lint/suspicious/noExplicitAny: documents of many shapes, read by the test only.
type Document = any;

const config = suite('config.json for crun');

function through(document: string | Uint8Array, place: Parameters<typeof configOf>[1] = PLACE): Document {
  const bytes = typeof document === 'string' ? new TextEncoder().encode(document) : document;
  return JSON.parse(jsonText(configOf(decode(Spec, translateInJs('Spec', bytes)), place)));
}

/** Without empty lists: protobuf does not tell them from absent ones, and config.json means the same by both. */
function bare(value: Document): Document {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.length > 0 ? value.map(bare) : undefined;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, item]) => (bare(item) === undefined ? [] : [[key, bare(item)]])),
  );
}

function spec(part: Init<Spec>): Document {
  return JSON.parse(jsonText(configOf(decode(Spec, encode(Spec, part)), PLACE)));
}

for (const file of fs.readdirSync(FIXTURES).filter((name) => name.endsWith('.json'))) {
  config(file, () => {
    const bytes = fs.readFileSync(new URL(file, FIXTURES));
    const before: Document = bare(JSON.parse(bytes.toString()));
    const after = bare(through(bytes));
    assert.is(after.ociVersion, '1.0.2', 'crun 1.8 takes no later one');
    for (const key of ['args', 'env', 'cwd', 'capabilities', 'rlimits']) {
      assert.equal(after.process[key], before.process[key], `process.${key}`);
    }
    assert.is(after.process.noNewPrivileges, before.process.noNewPrivileges ?? false);
    assert.is(after.process.oomScoreAdj, before.process.oomScoreAdj ?? 0);
    assert.is(after.process.user.uid, before.process.user.uid);
    assert.equal(after.process.user.additionalGids, before.process.user.additionalGids);
    assert.equal(
      after.mounts.map((mount: Document) => [mount.destination, mount.type, mount.source, mount.options]),
      before.mounts.map((mount: Document) => [mount.destination, mount.type, mount.source, mount.options]),
    );
    assert.equal(after.hooks, before.hooks);
    assert.equal(after.annotations, before.annotations);
    for (const key of ['maskedPaths', 'readonlyPaths', 'devices', 'uidMappings', 'gidMappings', 'rootfsPropagation']) {
      assert.equal(after.linux[key], before.linux[key], `linux.${key}`);
    }
    const filter = before.linux.seccomp;
    assert.equal(after.linux.seccomp?.architectures, filter?.architectures);
    assert.is(after.linux.seccomp?.defaultAction, filter?.defaultAction);
    assert.equal(
      after.linux.seccomp?.syscalls.map((call: Document) => [
        call.names,
        call.action,
        call.errnoRet,
        call.args?.length ?? 0,
      ]),
      filter?.syscalls.map((call: Document) => [call.names, call.action, call.errnoRet, call.args?.length ?? 0]),
    );
    assert.equal(after.linux.resources.cpu?.shares, before.linux.resources?.cpu?.shares);
    assert.equal(after.root, { path: PLACE.rootfs, readonly: before.root.readonly ?? false });
  });
}

config('numbers beyond 2^53 stay exact', () => {
  const bytes = fs.readFileSync(new URL('every-field.json', FIXTURES));
  const text = jsonText(configOf(decode(Spec, translateInJs('Spec', bytes)), PLACE));
  assert.match(text, /"hard":18446744073709551615,"soft":9223372036854775808/);
  assert.match(text, /"hard":9007199254740993/);
});

config('what cgroup v2 cannot do, and labels without SELinux, are left out', () => {
  const bytes = fs.readFileSync(new URL('every-field.json', FIXTURES));
  const { linux, process } = through(bytes);
  assert.equal(linux.resources.memory, { limit: 536870912, reservation: 268435456, swap: -1 });
  assert.equal(Object.keys(linux.resources.cpu), ['shares', 'quota', 'period', 'cpus', 'mems']);
  assert.equal(Object.keys(linux.resources), ['devices', 'memory', 'cpu', 'pids']);
  assert.is(linux.mountLabel, undefined);
  assert.is(process.selinuxLabel, undefined);
  assert.is(process.apparmorProfile, undefined);
  const labelled = through(bytes, { ...PLACE, selinux: true });
  assert.match(labelled.process.selinuxLabel, /container_t/);
  assert.match(labelled.linux.mountLabel, /container_file_t/);
});

config('namespaces: the sandbox shares, network and time are the machine\u2019s, three are always there', () => {
  const bytes = fs.readFileSync(new URL('every-field.json', FIXTURES));
  const place = { ...PLACE, ipc: '/proc/9/ns/ipc', uts: '/proc/9/ns/uts', pid: '/proc/7/ns/pid' };
  assert.equal(through(bytes, place).linux.namespaces, [
    { type: 'ipc', path: '/proc/9/ns/ipc' },
    { type: 'uts', path: '/proc/9/ns/uts' },
    { type: 'user' },
    { type: 'mount' },
    { type: 'pid', path: '/proc/7/ns/pid' },
    { type: 'cgroup' },
  ]);
  assert.equal(spec({}).linux.namespaces, [{ type: 'mount' }, { type: 'pid' }, { type: 'cgroup' }]);
});

config('network sysctls are the agent\u2019s, the others crun\u2019s', () => {
  const { linux } = spec({ Linux: { Sysctl: { 'net.core.somaxconn': '1', 'kernel.shmmax': '2' } } });
  assert.equal(linux.sysctl, { 'kernel.shmmax': '2' });
  const slashes = spec({ Linux: { Sysctl: { 'net/ipv4/conf/eth0.7/arp_ignore': '1', 'kernel/shmmax': '2' } } });
  assert.equal(slashes.linux.sysctl, { 'kernel.shmmax': '2' });
});

config('without device rules everything but the usual devices is denied', () => {
  const Devices = [{ Path: '/dev/sdx', Type: 'b', Major: 8, Minor: 0 }];
  const rules: Document[] = spec({ Linux: { Devices } }).linux.resources.devices;
  assert.equal(rules[0], { allow: false, access: 'rwm' });
  assert.ok(rules.slice(1).every((rule) => rule.allow));
  assert.equal(
    rules.filter((rule) => rule.type === 'b'),
    [
      { allow: true, type: 'b', access: 'm' },
      { allow: true, type: 'b', major: 8, minor: 0, access: 'rwm' },
    ],
  );
});

config('device rules: 0 and -1 as major mean any, minor 0 below a major is a device', () => {
  const rule = (Major: number, Minor: number) => ({ Allow: true, Type: 'c', Major, Minor, Access: 'rw' });
  const { devices } = spec({ Linux: { Resources: { Devices: [rule(0, 0), rule(-1, -1), rule(8, 0), rule(10, -1)] } } })
    .linux.resources;
  assert.equal(
    devices.map((each: Document) => [each.major, each.minor]),
    [
      [undefined, undefined],
      [undefined, undefined],
      [8, 0],
      [10, undefined],
    ],
  );
});

config('crun\u2019s own annotations are out of reach, a bind mount is one', () => {
  const after = spec({
    Annotations: { 'run.oci.handler': 'krun', kept: 'yes' },
    Mounts: [{ destination: '/a', source: '/b', type: 'bind', options: ['ro'] }],
  });
  assert.equal(after.annotations, { kept: 'yes' });
  assert.equal(after.mounts[0].options, ['ro', 'rbind']);
});

config('an empty message is a valid config', () => {
  const after = spec({ Process: { Args: ['x'] } });
  assert.equal(after.process, {
    terminal: false,
    user: { uid: 0, gid: 0 },
    args: ['x'],
    env: [],
    cwd: '/',
    noNewPrivileges: false,
    oomScoreAdj: 0,
  });
  assert.is(after.ociVersion, '1.0.2');
});

config.run();
