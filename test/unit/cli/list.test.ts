/** `list` and the requests behind it: sandboxes that answer, that do not, that are dead, and what hostile names do to a terminal. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { age, listText } from '../../../host/cli/list.ts';
import { ANSWER_MS, reportOf, type SandboxReport } from '../../../host/cli/sandbox-report.ts';
import { childrenOf } from '../../../host/process.ts';
import { listSandboxes } from '../../../host/sandbox/census.ts';
import {
  nameProcess,
  type ProcessName,
  type SandboxState,
  STATE_VERSION,
  writeState,
} from '../../../host/sandbox/state-file.ts';

const test = suite('kata-runtime list');
const root = mkdtempSync(join(tmpdir(), 'kata-list-'));
const servers: Server[] = [];
let child: ChildProcess;
const NOW = Date.UTC(2026, 0, 2);

test.before(() => {
  child = spawn('sleep', ['600'], { stdio: 'ignore' });
});

test.after(() => {
  child.kill();
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
  rmSync(root, { recursive: true, force: true });
});

/** A sandbox's directory; its shim is this process. */
async function sandbox(key: string, more: Partial<SandboxState> = {}, listener?: RequestListener): Promise<void> {
  const directory = join(root, key.padStart(32, '0'));
  mkdirSync(directory, { mode: 0o700 });
  const monitor = join(directory, 'shim-monitor.sock');
  if (listener) {
    const server = createServer(listener);
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(monitor, resolve));
  }
  const state: SandboxState = {
    version: STATE_VERSION,
    id: `id-${key}`,
    namespace: 'k8s.io',
    address: '/run/containerd/containerd.sock',
    bundle: '/b',
    socket: '/s',
    shim: nameProcess('shim', process.pid) as ProcessName,
    children: [nameProcess('qemu', child.pid ?? 0) as ProcessName, { name: 'virtiofsd', pid: 4_000_000, startTime: 1 }],
    accelerator: 'kvm',
    transport: 'virtio-serial',
    timeline: {},
    createdAt: NOW - 3 * 3600_000,
    ...(listener ? { monitor } : {}),
    ...more,
  };
  writeState(directory, state);
}

async function report(key: string): Promise<SandboxReport> {
  const record = listSandboxes(root).find(({ state }) => state.id === `id-${key}`);
  assert.ok(record, key);
  return await reportOf(record);
}

const VIEW = {
  state: 'running',
  vcpus: 2,
  memoryMib: 256,
  containers: [
    {
      id: 'c'.repeat(64),
      name: '',
      type: 'pod_sandbox',
      state: 'running',
      pid: 7,
      createdAt: NOW - 60_000,
      processes: 1,
    },
    { id: 'web-1', name: 'web', type: 'pod_container', state: 'stopped', pid: 7, createdAt: NOW, processes: 0 },
  ],
};

test('one that answers', async () => {
  await sandbox('a', { pod: { name: 'nginx', namespace: 'default', uid: 'u' } }, (request, response) => {
    assert.is(request.url, '/sandbox');
    response.end(JSON.stringify(VIEW));
  });
  const found = await report('a');
  assert.is(found.state, 'running');
  assert.equal(found.pids, { shim: process.pid, qemu: child.pid });
  assert.ok((found.memoryBytes ?? 0) > 1024 * 1024, 'memory of this very process is counted');
  const lines = listText([{ ...found, memoryBytes: 150.4 * 2 ** 20, pids: { shim: 1, qemu: 2 } }], NOW, false).split(
    '\n',
  );
  assert.equal(
    lines.map((line) => line.split(/ {2,}/)),
    [
      ['SANDBOX', 'POD', 'STATE', 'UPTIME', 'MEMORY', 'ACCEL', 'PIDS'],
      ['id-a', 'default/nginx', 'running', '3h', '150 MiB', 'kvm', 'shim 1, qemu 2'],
      ['', 'ccccccccccccc', '-', 'running', '60s', '-', '-', '1 process'],
      ['', 'web-1', 'web', 'stopped', '0s', '-', '-', '0 processes'],
      [''],
    ],
  );
  assert.match(listText([found], NOW, true), 'c'.repeat(64));
});

