/** kata-monitor's command line, its log, and its life as a process. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { addressText, type Flags, LOG_LEVELS, parseFlags } from '../../../host/monitor/flags.ts';
import { MAX_FIELD_LENGTH, MonitorLog } from '../../../host/monitor/log.ts';

const test = suite<{ directory: string; children: ChildProcess[] }>('kata-monitor as a program');
const PROGRAM = resolve('host/bin/monitor.ts');

test.before.each((context) => {
  context.directory = mkdtempSync(join(tmpdir(), 'kata-monitor-'));
  context.children = [];
});
test.after.each(({ directory, children }) => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(directory, { recursive: true, force: true });
});

function flags(...words: string[]): Flags {
  const order = parseFlags(words);
  if (order.kind !== 'serve') throw new Error(order.kind);
  return order.flags;
}

test('flags have one dash or two, and values behind them or behind an equals sign', () => {
  assert.equal(flags(), {
    listen: { host: '127.0.0.1', port: 8090 },
    runtimeEndpoint: '/run/containerd/containerd.sock',
    logLevel: 'info',
  });
  for (const words of [
    ['-listen-address', ':80', '-runtime-endpoint', '/a', '-log-level', 'debug'],
    ['--listen-address=:80', '--runtime-endpoint=unix:///a', '--log-level=debug'],
  ]) {
    assert.equal(flags(...words), { listen: { host: '', port: 80 }, runtimeEndpoint: '/a', logLevel: 'debug' });
  }
  assert.equal(flags('-listen-address', '[::1]:1').listen, { host: '::1', port: 1 });
  assert.equal(flags('-listen-address', 'unix:///run/m.sock').listen, { path: '/run/m.sock' });
  assert.equal(flags('-listen-address', 'unix:/run/m.sock').listen, { path: '/run/m.sock' });
  assert.is(flags('-runtime-endpoint', '').runtimeEndpoint, '');
  for (const level of LOG_LEVELS) assert.is(flags('-log-level', level).logLevel, level);
  assert.is(addressText({ host: '::1', port: 1 }), '[::1]:1');
});

test('version and help are asked for as of Kata’s', () => {
  for (const word of ['version', '-version', '--version']) assert.equal(parseFlags([word]), { kind: 'version' });
  for (const word of ['-h', '-help', '--help']) assert.equal(parseFlags([word]), { kind: 'help' });
});

for (const words of [
  ['-listen'],
  ['-listen-address'],
  ['listen-address', ':80'],
  ['---log-level', 'info'],
  ['-log-level', 'loud'],
  ['-listen-address', '8090'],
  ['-listen-address', '127.0.0.1'],
  ['-listen-address', ':70000'],
  ['-listen-address', 'unix:relative'],
  ['-runtime-endpoint', 'tcp://1.2.3.4:5'],
  ['-constructor', 'x'],
]) {
  test(`it is refused: ${words.join(' ')}`, () => {
    assert.throws(() => parseFlags(words), /kata-monitor -help/);
  });
}

test('lines of the log are one each, whatever is told', () => {
  const lines: string[] = [];
  const log = new MonitorLog('info', (line) => lines.push(line));
  log.debug('nobody sees this');
  log.warn('bad\nnews', { error: 'a "b"\u001b[2J', count: 3 });
  assert.is(lines.length, 1);
  assert.match(
    lines[0] as string,
    /^time=\S+ level=warn msg="bad\\nnews" name=kata-monitor pid=\d+ error="a \\"b\\"\\u001b\[2J" count=3\n$/,
  );
});

test('a field of the log has its limit', () => {
  const lines: string[] = [];
  new MonitorLog('info', (line) => lines.push(line)).info('m', { long: 'x'.repeat(MAX_FIELD_LENGTH + 1) });
  assert.ok(lines[0]?.endsWith(` long=${'x'.repeat(MAX_FIELD_LENGTH)}\n`));
});

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function start(
  children: ChildProcess[],
  ...words: string[]
): { child: ChildProcess; said: (text: string) => Promise<string>; ended: Promise<Ended> } {
  const child = spawn(process.execPath, ['--import', 'tsx', PROGRAM, ...words], { stdio: ['ignore', 'pipe', 'pipe'] });
  children.push(child);
  let stdout = '';
  let stderr = '';
  child.stdout?.on('data', (part) => (stdout += part));
  child.stderr?.on('data', (part) => (stderr += part));
  const ended = new Promise<Ended>((done) => child.on('close', (status) => done({ status, stdout, stderr })));
  const said = (text: string): Promise<string> =>
    new Promise((done, fail) => {
      const look = (): void => void (stderr.includes(text) && done(stderr));
      child.stderr?.on('data', look);
      child.on('close', () => fail(new Error(`it ended: ${stderr}`)));
      look();
    });
  return { child, said, ended };
}

test('it listens where it is told, and SIGTERM ends it in order', async ({ children }) => {
  const { child, said, ended } = start(children, '-listen-address', '127.0.0.1:0', '-runtime-endpoint', '');
  const [, port] = /address=127\.0\.0\.1:(\d+)/.exec(await said('answers')) ?? [];
  const status = await new Promise((done, fail) => {
    request({ port, path: '/' }, (response) => done(response.resume().statusCode))
      .on('error', fail)
      .end();
  });
  assert.is(status, 200);
  child.kill('SIGTERM');
  assert.is((await ended).status, 0);
});

test('a unix socket is its owner’s alone; one that nobody serves any more is replaced', async ({
  children,
  directory,
}) => {
  const path = join(directory, 'monitor.sock');
  const first = start(children, '-listen-address', `unix:${path}`);
  await first.said('answers');
  assert.is(statSync(path).mode & 0o777, 0o600);
  const second = await start(children, '-listen-address', `unix:${path}`).ended;
  assert.is(second.status, 1);
  assert.match(second.stderr, 'another program listens');
  first.child.kill('SIGKILL');
  await first.ended;
  const third = start(children, '-listen-address', `unix:${path}`);
  await third.said('answers');
  third.child.kill('SIGINT');
  assert.is((await third.ended).status, 0);
});

test('what keeps it from listening is told, with what to do', async ({ children, directory }) => {
  const file = join(directory, 'file');
  writeFileSync(file, '');
  assert.match((await start(children, '-listen-address', `unix:${file}`).ended).stderr, 'no socket');
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as { port: number };
  const { status, stderr } = await start(children, '-listen-address', `127.0.0.1:${port}`).ended;
  server.close();
  assert.is(status, 1);
  assert.match(stderr, 'choose another -listen-address');
  assert.not.match(stderr, '    at ');
});

test('version, help and a wrong flag have the status of programs in Go', async ({ children }) => {
  const version = await start(children, '--version').ended;
  assert.is(version.status, 0);
  assert.match(version.stdout, /^kata-monitor\n Version:\t\S+\n/);
  const help = await start(children, '-help').ended;
  assert.is(help.status, 0);
  assert.match(help.stdout, '-listen-address');
  const wrong = await start(children, '-wrong').ended;
  assert.is(wrong.status, 2);
  assert.match(wrong.stderr, '"-wrong" is not a flag');
});

test.run();
