/** `kata-runtime exec` as a user has it: the program, a management socket, the agent as a process of this machine. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { connect, createServer as listen, type Server as SocketServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { AGENT_ENTRY } from '../../../guest/image/agent.ts';
import { AgentClient } from '../../../host/agent/client.ts';
import { failed } from '../../../host/management/answer.ts';
import { CONSOLE_PROTOCOL, FRAME, frame, MAX_FRAME_BYTES } from '../../../host/management/console-frames.ts';
import { type ConsoleTarget, debugConsole, PROBE_MS } from '../../../host/management/debug-console.ts';
import { identityOf } from '../../../host/process.ts';
import { STATE_VERSION, writeState } from '../../../host/sandbox/state-file.ts';
import { TtrpcClient } from '../../../host/ttrpc/client.ts';
import { ROOT } from '../../../setup/paths.ts';
import { reach } from '../../harness/reach.ts';
import { inTerminal } from '../../harness/terminal.ts';
import { buildProgram, type Program } from '../guest-sys/program.ts';

const CLI = ['node', '--import', 'tsx', join(ROOT, 'host/bin/runtime.ts')];
const ID = 'abcdef0123456789';
const CONFIGURATION = '/etc/kata-containers/configuration.toml';

const exec = suite('kata-runtime exec');
let program: Program;
let agent: AgentClient;
let child: ChildProcess;
let server: Server;
let target: ConsoleTarget;
const root = mkdtempSync(join(tmpdir(), 'kata-exec-'));
const directory = join(root, '0123456789abcdef0123456789abcdef');
const socketPath = join(directory, 'shim-monitor.sock');

exec.before(async () => {
  program = await buildProgram(AGENT_ENTRY);
  const path = join(program.directory, 'agent.sock');
  child = spawn(program.path, ['--listen', `unix://${path}`, '--debug-console'], { stdio: 'inherit' });
  agent = new AgentClient(new TtrpcClient(await reach(path)));
  mkdirSync(directory, { mode: 0o700 });
  const { pid, startTime } = identityOf(process.pid) as { pid: number; startTime: number };
  writeState(directory, {
    version: STATE_VERSION,
    id: ID,
    namespace: 'k8s.io',
    address: '/run/containerd/containerd.sock',
    bundle: '/bundle',
    socket: '/run/shim.sock',
    shim: { name: 'shim', pid, startTime },
    children: [],
    pod: { name: 'web', namespace: 'default', uid: '1' },
    monitor: socketPath,
    timeline: {},
  });
  server = createServer();
  server.on('upgrade', (request, socket, head) => {
    debugConsole(request, socket, head, target).catch((thrown) => {
      const { status, body } = failed(thrown);
      socket.end(
        `HTTP/1.1 ${status} no\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
      );
    });
  });
  await new Promise<void>((done) => server.listen(socketPath, done));
});

exec.before.each(() => {
  target = { allowed: true, configuration: CONFIGURATION, agent: () => agent, dial: undefined };
});

exec.after(async () => {
  server.close();
  server.closeAllConnections();
  agent.close('the tests are over');
  child.kill('SIGKILL');
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  await program.remove();
  rmSync(root, { recursive: true, force: true });
});

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Without a terminal. */
async function run(words: readonly string[], input: string | Buffer = ''): Promise<Ended> {
  const started = spawn(CLI[0] as string, [...CLI.slice(1), '--root', root, ...words], { stdio: 'pipe' });
  const collect = (from: NodeJS.ReadableStream, into: string[]): void =>
    void from.on('data', (part) => into.push(part));
  const stdout: string[] = [];
  const stderr: string[] = [];
  collect(started.stdout.setEncoding('latin1'), stdout);
  collect(started.stderr.setEncoding('latin1'), stderr);
  started.stdin.on('error', () => {});
  started.stdin.end(input);
  const [status] = (await once(started, 'close')) as [number | null];
  return { status, stdout: stdout.join(''), stderr: stderr.join('') };
}

