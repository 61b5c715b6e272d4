/** What an operator sees of a running virtual machine: a shell in it, its console in the log, a trace of its start. */
import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { encode } from '../../host/proto/codec.ts';
import { Options } from '../../host/proto/messages/runtimeoptions.ts';
import { type Finished, finish } from '../../setup/command.ts';
import { BUILD } from '../../setup/paths.ts';
import { IS_KATA } from '../harness/containerd.ts';
import { PATIENCE_MS, until } from '../harness/containers.ts';
import { ShimPlace, type Task } from '../harness/shim.ts';
import { inTerminal } from '../harness/terminal.ts';

const RUNTIME = join(BUILD, 'bin', 'kata-runtime');
const ENV = { PATH: process.env.PATH ?? '' };
/** Two sandboxes of which one may be entered. */
const OPEN = 'debug-open-1';
const CLOSED = 'debug-closed-1';

interface Span {
  readonly name: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
}

const debug = suite('an operator looks into a virtual machine');
const directory = mkdtempSync('/tmp/ke-debug-');
const place = new ShimPlace();
const spans: Span[] = [];
const collector = createServer((request, response) => {
  let body = '';
  request.on('data', (part) => (body += part));
  request.on('end', () => {
    for (const { scopeSpans } of JSON.parse(body).resourceSpans)
      for (const each of scopeSpans) spans.push(...each.spans);
    response.end('{}');
  });
});
let open: Task;
let log: number;
let logged = '';

debug.before(async () => {
  await new Promise<void>((done) => collector.listen(0, '127.0.0.1', done));
  const { port } = collector.address() as AddressInfo;
  const bundle = place.bundle(OPEN);
  execFileSync('mkfifo', [join(bundle, 'log')]);
  log = openSync(join(bundle, 'log'), constants.O_RDONLY | constants.O_NONBLOCK);
  open = await place.start(OPEN, bundle);
  const lines = [
    '[agent.kata]',
    'debug_console_enabled = true',
    '[runtime]',
    'enable_tracing = true',
    '[edge]',
    'console_log = true',
    `otlp_endpoint = "http://127.0.0.1:${port}"`,
  ];
  await open.create({ options: optionsOf('open.toml', lines) });
  await open.call('Start');
});

debug.after(async () => {
  await open.end();
  collector.close();
  collector.closeAllConnections();
  closeSync(log);
  rmSync(directory, { recursive: true });
  assert.equal(await place.remove(), []);
});

function optionsOf(name: string, lines: readonly string[]): { type_url: string; value: Uint8Array } {
  const file = join(directory, name);
  writeFileSync(file, `${lines.join('\n')}\n`, { mode: 0o600 });
  return { type_url: 'runtimeoptions.v1.Options', value: encode(Options, { config_path: file }) };
}

function exec(words: readonly string[], stdin = ''): Promise<Finished> {
  return finish([RUNTIME, 'exec', ...words], { env: ENV, stdin, timeoutMs: PATIENCE_MS });
}

function logText(): string {
  const buffer = Buffer.alloc(65_536);
  try {
    for (let count = readSync(log, buffer); count > 0; count = readSync(log, buffer))
      logged += buffer.toString('utf8', 0, count);
  } catch {
    // Nothing more for now.
  }
  return logged;
}

debug('a command in the guest: not in the container, not on the host', async () => {
  const { stdout, stderr, code } = await exec([
    OPEN,
    '--',
    'sh',
    '-c',
    'cat /proc/1/comm; ls -d /lib/modules; echo no >&2; exit 3',
  ]);
  assert.equal([stdout, stderr, code], ['init\n/lib/modules\n', 'no\n', 3]);
  const kernel = await exec([OPEN, '--', 'uname', '-r']);
  assert.is.not(kernel.stdout.trim(), execFileSync('uname', ['-r']).toString().trim());
  const containers = await exec([OPEN, '--', 'ls', '/run/kata-containers']);
  assert.match(containers.stdout, OPEN);
});

