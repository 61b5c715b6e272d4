/** kata-runtime as a program: exit status, what goes to stdout and stderr, readers that leave, users that are not root. */
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { searchPathOf } from '../../../host/config/files.ts';
import { type Finished, finish } from '../../../setup/command.ts';
import { BUILD, ROOT } from '../../../setup/paths.ts';

const test = suite('kata-runtime, the program');
const directory = mkdtempSync(join(tmpdir(), 'kata-program-'));
/** The program as it is built, but for its version; in a place that every user gets to. */
const TREE = join(directory, 'tree');
const CLI = [join(TREE, 'bin/kata-runtime')];
const NOBODY = 65_534;
const TIMEOUT_MS = 60_000;
/** Files that are read before a command is chosen: the descriptions of commands, and what finds one among the words. */
const LIGHT =
  /^host\/(cli\/[a-z-]+\.ts|bin\/(runtime|version)\.ts|error\.ts|tail\.ts|config\/nearest\.ts|shim\/info\.ts)$/;

test.before(async () => {
  chmodSync(directory, 0o755);
  await build({
    entryPoints: [join(ROOT, 'host/bin/runtime.ts')],
    outfile: join(TREE, 'lib/runtime.cjs'),
    bundle: true,
    platform: 'node',
    format: 'cjs',
    define: { 'import.meta.url': '""' },
    logLevel: 'silent',
  });
  cpSync(join(ROOT, 'host/bin/kata-runtime'), join(TREE, 'bin/kata-runtime'));
  chmodSync(join(TREE, 'bin/kata-runtime'), 0o755);
  cpSync(join(BUILD, 'lib/kata.node'), join(TREE, 'lib/kata.node'));
  symlinkSync(process.execPath, join(TREE, 'lib/node'));
  symlinkSync(join(BUILD, 'share'), join(TREE, 'share'));
});
test.after(() => rmSync(directory, { recursive: true, force: true }));

function run(words: readonly string[], env: Record<string, string> = {}): Promise<Finished> {
  return finish([...CLI, ...words], {
    cwd: ROOT,
    env: { PATH: process.env.PATH ?? '', ...env },
    timeoutMs: TIMEOUT_MS,
  });
}

function shell(command: string, env: Record<string, string> = {}): Promise<Finished> {
  const program = CLI.map((word) => `'${word}'`).join(' ');
  const argv = ['bash', '-c', command.replaceAll('kata-runtime', program)];
  return finish(argv, { cwd: ROOT, env: { PATH: process.env.PATH ?? '', ...env }, timeoutMs: TIMEOUT_MS });
}

test('help and version go to stdout, by all their names', async () => {
  for (const words of [[], ['--help'], ['-h'], ['help']]) {
    const { code, stdout, stderr } = await run(words);
    assert.equal([code, stderr], [0, ''], words.join());
    assert.match(stdout, 'Usage: kata-runtime [OPTIONS] COMMAND');
  }
  for (const words of [['--version'], ['-v'], ['version']]) {
    const { code, stdout } = await run(words);
    assert.is(code, 0);
    assert.match(stdout, /^kata-runtime {2}: unbuilt\n {3}commit {3}: unknown\n {3}OCI specs: \d+\.\d+\.\d+\n$/);
  }
  assert.match((await run(['iptables', 'set', '--help'])).stdout, 'Usage: kata-runtime iptables set');
  assert.match((await run(['help', 'iptables', 'set'])).stdout, 'Usage: kata-runtime iptables set');
});

test('the program goes by the name it is called by', async () => {
  for (const [name, expected] of [
    ['kata-ctl', 'kata-ctl'],
    ['something-else', 'kata-runtime'],
  ] as const) {
    const link = join(directory, name);
    symlinkSync(join(TREE, 'bin/kata-runtime'), link);
    assert.match((await finish([link, '--help'], { timeoutMs: TIMEOUT_MS })).stdout, `Usage: ${expected} `);
  }
});

test('an unknown command or option: status 1, a suggestion and the usage on stderr', async () => {
  for (const [words, expected] of [
    [
      ['chekc'],
      /unknown command: "chekc"; did you mean check\?\n\nUsage: kata-runtime \[OPTIONS\] COMMAND.*\nCommands: check, env/,
    ],
    [
      ['check', '--verbos'],
      /unknown option of check: "--verbos"; did you mean --verbose\?\n\nUsage: kata-runtime check \[OPTIONS\]/,
    ],
    [['help', 'lst'], /unknown command: "lst"; did you mean list\?/],
    [['\x1b[2Jx'], /unknown command: "\\u001b\[2Jx"/],
  ] as const) {
    const { code, stdout, stderr } = await run(words);
    assert.equal([code, stdout], [1, '']);
    assert.match(stderr, expected);
  }
});