const onTerminal = (words: readonly string[], answer: { after: string; type: string }, before = '') => {
  const command = [...CLI, '--root', root, 'exec', ...words];
  const argv = before === '' ? command : ['sh', '-c', `${before} exec "$@"`, 'sh', ...command];
  return inTerminal(argv, { env: { PATH: process.env.PATH ?? '' }, rows: 31, columns: 97, answer });
};

exec('a command: output, errors and status are its own', async () => {
  const { status, stdout, stderr } = await run([
    'exec',
    'web',
    '--',
    'sh',
    '-c',
    'echo "<$1>"; echo no >&2; exit 3',
    'sh',
    ' a  b ',
  ]);
  assert.is(stdout, '< a  b >\n');
  assert.is(stderr, 'no\n');
  assert.is(status, 3);
});

exec('input is passed on to its end, byte by byte the same', async () => {
  const input = Buffer.alloc(3_000_000);
  for (let at = 0; at < input.length; at++) input[at] = (at * 7 + (at >> 8)) & 0xff;
  const { status, stdout } = await run(['exec', ID, '--', 'cat'], input);
  assert.is(status, 0);
  assert.ok(Buffer.from(stdout, 'latin1').equals(input), `${stdout.length} bytes came back`);
});

exec('without a command a script is read from a pipe', async () => {
  const { status, stdout } = await run(['exec', ID.slice(0, 4)], 'echo one\necho two\nexit 5\n');
  assert.is(stdout, 'one\ntwo\n');
  assert.is(status, 5);
});