for (const [key, listener] of [
  ['b', (_request, response) => void response.writeHead(500).end('broken')],
  ['c', (_request, response) => void response.end('{')],
  ['d', (_request, response) => void response.end('null')],
  ['e', () => {}],
  ['f', (request) => void request.socket.destroy()],
  ['9', (_request, response) => void response.end('"'.repeat(2 * 2 ** 20))],
] as const satisfies readonly (readonly [string, RequestListener])[]) {
  test(`one that does not answer as it should (${key}) is told from its state file`, async () => {
    await sandbox(key, {}, listener);
    const found = await report(key);
    assert.is(found.state, 'unknown');
    assert.is(found.accelerator, 'kvm');
    assert.equal(found.containers, []);
    assert.equal(Object.keys(found.pids), ['shim', 'qemu']);
  });
}

test('one of an older version, without a management socket', async () => {
  await sandbox('1');
  assert.is((await report('1')).state, 'unknown');
});

test('one whose shim has ended is dead, and what it left is told', async () => {
  await sandbox('2', { shim: { name: 'shim', pid: process.pid, startTime: 1 }, createdAt: 0 });
  const found = await report('2');
  assert.is(found.state, 'dead');
  assert.equal(found.pids, { qemu: child.pid });
  assert.match(listText([found], NOW, false), /id-2 +- +dead +- +\d+ MiB/);
});

test('hostile values of an answer are cells, or nothing', async () => {
  const containers = [
    { id: '\x1b]0;owned\x07', name: 'a\nSANDBOX', state: 7, pid: 'x', createdAt: {}, processes: Number.MAX_VALUE },
    null,
    5,
    'text',
  ];
  await sandbox('3', { pod: { name: '\u202eevil', namespace: 'x\x1b[31m', uid: '' } }, (_request, response) => {
    response.end(JSON.stringify({ state: 'run\nning', vcpus: 'two', containers }));
  });
  const text = listText([await report('3')], NOW, false);
  assert.not.match(text, /[^\P{C}\n]/u);
  assert.is(text.split('\n').length, 2 + containers.length + 1);
});

test('an answer is waited for within bounds', () => assert.ok(ANSWER_MS <= 1000));

test("a daemon's child is counted with it", async () => {
  const HELD = 32 * 2 ** 20;
  // The parent waits, as virtiofsd's does; the child holds memory.
  const held = `const held = Buffer.alloc(${HELD}, 1); setInterval(() => held, 1e6); console.log('held')`;
  const parent = spawn('sh', ['-c', `"$0" -e "$1"; :`, process.execPath, held], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  try {
    await once(parent.stdout as Readable, 'data');
    await sandbox('4', {
      shim: { name: 'shim', pid: 4_000_000, startTime: 1 },
      children: [nameProcess('virtiofsd', parent.pid ?? 0) as ProcessName],
    });
    const { memoryBytes, pids } = await report('4');
    assert.equal(pids, { virtiofsd: parent.pid });
    assert.ok((memoryBytes ?? 0) > HELD, `${memoryBytes}`);
  } finally {
    for (const { pid } of childrenOf(parent.pid ?? 0)) process.kill(pid, 'SIGKILL');
    parent.kill();
  }
});

test('ages as kubectl writes them', () => {
  for (const [seconds, text] of [
    [0, '0s'],
    [119, '119s'],
    [120, '2m'],
    [7199, '119m'],
    [7200, '2h'],
    [47 * 3600, '47h'],
    [49 * 3600, '2d'],
    [-5, '0s'],
  ] as const) {
    assert.is(age(NOW - seconds * 1000, NOW), text);
  }
  assert.is(age(0, NOW), '-');
});

test.run();