test('where a configuration is looked for, in order', async () => {
  const { stdout } = await run(['--show-default-config-paths']);
  assert.equal(stdout.trimEnd().split('\n'), searchPathOf(join(TREE, 'lib')));
});

test('messages as JSON, on stderr and in a file', async () => {
  const log = join(directory, 'log');
  const { code, stderr } = await run(['--log-format', 'json', '--log', log, 'metrics', 'nosuch', '--root', directory]);
  assert.is(code, 1);
  const { level, msg, name, time } = JSON.parse(stderr) as Record<string, string>;
  assert.equal([level, name, Number.isNaN(Date.parse(time ?? ''))], ['error', 'kata-runtime', false]);
  assert.match(msg ?? '', 'no sandbox of this node is called "nosuch"');
  assert.is(readFileSync(log, 'utf8'), stderr);
  const quiet = await run(['-l', 'critical', 'metrics', 'nosuch', '--root', directory]);
  assert.equal([quiet.code, quiet.stderr], [1, '']);
});

test('a log that cannot be written is told, and is no crash', async () => {
  const log = join(directory, 'no/such/log');
  const { code, stderr } = await run(['--log', log, 'metrics', 'x', '--root', directory]);
  assert.is(code, 1);
  const [first, second, third] = stderr.split('\n');
  assert.match(first ?? '', 'no sandbox of this node');
  assert.match(second ?? '', `warning: --log ${log} cannot be written: ENOENT`);
  assert.is(third, '');
});

test('readers that leave', async () => {
  for (const command of [
    'kata-runtime --help | true',
    'kata-runtime completion bash | head -n 1',
    'kata-runtime env --json | head -c 1',
  ]) {
    const { stderr } = await shell(`set -o pipefail; ${command}`);
    assert.is(stderr, '', command);
  }
  const full = await shell('kata-runtime --help > /dev/full');
  assert.is(full.code, 1);
  assert.match(full.stderr, /cannot write: .*ENOSPC/);
  const closed = await shell('kata-runtime --help >&-');
  assert.not.match(closed.stderr, /\n {4}at /);
});

test("env: Kata's names in TOML and JSON, to a file", async () => {
  const file = join(directory, 'env.toml');
  assert.is((await run(['kata-env', '-f', file])).stdout, '');
  assert.match(readFileSync(file, 'utf8'), /^\[Runtime\.Config\]\nPath = /m);
  const { stdout } = await run(['env', '--json']);
  const { Runtime, Host, Hypervisor, Edge } = JSON.parse(stdout) as Record<string, Record<string, unknown>>;
  assert.equal(Object.keys(Runtime ?? {}).sort(), [
    'Config',
    'Debug',
    'DisableGuestSeccomp',
    'DisableNewNetNs',
    'Experimental',
    'GuestSeLinuxLabel',
    'Path',
    'SandboxCgroupOnly',
    'Trace',
    'Version',
  ]);
  assert.equal(Object.keys(Host ?? {}).sort(), [
    'Architecture',
    'AvailableGuestProtections',
    'CPU',
    'Distro',
    'Kernel',
    'Memory',
    'SupportVSocks',
    'VMContainerCapable',
  ]);
  assert.match(`${Hypervisor?.Version}`, /^QEMU emulator version/);
  assert.ok(['kvm', 'tcg'].includes(`${Edge?.Accelerator}`));
  assert.is(Edge?.Accelerator === 'kvm', Edge?.AcceleratorReason === '');
});

test('env: keys without effect, where they stand and why; every mistake, with status 1', async () => {
  const file = join(directory, 'configuration.toml');
  writeFileSync(file, '[hypervisor.qemu]\ndefault_memry = 512\nmsize_9p = 4096\ndefault_memory = 512\n');
  const { code, stdout } = await run(['--config', file, 'env', '--json']);
  assert.is(code, 0);
  const { Runtime, Edge } = JSON.parse(stdout) as {
    Runtime: { Config: { Path: string } };
    Edge: { Keys: Record<string, unknown>[]; Sizes: Record<string, number> };
  };
  assert.is(Runtime.Config.Path, file);
  assert.is(Edge.Sizes.MemoryMiB, 512);
  assert.equal(
    Edge.Keys.map(({ Place, Key, Status }) => [Place, Key, Status]),
    [
      [`${file}:3`, 'hypervisor.qemu.msize_9p', 'ignored'],
      [`${file}:2`, 'hypervisor.qemu.default_memry', 'unknown'],
    ],
  );
  assert.match(`${Edge.Keys[1]?.About}`, 'default_memory');
  writeFileSync(file, '[hypervisor.qemu]\ndefault_vcpus = "2"\ndefault_memory = "2G"\n');
  const wrong = await run(['--config', file, 'env']);
  assert.equal([wrong.code, wrong.stdout], [1, '']);
  assert.match(wrong.stderr, `${file}:2: hypervisor.qemu.default_vcpus`);
  assert.match(wrong.stderr, `${file}:3: hypervisor.qemu.default_memory`);
  writeFileSync(file, '[hypervisor.qemu]\nkernel = "/no/kernel"\n');
  const missing = await run(['--config', file, 'env']);
  assert.is(missing.code, 0);
  assert.match(missing.stderr, /warning: .*\/no\/kernel does not exist/);
  assert.match(missing.stdout, 'Path = "/no/kernel"');
});

