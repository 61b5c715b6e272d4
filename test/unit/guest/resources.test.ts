/** Limits that name things of the host, fitted to a guest. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { disksFor, mountedDisks } from '../../../guest/agent/block-io.ts';
import { Cgroup } from '../../../guest/agent/cgroup.ts';
import { fitCpus, fitMems, MAX_NUMBER, parseList } from '../../../guest/agent/cpuset.ts';
import type { Loop } from '../../../guest/agent/loop-interface.ts';
import { DEFAULT_OPTIONS, type Guest } from '../../../guest/agent/options.ts';
import { applyExtras, fitResources, MAX_UNIFIED } from '../../../guest/agent/resources.ts';
import { decode, encode, type Init } from '../../../host/proto/codec.ts';
import { LinuxResources } from '../../../host/proto/messages/oci.ts';
import { type NodeSys, nodeSys } from './node-sys.ts';
import { refused } from './refused.ts';

interface Context {
  directory: string;
  sys: NodeSys;
  guest: Guest;
  cgroup: Cgroup;
}

const fits = suite<Context>('limits fitted to the guest');

fits.before.each((context) => {
  context.directory = fs.mkdtempSync(path.join(os.tmpdir(), 'resources-'));
  context.sys = nodeSys();
  // Nothing here waits.
  const loop = {} as Loop;
  context.guest = { sys: context.sys, loop, options: { ...DEFAULT_OPTIONS, cgroupRoot: context.directory } };
  context.cgroup = new Cgroup(context.sys, loop, context.directory);
  put(context, { 'cgroup.procs': '', 'cpuset.cpus.effective': '0-3\n', 'cpuset.mems.effective': '0\n' });
});
fits.after.each(({ directory }) => fs.rmSync(directory, { recursive: true }));

fits('lists of numbers', async () => {
  assert.equal(parseList('0-2,7, 5\n'), [0, 1, 2, 5, 7]);
  assert.equal(parseList(''), []);
  assert.is(parseList(`0-${MAX_NUMBER}`).length, MAX_NUMBER + 1);
  for (const bad of ['x', '3-1', '-1', `${MAX_NUMBER + 1}`, '0-99999999', '1.5']) {
    await refused(() => parseList(bad), 'invalid_argument', /cpuset/);
  }
});

fits('processors the guest has keep their numbers, others are spread', () => {
  const cases: readonly (readonly [wanted: string, online: string, fitted: string])[] = [
    ['1-2', '0-3', '1,2'],
    ['6-7', '0-3', '2,3'],
    ['4-5', '0-3', '0,1'],
    ['0,4', '0-3', '0,1'],
    ['0-63', '0-3', '0,1,2,3'],
    ['9', '0', '0'],
    ['0-3', '', ''],
    ['', '0-3', ''],
  ];
  assert.equal(
    cases.map(([wanted, online]) => fitCpus(wanted, online)),
    cases.map(([, , fitted]) => fitted),
  );
  assert.equal([fitMems('0-1', '0'), fitMems('1', '0'), fitMems('', '0')], ['0', '', '']);
});

fits('a machine that was not booted for containers leaves out what it has no controller for', (context) => {
  const all = {
    CPU: { Cpus: '1', Mems: '0', Shares: 7, Quota: 8, Period: 9 },
    Memory: { Limit: 1 },
    Pids: { Limit: 3 },
    BlockIO: { Weight: 5 },
    HugepageLimits: [{ Pagesize: '2MB', Limit: 4 }],
    Unified: { 'memory.high': '1' },
  };
  const guest = { ...context.guest, options: { ...context.guest.options, leaveOutLimits: true } };
  put(context, { 'cgroup.controllers': 'cpuset cpu io memory hugetlb pids\n' });
  assert.equal(fitResources(guest, resources(all)), fitResources(context.guest, resources(all)));
  put(context, { 'cgroup.controllers': 'pids\n' });
  const { CPU: cpu, ...left } = fitResources(guest, resources(all));
  assert.equal([cpu?.Shares, cpu?.Quota, cpu?.Period, cpu?.Cpus, cpu?.Mems], [0, 0, 0, '', '']);
  assert.equal([left.Memory, left.BlockIO, left.HugepageLimits], [undefined, undefined, []]);
  assert.is(left.Pids?.Limit, 3);
  // The file's absence says it: applyExtras leaves it out with a line in the log.
  assert.equal({ ...left.Unified }, all.Unified);
  // A guest that was is to refuse them: its kernel lacks what it ought to have.
  assert.is(fitResources(context.guest, resources(all)).Memory?.Limit, 1);
});

fits('resources are fitted by what the guest has', ({ guest }) => {
  const { CPU: cpu } = fitResources(guest, resources({ CPU: { Cpus: '8-9', Mems: '1', Shares: 7 } }));
  assert.equal([cpu?.Cpus, cpu?.Mems, cpu?.Shares], ['0,1', '', 7]);
  const plain = resources({ Pids: { Limit: 3 } });
  assert.is(fitResources(guest, plain), plain);
});

fits('a limit is for the disk it names, or for all that are nobody else’s', () => {
  const disks = [{ guest: '254:16', host: '8:16' }, { guest: '254:0' }, { guest: '254:0' }];
  assert.equal(disksFor('8:16', disks), ['254:16']);
  assert.equal(disksFor('8:0', disks), ['254:0']);
  assert.equal(disksFor('8:0', []), []);
});

fits('the disks below paths, without those of memory', ({ guest }) => {
  const numbers: Record<string, number> = { '/a': 0xfe00, '/b': 0x2a, '/c': 0x100fe10 };
  const stat = (name: string) => {
    if (!(name in numbers)) throw new Error('ENOENT');
    return { dev: numbers[name] };
  };
  const sys = { ...guest.sys, stat } as unknown as NodeSys;
  const found = mountedDisks({ ...guest, sys }, ['/a', '/b', '/c', '/a', '/gone']);
  assert.equal(found, [{ guest: '254:0' }, { guest: '254:4112' }]);
});

fits('block I/O, bursts and unified are written with the guest’s numbers', (context) => {
  put(context, {
    'io.max': '',
    'io.weight': '',
    'cpu.max.burst': '',
    'cpu.idle': '',
    'cpuset.cpus': '',
    'memory.high': '',
  });
  const written = recorded(context);
  const wanted = resources({
    CPU: { Burst: 5000, Idle: 0 },
    BlockIO: {
      Weight: 1000,
      WeightDevice: [{ Major: 8, Minor: 16, Weight: 10 }],
      ThrottleReadBpsDevice: [{ Major: 8, Minor: 16, Rate: 100 }],
      ThrottleWriteIOPSDevice: [{ Major: 8, Minor: 0, Rate: 0 }],
    },
    Unified: { 'memory.high': '1000', 'cpuset.cpus': '7', 'io.max': '8:16 wbps=5\n8:0 rbps=6', 'no.such': '1' },
  });
  applyExtras(context.guest, context.cgroup, wanted, [{ guest: '254:16', host: '8:16' }, { guest: '254:0' }]);
  assert.equal(written, [
    'cpu.max.burst 5000',
    'cpu.idle 0',
    'io.weight default 10000',
    'io.weight 254:16 1',
    'io.max 254:16 rbps=100',
    'io.max 254:0 wiops=max',
    'memory.high 1000',
    'cpuset.cpus 3',
    'io.max 254:16 wbps=5',
    'io.max 254:0 rbps=6',
  ]);
  assert.match(context.sys.calls.join('\n'), /left out: unified no\.such/);
});

fits('a weight by the scheduler that has weights', (context) => {
  put(context, { 'io.bfq.weight': '', 'io.weight': '' });
  const written = recorded(context);
  applyExtras(context.guest, context.cgroup, resources({ BlockIO: { Weight: 200 } }), []);
  assert.equal(written, ['io.bfq.weight default 200']);
});

fits('a guest without disks and controllers says what it leaves out', (context) => {
  const io = { Weight: 20, ThrottleReadBpsDevice: [{ Major: 8, Minor: 0, Rate: 1 }] };
  applyExtras(context.guest, context.cgroup, resources({ BlockIO: io, CPU: { Idle: 1, Burst: 1 } }), []);
  const log = context.sys.calls.join('\n');
  assert.match(log, /blockIO\.weight/);
  assert.match(log, /rbps of 8:0/);
});

fits('unified names files of controllers only, and not too many', async ({ guest, cgroup }) => {
  for (const file of ['cgroup.procs', '../memory.max', 'memory', '', 'a/b.c']) {
    await refused(
      () => applyExtras(guest, cgroup, resources({ Unified: { [file]: '1' } }), []),
      'invalid_argument',
      /unified/,
    );
  }
  const many = Object.fromEntries(Array.from({ length: MAX_UNIFIED + 1 }, (_, i) => [`a.b${i}`, '1']));
  await refused(() => applyExtras(guest, cgroup, resources({ Unified: many }), []), 'invalid_argument', /at most 256/);
});

function resources(part: Init<LinuxResources>): LinuxResources {
  return decode(LinuxResources, encode(LinuxResources, part));
}

function put({ directory }: Context, files: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(files)) fs.writeFileSync(path.join(directory, name), text);
}

/** What is written from here on: a cgroup's file takes line after line. */
function recorded({ sys, directory }: Context): string[] {
  const lines: string[] = [];
  sys.writeFile = (file, data) => {
    lines.push(`${path.relative(directory, file)} ${data}`);
  };
  return lines;
}

fits.run();