debug('input to its end, and a script from a pipe', async () => {
  const count = await exec([OPEN, '--', 'wc', '-c'], 'x'.repeat(300_000));
  assert.is(count.stdout.trim(), '300000');
  const script = await exec([OPEN], 'echo "$0 $((6 * 7))"\nexit 4\n');
  assert.equal([script.stdout, script.code], ['/bin/sh 42\n', 4]);
});

debug('a terminal of the size of ours, and as ours changes', async () => {
  const typed = 'stty size; until stty size | grep -q 41; do sleep 0.1; done; stty size; exit 6\r';
  const before = '(sleep 3; stty rows 41 cols 101 </dev/tty) & exec "$@"';
  const done = await inTerminal(['sh', '-c', before, 'sh', RUNTIME, 'exec', OPEN], {
    env: ENV,
    rows: 31,
    columns: 97,
    answer: { after: '# ', type: typed },
  });
  assert.match(done.stdout, /31 97/);
  assert.match(done.stdout, /41 101/);
  assert.is(done.code, 6);
});

debug('two at once', async () => {
  const both = await Promise.all([
    exec([OPEN, '--', 'sh', '-c', 'sleep 1; echo first']),
    exec([OPEN, '--', 'sh', '-c', 'echo second']),
  ]);
  assert.equal(
    both.map(({ stdout, code }) => [stdout, code]),
    [
      ['first\n', 0],
      ['second\n', 0],
    ],
  );
});

debug("what the guest says on its console is logged, and cannot steer the reader's terminal", async () => {
  await exec([OPEN, '--', 'sh', '-c', "printf 'hello \\033]0;x\\007 console\\n' >/dev/console"]);
  await until('the line is logged', () => /guest console.*hello/.test(logText()));
  const line = logText()
    .split('\n')
    .find((each) => each.includes('hello')) as string;
  assert.match(line, 'source=console');
  assert.match(line, `sandbox=${OPEN}`);
  assert.match(line, 'level=info');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they must not be there
  assert.not.match(line, /[\u0000-\u001f]/);
});

debug('the trace of the start: one root, the phases, the container and its calls', async () => {
  await until('the trace is there', () => spans.some(({ name }) => name === 'sandbox start'));
  const root = spans.find(({ name }) => name === 'sandbox start') as Span;
  assert.is(spans.filter(({ parentSpanId }) => parentSpanId === undefined).length, 1);
  const names = new Set(spans.map(({ name }) => name));
  for (const name of ['shim', 'host', 'vmm', 'guest_boot', 'agent', 'container create', 'container start']) {
    assert.ok(names.has(name), name);
    assert.is(spans.find((span) => span.name === name)?.parentSpanId, root.spanId);
  }
  for (const name of ['CreateSandbox', 'CreateContainer', 'StartContainer']) assert.ok(names.has(name), name);
  const ids = new Set(spans.map(({ spanId }) => spanId));
  for (const { parentSpanId } of spans) assert.ok(parentSpanId === undefined || ids.has(parentSpanId));
});

debug('nobody enters where it is not enabled: key and file are named', async () => {
  const task = await place.start(CLOSED, place.bundle(CLOSED));
  try {
    await task.create({ options: optionsOf('closed.toml', ['[agent.kata]', 'debug_console_enabled = false']) });
    const { code, stderr, stdout } = await exec([CLOSED]);
    assert.equal([code, stdout], [1, '']);
    for (const part of ['debug_console_enabled = true', '[agent.kata]', `${directory}/closed.toml`])
      assert.match(stderr, part);
  } finally {
    await task.end();
  }
});

debug('a shell ends with its sandbox', async () => {
  const shell = exec([OPEN, '--', 'sleep', '1000']);
  await until('it runs', async () => (await exec([OPEN, '--', 'ps'])).stdout.includes('sleep 1000'));
  await open.end();
  const { code, stderr } = await shell;
  assert.is(code, 255, stderr);
  assert.match((await exec([OPEN])).stderr, /no sandbox of this node/);
});

if (IS_KATA) debug.run();