test('a configuration that others may write is refused', async () => {
  const file = join(directory, 'open.toml');
  writeFileSync(file, '');
  chmodSync(file, 0o666);
  const { code, stdout } = await run(['--config', file, 'check', '--json']);
  assert.is(code, 1);
  const { canCreate, checks } = JSON.parse(stdout) as {
    canCreate: boolean;
    checks: { name: string; status: string; found: string }[];
  };
  assert.is(canCreate, false);
  assert.match(checks.find(({ name }) => name === 'configuration')?.found ?? '', 'any user may write it');
});

test('check as JSON, in words, and its list', async () => {
  const { stdout } = await run(['check', '--json']);
  const { capable, checks } = JSON.parse(stdout) as { capable: boolean; checks: { name: string; status: string }[] };
  const text = (await run(['check', '--verbose'])).stdout;
  assert.is(text.includes('System is capable of running Kata Containers\n'), capable);
  for (const { name } of checks) assert.match(text, new RegExp(`^(ok|skipped|warning|failed) +${name} `, 'm'));
  const names = (await run(['check', 'list'])).stdout
    .trimEnd()
    .split('\n')
    .map((line) => line.split(' ')[0]);
  assert.equal([...new Set(checks.map(({ name }) => name))], names);
});

test('releases are not looked for without an address, nor where the network is forbidden', async () => {
  for (const words of [
    ['--check-version-only'],
    ['only-list-releases'],
    ['--only-list-releases', '--include-all-releases'],
  ]) {
    const alone = await run(['check', ...words]);
    assert.equal([alone.code, alone.stdout], [1, '']);
    assert.match(alone.stderr, 'KATA_RELEASE_URL');
    const environment = { KATA_CHECK_NO_NETWORK: '', KATA_RELEASE_URL: 'http://127.0.0.1:1/' };
    const forbidden = await run(['check', ...words], environment);
    assert.equal([forbidden.code, forbidden.stdout], [0, '']);
    assert.match(forbidden.stderr, 'releases are not looked for');
  }
  const machine = await run(['check'], { KATA_RELEASE_URL: 'http://127.0.0.1:1/' });
  assert.match(machine.stderr, 'no releases from http://127.0.0.1:1/');
  assert.not.match((await run(['check', '-n'], { KATA_RELEASE_URL: 'http://127.0.0.1:1/' })).stderr, 'releases');
});

test('factory: status 1, and why', async () => {
  for (const command of ['init', 'destroy', 'status']) {
    const { code, stderr } = await run(['factory', command]);
    assert.equal([code, /there is no factory yet/.test(stderr)], [1, true]);
  }
});

test('who is not root is told so', async () => {
  const secret = join(directory, 'sandboxes');
  mkdirSync(secret, { mode: 0o700 });
  const as = ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', ...CLI];
  const asNobody = (...words: string[]): Promise<Finished> =>
    finish([...as, ...words], { timeoutMs: TIMEOUT_MS, cwd: '/' });
  const list = await asNobody('list', '--root', secret);
  assert.equal([list.code, list.stdout], [1, '']);
  assert.match(list.stderr, 'is for root to read: use sudo');
  const check = await asNobody('check');
  assert.match(check.stdout, 'System is capable of running Kata Containers\n');
  assert.not.match(check.stdout, 'System can currently create');
  assert.is((await asNobody('--help')).code, 0);
});

test('what is loaded before a command runs is light', async () => {
  const { metafile } = await build({
    entryPoints: [join(ROOT, 'host/bin/runtime.ts')],
    absWorkingDir: ROOT,
    bundle: true,
    write: false,
    metafile: true,
    platform: 'node',
    format: 'cjs',
    logLevel: 'silent',
  });
  const reached = new Set<string>(['host/bin/runtime.ts', 'host/cli/run.ts']);
  for (const path of reached) {
    for (const { path: next, kind } of metafile.inputs[path]?.imports ?? []) {
      if (kind === 'import-statement') reached.add(next);
    }
  }
  assert.equal(
    [...reached].filter((path) => !path.startsWith('node:') && !LIGHT.test(path)),
    [],
  );
});

test.run();
