/** What an operator sees of a real pod: kata-monitor as it is installed, its metrics before Prometheus' own judge. One boot. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { childrenOf } from '../../host/process.ts';
import { BUILD } from '../../setup/paths.ts';
import { promtool } from '../../setup/prometheus.ts';
import { eachContainerd, testedVersions } from '../harness/containerd.ts';
import { until } from '../harness/containers.ts';
import { missing, OF_MONITOR, OF_SANDBOX } from '../harness/kata-dashboard.ts';
import { KATAS_REMARKS, remarksOf } from '../harness/promtool.ts';

const MIB = 1024 * 1024;
/** One containerd is enough: the monitor never asks it for anything but names. */
const VERSIONS = testedVersions().slice(-1);

eachContainerd(
  'kata-monitor',
  (test) => {
    const directory = mkdtempSync('/tmp/ke-monitor-');
    const socket = join(directory, 'monitor.sock');
    let monitor: ChildProcess | undefined;
    let id = '';
    process.on('exit', () => {
      monitor?.kill('SIGKILL');
      rmSync(directory, { recursive: true, force: true });
    });

    const get = (path: string): string =>
      execFileSync('curl', ['-sS', '--max-time', '20', '--unix-socket', socket, `http://monitor${path}`], {
        encoding: 'utf8',
        maxBuffer: 64 * MIB,
      });
    const series = (text: string): Map<string, number> => {
      const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
      return new Map(
        lines.map((line) => [
          line.slice(0, line.lastIndexOf(' ')).replace(/,?sandbox_id="[^}]*/, ''),
          Number(line.slice(line.lastIndexOf(' '))),
        ]),
      );
    };

    /** Lines about the sandbox: there may be others on this machine. */
    const mine = (text: string): string =>
      text
        .split('\n')
        .filter((line) => line.includes(`sandbox_id="${id}"`))
        .join('\n');

    test('it starts, and finds the sandbox', async ({ containers }) => {
      id = await containers.detached(['sleep', '100000']);
      const words = ['-listen-address', `unix:${socket}`, '-runtime-endpoint', ''];
      const child = spawn(join(BUILD, 'bin/kata-monitor'), words, { stdio: ['ignore', 'ignore', 'pipe'] });
      monitor = child;
      let said = '';
      child.stderr?.on('data', (part) => {
        said += part;
      });
      await until('kata-monitor answers', () => said.includes('kata-monitor answers'));
      assert.ok(get('/sandboxes').split('\n').includes(id));
    });

    test('every part of the pod is there, under the names of Kata’s dashboards', async ({ containers }) => {
      await containers.exec(id, ['true']);
      assert.is(series(get(`/metrics?sandbox=${id}`)).get('kata_shim_guest_scrape_failed{}'), 0);
      const text = get(`/metrics?sandbox=${id}`);
      assert.equal(missing(text, OF_SANDBOX), []);
      assert.equal(missing(get('/metrics'), OF_MONITOR), []);
      const found = series(text);
      const value = (name: string): number => found.get(name) ?? Number.NaN;
      for (const part of ['shim', 'hypervisor']) {
        assert.ok(value(`kata_${part}_threads{}`) > 0, part);
        assert.ok(value(`kata_${part}_fds{}`) > 0, part);
        assert.ok(value(`kata_${part}_proc_status{item="vmrss"}`) > MIB, part);
        assert.ok(value(`kata_${part}_io_stat{item="rchar"}`) > 0, part);
      }
      assert.ok(value('kata_hypervisor_netdev{interface="lo",item="recv_bytes"}') >= 0);
      assert.is(value('kata_shim_guest_scrape_failed{}'), 0);
      assert.is(value('kata_shim_guest_lines_dropped{}'), 0);
      assert.ok(value('kata_guest_meminfo{item="mem_total"}') > 32 * MIB);
      assert.ok(value('kata_guest_load{item="load1"}') >= 0);
      assert.ok(value('kata_guest_cpu_time{cpu="total",item="system"}') > 0);
      assert.ok(value('kata_agent_process_resident_memory_bytes{}') > MIB / 4);
      assert.ok(value('kata_shim_rpc_durations_histogram_milliseconds_count{action="create"}') === 1);
      assert.ok(value('kata_shim_rpc_durations_histogram_milliseconds_count{action="exec"}') === 1);
      const agent = 'kata_shim_agent_rpc_durations_histogram_milliseconds_count';
      assert.ok(value(`${agent}{action="grpc.CreateContainerRequest"}`) === 1);
      assert.ok(value(`${agent}{action="grpc.GetMetricsRequest"}`) >= 1);
    });

    test('overhead is that of this machine’s processes, and not nothing', async () => {
      const found = series(get(`/metrics?sandbox=${id}`));
      const state = sandboxState(id);
      let pss = 0;
      for (const { name, pid } of [state.shim, ...state.children]) {
        const pids = name === 'virtiofsd' ? [pid, ...childrenOf(pid).map((child) => child.pid)] : [pid];
        assert.ok(name !== 'virtiofsd' || pids.length > 1, 'the daemon has a child that serves');
        const kib = pids.map((each) =>
          Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${each}/smaps_rollup`, 'utf8'))?.[1]),
        );
        const bytes = kib.reduce((sum, each) => sum + each, 0) * 1024;
        const told = found.get(`kata_shim_pod_pss_bytes{part="${name}"}`) ?? 0;
        assert.ok(Math.abs(told / bytes - 1) < 0.5, `${name}: ${told} of ${bytes}`);
        pss += told;
      }
      const overhead = found.get('kata_shim_pod_overhead_memory_in_bytes{}') ?? 0;
      assert.ok(overhead > 0 && overhead <= pss, `${overhead} of ${pss}`);
      assert.ok((found.get('kata_shim_pod_overhead_cpu{}') ?? -1) >= 0);
    });

    test('a guest that stands still costs its own metrics only', async () => {
      const qemu = sandboxState(id).children.find(({ name }) => name === 'qemu');
      process.kill(qemu?.pid ?? 0, 'SIGSTOP');
      try {
        const found = series(mine(get('/metrics?filter_family=kata_')));
        assert.is(found.get('kata_shim_guest_scrape_failed{}'), 1);
        assert.ok((found.get('kata_hypervisor_threads{}') ?? 0) > 0);
        assert.ok((found.get('kata_shim_pod_pss_bytes{part="qemu"}') ?? 0) > 0);
        assert.not.ok(found.has('kata_shim_pod_overhead_memory_in_bytes{}'));
        assert.is(found.get('kata_monitor_sandbox_scrape_failed{}'), 0);
      } finally {
        process.kill(qemu?.pid ?? 0, 'SIGCONT');
      }
      await until(
        'the guest answers again',
        () => series(get(`/metrics?sandbox=${id}`)).get('kata_shim_guest_scrape_failed{}') === 0,
      );
    });

    test('the sandbox’s start is counted by phase', async () => {
      const text = get('/metrics');
      const count = Number(/^kata_monitor_sandbox_start_seconds_count (\d+)$/m.exec(text)?.[1]);
      assert.ok(count >= 1);
      for (const phase of ['shim', 'host', 'vmm', 'guest_boot', 'agent', 'create', 'start']) {
        assert.match(text, new RegExp(`^kata_shim_start_phase_seconds\\{phase="${phase}",sandbox_id="${id}"`, 'm'));
      }
    });

    test('promtool has nothing against it but the names that Kata chose', async () => {
      const remarks = await remarksOf(await promtool(), get('/metrics'));
      assert.equal(
        remarks.filter((remark) => !KATAS_REMARKS.has(remark)),
        [],
      );
      assert.equal(await remarksOf(await promtool(), get('/metrics?filter_family=kata_hypervisor,kata_guest')), []);
    });

    test('the agent’s address is told', async () => {
      assert.match(get(`/agent-url?sandbox=${id}`), /^\S+\n$/);
    });

    test('a sandbox that is gone is no longer told of', async ({ containers }) => {
      await containers.remove(id);
      assert.not.ok(get('/sandboxes').split('\n').includes(id));
      assert.not.match(get('/metrics'), id);
    });

    test('SIGTERM ends it in order', async () => {
      const ended = new Promise((resolve) => monitor?.once('exit', resolve));
      monitor?.kill('SIGTERM');
      assert.is(await ended, 0);
    });
  },
  VERSIONS,
);

interface Named {
  readonly name: string;
  readonly pid: number;
}

function sandboxState(id: string): { shim: Named; children: Named[] } {
  const found = execFileSync('sh', ['-c', `grep -l '"id":"${id}"' /run/kata-containers/*/state.json`], {
    encoding: 'utf8',
  });
  return JSON.parse(readFileSync(found.trim(), 'utf8')) as { shim: Named; children: Named[] };
}
