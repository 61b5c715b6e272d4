/** The names and items under which dashboards made for Kata look for a guest's metrics, from what its kernel says. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { metricsText } from '../../../guest/agent/metrics.ts';
import { DEFAULT_OPTIONS, type Guest } from '../../../guest/agent/options.ts';
import type { Sys } from '../../../guest/agent/sys.ts';

const DEVICE = 'eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16';
const FILES: Readonly<Record<string, string>> = {
  '/proc/self/stat': `1 (a) b) S 0 1 1 0 -1 0 0 0 0 0 250 150 7 8 20 0 3 0 5 4096000 100 ${'0 '.repeat(28)}\n`,
  '/proc/self/status': 'Name:\tagent\nPid:\t1\nVmPeak:\t  900 kB\nVmRSS:\t  400 kB\nvoluntary_ctxt_switches:\t12\n',
  '/proc/self/io': 'rchar: 5\ncancelled_write_bytes: 0\n',
  '/proc/self/mounts': [
    '/dev/vda /data ext4 rw,relatime 0 0',
    '/dev/vdb /image ext4 ro,relatime 0 0',
    'proc /proc proc rw 0 0',
  ].join('\n'),
  '/proc/loadavg': '0.10 0.20 0.30 2/55 99\n',
  '/proc/vmstat': 'nr_free_pages 7\n',
  '/proc/stat': 'cpu  100 0 50 200 1 2 3 4 5 6\ncpu0 100 0 50 200 1 2 3 4 5 6\nintr 9\n',
  '/proc/net/dev': `Inter-|   Receive\n face |bytes\n    ${DEVICE}\n`,
  '/proc/diskstats': ' 254 0 vda 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17\n',
  '/proc/meminfo': [
    'MemTotal: 100 kB',
    'Active(anon): 1 kB',
    'SReclaimable: 2 kB',
    'NFS_Unstable: 3 kB',
    'Committed_AS: 4 kB',
    'Percpu: 5 kB',
    'AnonHugePages: 6 kB',
    'HugePages_Total: 7',
    'Hugepagesize: 8 kB',
    'DirectMap4k: 9 kB',
    'DirectMap2M: 10 kB',
  ].join('\n'),
};

const sys = {
  readFile(path: string): Uint8Array {
    const text = FILES[path];
    if (text === undefined) throw new Error(`no ${path}`);
    return Buffer.from(text);
  },
  readdir: () => ['0', '1', '2', '3'],
  statfs: () => ({ blockSize: 4096, blocks: 10, blocksFree: 6, blocksAvailable: 5, files: 100, filesFree: 90 }),
} as unknown as Sys;

function seriesOf(): Map<string, number> {
  const text = metricsText({ sys, options: DEFAULT_OPTIONS } as unknown as Guest);
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
  );
}

test('memory is told in bytes, and numbers of pages as they are, by the names of Kata’s agent', () => {
  const series = seriesOf();
  const items = {
    mem_total: 102400,
    active_anon: 1024,
    s_reclaimable: 2048,
    nfs_unstable: 3072,
    committed_as: 4096,
    per_cpu: 5120,
    anon_hugepages: 6144,
    hugepages_total: 7,
    hugepagesize: 8192,
    direct_map_4k: 9216,
    direct_map_2M: 10240,
  };
  for (const [item, value] of Object.entries(items)) assert.is(series.get(`kata_guest_meminfo{item="${item}"}`), value);
});

test('processor time is told in milliseconds, in all and by processor', () => {
  const series = seriesOf();
  assert.is(series.get('kata_guest_cpu_time{cpu="total",item="user"}'), 1000);
  assert.is(series.get('kata_guest_cpu_time{cpu="0",item="guest_nice"}'), 60);
});

test('every column of a network device and of a disk has its name', () => {
  const series = seriesOf();
  const net = ['recv_bytes', 'recv_packets', 'recv_errs', 'recv_drop', 'recv_fifo', 'recv_frame', 'recv_compressed'];
  net.push('recv_multicast', 'sent_bytes', 'sent_packets', 'sent_errs', 'sent_drop', 'sent_fifo', 'sent_colls');
  net.push('sent_carrier', 'sent_compressed');
  net.forEach((item, i) => {
    assert.is(series.get(`kata_guest_netdev_stat{interface="eth0",item="${item}"}`), i + 1, item);
  });
  const disk = ['reads', 'merged', 'sectors_read', 'time_reading', 'writes', 'writes_merged', 'sectors_written'];
  disk.push('time_writing', 'in_progress', 'time_in_progress', 'weighted_time_in_progress', 'discards');
  disk.push('discards_merged', 'sectors_discarded', 'time_discarding', 'flushes', 'time_flushing');
  disk.forEach((item, i) => {
    assert.is(series.get(`kata_guest_diskstat{disk="vda",item="${item}"}`), i + 1, item);
  });
});

test('the agent tells of itself, under Kata’s names and those of every Prometheus client', () => {
  const series = seriesOf();
  assert.is(series.get('kata_agent_threads'), 3);
  assert.is(series.get('kata_agent_total_time'), 4);
  assert.is(series.get('kata_agent_total_rss'), 409600);
  assert.is(series.get('kata_agent_process_open_fds'), 4);
  assert.is(series.get('kata_agent_process_resident_memory_bytes'), 409600);
  assert.is(series.get('kata_agent_proc_status{item="vmrss"}'), 400);
  assert.is(series.get('kata_agent_proc_status{item="voluntary_ctxt_switches"}'), 12);
  assert.is(series.get('kata_agent_proc_status{item="pid"}'), undefined);
  assert.is(series.get('kata_agent_proc_stat{item="cstime"}'), 8);
  assert.is(series.get('kata_agent_io_stat{item="cancelled_write_bytes"}'), 0);
  assert.is(series.get('kata_guest_tasks{item="max"}'), 55);
});

test('file systems that can fill are told of', () => {
  const series = seriesOf();
  const labels = 'mount="/data",device="vda"';
  assert.is(series.get(`kata_guest_filesystem_bytes{${labels},item="total"}`), 40960);
  assert.is(series.get(`kata_guest_filesystem_bytes{${labels},item="used"}`), 16384);
  assert.is(series.get(`kata_guest_filesystem_inodes{${labels},item="available"}`), 90);
  assert.not.ok([...series.keys()].some((key) => key.includes('/image')));
});

test.run();
