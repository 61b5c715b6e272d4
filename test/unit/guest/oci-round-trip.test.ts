/**
 * Any config.json → grpc.Spec (host) → config.json for crun (agent) → grpc.Spec: the same in all that a guest's container takes from
 * the host. What it does not, and `carried` leaves out: rootfs, cgroup path, version and namespaces, which the sandbox
 * decides; AppArmor, which its kernel lacks; limits that cgroup v2 has not, or that the agent sets by itself.
 */
import { deepStrictEqual } from 'node:assert';
import fc from 'fast-check';
import { suite } from 'uvu';
import { configOf, jsonText } from '../../../guest/agent/oci-config.ts';
import { dottedSysctl, NET_SYSCTL } from '../../../guest/agent/oci-linux.ts';
import { translateSpec } from '../../../host/oci/translate.ts';
import { decode } from '../../../host/proto/codec.ts';
import { type Hook, type Linux, type LinuxDevice, type Process, Spec } from '../../../host/proto/messages/oci.ts';
import { messageOf, spaces, write } from '../oci/documents.ts';

const SEED = 20_261_121;
const PLACE = { rootfs: '/rootfs', cgroupsPath: '/cgroup', selinux: true };

const trips = suite('config.json to the guest and back');

trips('any document', () => {
  fc.assert(
    fc.property(messageOf('Spec'), spaces, (tree, space) => {
      const sent = decode(Spec, translateSpec(Buffer.from(write(tree, space))));
      const text = jsonText(configOf(sent, PLACE));
      const back = decode(Spec, translateSpec(Buffer.from(text)));
      deepStrictEqual(carried(back), carried(sent), text);
    }),
    { seed: SEED, numRuns: 2000 },
  );
});

trips('any process, in full', () => {
  fc.assert(
    fc.property(messageOf('Process'), spaces, (tree, space) => {
      const json = `{"process":${write(tree, space)}}`;
      const sent = decode(Spec, translateSpec(Buffer.from(json)));
      const back = decode(Spec, translateSpec(Buffer.from(jsonText(configOf(sent, PLACE)))));
      deepStrictEqual(carried(back), carried(sent), json);
    }),
    { seed: SEED, numRuns: 2000 },
  );
});

trips.run();

function carried(spec: Spec): unknown {
  return {
    process: spec.Process && processOf(spec.Process),
    readonly: spec.Root?.Readonly ?? false,
    hostname: spec.Hostname,
    domainname: spec.Domainname,
    mounts: spec.Mounts.map(({ options, ...mount }) => {
      const isBind = mount.type !== 'bind' || options.includes('bind') || options.includes('rbind');
      return { ...mount, options: isBind ? options : [...options, 'rbind'] };
    }),
    hooks: Object.values(spec.Hooks ?? {}).flatMap((hooks: Hook[], index) =>
      hooks.map((hook) => [index, hookOf(hook)]),
    ),
    annotations: entries(spec.Annotations, (key) => !key.startsWith('run.oci.')),
    ...linuxOf(spec.Linux),
  };
}

function processOf(process: Process): unknown {
  const { ApparmorProfile, ConsoleSize, User, Cwd, ...rest } = process;
  const { Username, ...user } = User ?? { UID: 0, GID: 0, AdditionalGids: [], Umask: undefined };
  const isSized = ConsoleSize && (ConsoleSize.Height > 0 || ConsoleSize.Width > 0);
  return { ...rest, user, cwd: Cwd || '/', size: isSized ? ConsoleSize : undefined };
}

function hookOf(hook: Hook): unknown {
  const { Timeout, ...rest } = hook;
  return { ...rest, timeout: Timeout > 0 ? Timeout : undefined };
}

function linuxOf(linux: Linux | undefined): object {
  const sysctls = Object.entries(linux?.Sysctl ?? {}).map(([name, value]) => [dottedSysctl(name), value] as const);
  const { Memory, CPU, Pids } = linux?.Resources ?? {};
  return {
    uidMappings: linux?.UIDMappings ?? [],
    gidMappings: linux?.GIDMappings ?? [],
    sysctls: entries(Object.fromEntries(sysctls), (name) => !name.startsWith(NET_SYSCTL)),
    devices: (linux?.Devices ?? []).map((device: LinuxDevice) => device),
    seccomp: linux?.Seccomp,
    personality: linux?.Personality?.Domain,
    rootfsPropagation: linux?.RootfsPropagation ?? '',
    maskedPaths: linux?.MaskedPaths ?? [],
    readonlyPaths: linux?.ReadonlyPaths ?? [],
    mountLabel: linux?.MountLabel ?? '',
    memory: [Memory?.Limit ?? 0, Memory?.Reservation ?? 0, Memory?.Limit ? Memory.Swap : 0],
    cpu: [CPU?.Shares ?? 0, CPU?.Quota ?? 0, CPU?.Period ?? 0, CPU?.Cpus ?? '', CPU?.Mems ?? ''],
    pids: Pids?.Limit ?? 0,
  };
}

function entries(map: Readonly<Record<string, string>>, isKept: (key: string) => boolean): [string, string][] {
  return Object.entries(map)
    .filter(([key]) => isKept(key))
    .sort(([a], [b]) => (a < b ? -1 : 1));
}