exec('a reader who has seen enough', async () => {
  const script = `${[...CLI, '--root', root, 'exec', 'web', '--', 'yes'].map((word) => `'${word}'`).join(' ')} | head -n 2`;
  const started = spawn('sh', ['-c', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  let seen = '';
  started.stdout.on('data', (part) => (seen += part));
  await once(started, 'close');
  assert.is(seen, 'y\ny\n');
});

exec('on a terminal: its size, what changes it, the end of the shell', async () => {
  const flag = join(root, 'change');
  const typed = `stty size; echo "<$TERM>"; touch ${flag}; until stty size | grep 41; do sleep 0.1; done; exit 9\r`;
  // While the shell waits for it, the user's window changes.
  const before = `(until [ -e ${flag} ]; do sleep 0.1; done; stty rows 41 cols 101 </dev/tty) &`;
  const { code, stdout } = await onTerminal(['web'], { after: '# ', type: typed }, before);
  assert.match(stdout, /a shell in the guest of sandbox abcdef/);
  assert.match(stdout, /31 97/);
  assert.match(stdout, /<xterm>/);
  assert.match(stdout, /41 101/);
  assert.is(code, 9);
});

exec('Ctrl-D ends a shell; three Ctrl-] leave what does not answer', async () => {
  assert.is((await onTerminal(['web'], { after: '# ', type: '\x04' })).code, 0);
  const { code, stdout } = await onTerminal(['web', '--', 'sh', '-c', 'trap "" INT HUP; echo deaf; sleep 1000'], {
    after: 'deaf',
    type: '\x03\x1d\x1d\x1d',
  });
  assert.is(code, 0);
  assert.match(stdout, /left/);
});

exec('the terminal is as it was, however it ends', async () => {
  for (const [type, status] of [
    ['exit 4\r', 4],
    ['kill -9 $$\r', 137],
  ] as const) {
    const command = [...CLI, '--root', root, 'exec', 'web'].map((word) => `'${word}'`).join(' ');
    const { stdout } = await inTerminal(['sh', '-c', `stty -g; ${command}; echo "status $?"; stty -g`], {
      env: { PATH: process.env.PATH ?? '' },
      answer: { after: '# ', type },
    });
    const modes = stdout.match(/^[0-9a-f]+(:[0-9a-f]+){10,}/gm) ?? [];
    assert.is(modes.length, 2, stdout);
    assert.is(modes[0], modes[1]);
    assert.match(stdout, new RegExp(`status ${status}`));
  }
  const command = [...CLI, '--root', root, 'exec', 'web'].map((word) => `'${word}'`).join(' ');
  const { stdout } = await inTerminal(
    ['sh', '-c', `stty -g; sh -c 'echo $$ >${root}/pid; exec "$@"' sh ${command}; echo "status $?"; stty -g`],
    { env: { PATH: process.env.PATH ?? '' }, answer: { after: '# ', type: `kill -TERM $(cat ${root}/pid)\r` } },
  );
  const modes = stdout.match(/^[0-9a-f]+(:[0-9a-f]+){10,}/gm) ?? [];
  assert.is(modes[0], modes[1], stdout);
  assert.match(stdout, /status 143/);
});

exec('a terminal for the command, though there is none here', async () => {
  const words = ['exec', '-it', 'web', '--', 'sh', '-c', 'test -t 0 && test -t 1 && echo yes'];
  assert.equal(await run(words), { status: 0, stdout: 'yes\r\n', stderr: '' });
  const without = await run(['exec', '-i', 'web', '--', 'sh', '-c', 'test -t 0 || echo no']);
  assert.is(without.stdout, 'no\n');
});

exec('two at once', async () => {
  const both = await Promise.all([
    run(['exec', 'web', '--', 'sh', '-c', 'sleep 1; echo first']),
    run(['exec', 'default/web', '--', 'sh', '-c', 'echo second; exit 1']),
  ]);
  assert.equal(
    both.map(({ status, stdout }) => [status, stdout]),
    [
      [0, 'first\n'],
      [1, 'second\n'],
    ],
  );
});

exec('refused where it is not enabled: key and file are named', async () => {
  target = { ...target, allowed: false };
  const { status, stderr, stdout } = await run(['exec', 'web']);
  assert.is(status, 1);
  assert.is(stdout, '');
  for (const part of ['debug_console_enabled = true', '[agent.kata]', CONFIGURATION, ID]) assert.match(stderr, part);
});

exec('what a user may mistype', async () => {
  for (const [words, expected] of [
    [['exec'], /SANDBOX/],
    [['exec', 'nobody'], /no sandbox of this node/],
    [['exec', 'web', 'ls'], /--/],
    [['exec', '-p', 'x', 'web'], /port/],
  ] as const) {
    const { status, stderr } = await run(words);
    assert.is(status, 1);
    assert.match(stderr, expected);
  }
  target = { ...target, agent: () => undefined };
  assert.match((await run(['exec', 'web'])).stderr, /not up, or has ended/);
});

exec('a client that vanishes takes its shell along', async () => {
  const pidFile = join(root, 'shell.pid');
  const words = ['exec', 'web', '--', 'sh', '-c', `echo $$ >${pidFile}; exec sleep 1000`];
  const started = spawn(CLI[0] as string, [...CLI.slice(1), '--root', root, ...words], { stdio: 'pipe' });
  while (!existsSync(pidFile) || readFileSync(pidFile, 'utf8').trim() === '') await sleep(20);
  const pid = Number(readFileSync(pidFile, 'utf8'));
  started.kill('SIGKILL');
  await once(started, 'close');
  while (existsSync(`/proc/${pid}`)) await sleep(20);
});

exec('so does one whose shell takes no input', async () => {
  const pidFile = join(root, 'stuck.pid');
  const words = ['exec', 'web', '--', 'sh', '-c', `echo $$ >${pidFile}; exec sleep 1000`];
  const started = spawn(CLI[0] as string, [...CLI.slice(1), '--root', root, ...words], { stdio: 'pipe' });
  started.stdin.on('error', () => {});
  // More than every buffer on the way takes.
  started.stdin.write(Buffer.alloc(8_000_000));
  while (!existsSync(pidFile) || readFileSync(pidFile, 'utf8').trim() === '') await sleep(20);
  await sleep(500);
  const pid = Number(readFileSync(pidFile, 'utf8'));
  started.kill('SIGKILL');
  const end = performance.now() + 4 * PROBE_MS;
  while (existsSync(`/proc/${pid}`) && performance.now() < end) await sleep(20);
  assert.not.ok(existsSync(`/proc/${pid}`), 'the shell is still there');
});

exec('a client that breaks the protocol is told, and ended', async () => {
  const bad = [
    frame(FRAME.stdin, Buffer.from('x')),
    frame(FRAME.open, Buffer.from('{}')),
    Buffer.from([77, 0, 0, 0]),
    Buffer.from([FRAME.open, 0xff, 0xff, 0xff]),
    Buffer.concat([
      frame(FRAME.open, Buffer.from(JSON.stringify({ args: ['cat'], terminal: false, rows: 0, columns: 0, term: '' }))),
      frame(FRAME.stdout, Buffer.alloc(MAX_FRAME_BYTES)),
    ]),
  ];
  for (const bytes of bad) {
    const socket = connect(socketPath);
    socket.write(
      `GET /debug-console HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: ${CONSOLE_PROTOCOL}\r\n\r\n`,
    );
    socket.write(bytes);
    const parts: Buffer[] = [];
    socket.on('data', (part) => parts.push(part));
    await once(socket, 'close');
    const answer = Buffer.concat(parts);
    const body = answer.subarray(answer.indexOf('\r\n\r\n') + 4);
    assert.is(body[0], FRAME.error, answer.toString());
  }
});

exec("a guest of Kata's: bytes to its port and back, commands typed into its shell", async () => {
  const ports: number[] = [];
  const path = join(root, 'shell.sock');
  // What such a guest has on its port: a shell on a terminal.
  const shell: SocketServer = listen((socket) => {
    const env = { PATH: process.env.PATH ?? '', SHELL: '/bin/sh', PS1: 'guest# ' };
    const started = spawn('script', ['--quiet', '--command', 'sh', '/dev/null'], { stdio: 'pipe', env });
    socket.on('error', () => {});
    socket.on('close', () => started.kill('SIGKILL'));
    started.stdin.on('error', () => {});
    socket.pipe(started.stdin, { end: false });
    started.stdout.pipe(socket);
  });
  await new Promise<void>((done) => shell.listen(path, done));
  try {
    target = {
      ...target,
      dial: async (port) => {
        ports.push(port);
        const socket = connect(path);
        await once(socket, 'connect');
        return socket;
      },
    };
    const script = await run(['exec', 'web'], 'echo hello from $((40 + 2))\n');
    assert.is(script.status, 0);
    assert.match(script.stdout, 'hello from 42\r\n');
    await run(['exec', '-p', '7', 'web'], 'exit\n');
    await run(['exec', '--kata-debug-port=8', 'web'], 'exit\n');
    assert.equal(ports, [1026, 7, 8]);
    const command = await run([
      'exec',
      'web',
      '--',
      'sh',
      '-c',
      'echo "<$1>"; printf end; exit 3',
      'sh',
      "it's  $HOME",
    ]);
    assert.equal(command, { status: 3, stdout: "<it's  $HOME>\nend", stderr: '' });
    const input = await run(['exec', 'web', '--', 'cat'], 'one\ntwo');
    assert.equal(input, { status: 0, stdout: 'one\ntwo', stderr: '' });
    assert.is((await run(['exec', 'web', '--', 'no-such-command'])).status, 127);
    assert.match((await run(['exec', 'web', '--', 'echo', 'x'.repeat(4096)])).stderr, /bytes at most/);
    target = { ...target, dial: () => Promise.reject(new Error('ECONNREFUSED')) };
    assert.match((await run(['exec', 'web'])).stderr, /nobody answers on port 1026/);
  } finally {
    shell.close();
  }
});

exec.run();
