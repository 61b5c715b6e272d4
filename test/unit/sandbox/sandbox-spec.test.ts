import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { encode, type Init } from '../../../host/proto/codec.ts';
import type { StatsContainerResponse } from '../../../host/proto/messages/agent.ts';
import { PodSandboxConfig } from '../../../host/proto/messages/cri.ts';
import { podSpec, type SandboxSpec } from '../../../host/sandbox/sandbox-spec.ts';
import { MAX_HOSTNAME_LENGTH } from '../../../host/sandbox/spec.ts';
import { sumStats } from '../../../host/sandbox/sum-stats.ts';

const test = suite("a pod's configuration");

function spec(config: Init<PodSandboxConfig>, netns = '/run/netns/p'): SandboxSpec {
  const options = { type_url: 'runtime.v1.PodSandboxConfig', value: encode(PodSandboxConfig, config) };
  return podSpec(options, netns, 'p1');
}

test('its limits are what the size is made from, as annotations of the other way are', () => {
  const resources = { cpu_period: 100_000, cpu_quota: 150_000, cpu_shares: 512, memory_limit_in_bytes: 2 ** 31 };
  const annotations = { 'io.kubernetes.cri.sandbox-memory': '1', 'io.katacontainers.config.x': 'y' };
  const { sizing, annotations: own } = spec({ annotations, linux: { resources } });
  assert.equal(
    { ...sizing.annotations },
    {
      'io.katacontainers.config.x': 'y',
      'io.kubernetes.cri.sandbox-cpu-period': '100000',
      'io.kubernetes.cri.sandbox-cpu-quota': '150000',
      'io.kubernetes.cri.sandbox-cpu-shares': '512',
      'io.kubernetes.cri.sandbox-memory': String(2 ** 31),
    },
  );
  assert.is(own['io.katacontainers.config.x'], 'y');
});

test('its cgroup is a directory or a unit, as its parent is', () => {
  const path = (cgroup_parent: string) => spec({ linux: { cgroup_parent } }).cgroupsPath;
  assert.is(path('/kubepods/pod7'), '/kubepods/pod7/p1');
  assert.is(path('/kubepods.slice/kubepods-pod7.slice'), 'kubepods-pod7.slice:cri-containerd:p1');
  assert.is(path(''), '/k8s.io/p1');
});

test("its network namespace is the given one, one of its own, or the host's", () => {
  assert.equal(spec({}).namespaces, [{ type: 'network', path: '/run/netns/p' }]);
  assert.equal(spec({}, '').namespaces, [{ type: 'network', path: '' }]);
  assert.equal(spec({ linux: { security_context: { namespace_options: { network: 2 } } } }).namespaces, []);
});

test('a host name longer than Linux holds is cut, a line break in DNS makes no line of its own', () => {
  const { hostname, dns } = spec({
    hostname: 'h'.repeat(MAX_HOSTNAME_LENGTH + 1),
    dns_config: { servers: ['10.0.0.1', '1\nnameserver 6.6.6.6'], searches: [], options: [] },
  });
  assert.is(hostname.length, MAX_HOSTNAME_LENGTH);
  assert.equal(dns, ['nameserver 10.0.0.1']);
});

test("a pod's use is the sum of its containers', its network counted once", () => {
  const stats = (total: number | bigint): StatsContainerResponse =>
    ({
      cgroup_stats: {
        cpu_stats: {
          cpu_usage: { total_usage: total, usage_in_kernelmode: 1, usage_in_usermode: 2, percpu_usage: [] },
        },
        memory_stats: {
          cache: 5,
          usage: { usage: 10, max_usage: 20, failcnt: 1, limit: 99 },
          stats: { inactive_file: 3 },
        },
        pids_stats: { current: 2, limit: 9 },
      },
      network_stats: [{ name: 'eth0', rx_bytes: 7 }],
    }) as unknown as StatsContainerResponse;
  const sum = sumStats([stats(100), undefined, stats(200)]);
  assert.equal(sum.cgroup_stats?.cpu_stats?.cpu_usage?.total_usage, 300n);
  assert.equal(sum.cgroup_stats?.memory_stats?.usage, { usage: 20n, max_usage: 40n, failcnt: 2n, limit: 0 });
  assert.equal({ ...sum.cgroup_stats?.memory_stats?.stats }, { inactive_file: 6n });
  assert.equal(sum.cgroup_stats?.pids_stats?.current, 4n);
  assert.is(sum.network_stats.length, 1);
  // The guest's numbers are its own business; they must not throw.
  assert.is(sumStats([stats(2n ** 64n - 1n), stats(2)]).cgroup_stats?.cpu_stats?.cpu_usage?.total_usage, 1n);
  assert.equal(sumStats([]).network_stats, []);
});

test.run();
