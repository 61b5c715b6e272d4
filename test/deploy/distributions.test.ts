/** install.sh on nodes of every distribution, by their files: what is written, what is refused, that nothing is left. */
import { spawn } from 'node:child_process';
import { chmodSync, copyFileSync, mkdtempSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { describe, type Finished, finish } from '../../setup/command.ts';
import { K3S, LAYOUTS, PLAIN, V2, V3 } from './layouts.ts';
import { type FakeNode, fakeNode, INSTALL, writeTree } from './node.ts';

const SHIM = 'containerd-shim-kata-v2';

const test = suite('distributions');
let node: FakeNode;

test.before.each(async () => {
  node = await fakeNode(undefined, 'a node');
});

test.after.each(() => node.remove());

for (const { name, files, args = [], file, table, head = '', runtimePath } of LAYOUTS) {
  test(name, async () => {
    for (const [path, text] of Object.entries(files)) node.write(path, text);
    const untouched = node.snapshot();
    const dry = await good('install', '--dry-run', ...args);
    assert.match(dry.stdout, `would write handler kata to ${file}`);
    assert.match(dry.stdout, 'nothing has been changed');
    assert.equal(node.snapshot(), untouched, 'a dry run changes something');

    await good('install', ...args);
    const written = node.read(file);
    assert.ok(written.startsWith(head), written);
    assert.ok(written.includes(table), written);
    assert.is(written.includes('runtime_path = "/opt/kata-edge/current/bin/containerd-shim-kata-v2"'), runtimePath);
    assert.match(written, 'runtime_type = "io.containerd.kata.v2"');
    assert.is(node.snapshot()[`/usr/local/bin/${SHIM}`], `-> /opt/kata-edge/current/bin/${SHIM}`);
    assert.is(node.read('/etc/kata-containers/configuration.toml'), '# default of 1.2.3\n');

    const installed = node.snapshot();
    await good('install', ...args);
    assert.equal(node.snapshot(), installed, 'a second install changes something');
    assert.match((await good('uninstall', '--dry-run')).stdout, 'would undo: ');
    assert.equal(node.snapshot(), installed, 'a dry run of uninstall changes something');
    await good('uninstall');
    const left = Object.fromEntries(
      Object.entries(node.snapshot()).filter(([path]) => !['/opt', '/var', '/var/lib'].includes(path)),
    );
    for (const path of ['/opt', '/var', '/var/lib']) delete untouched[path];
    assert.equal(left, untouched);
  });
}

test('the mode of an edited file stays, and its backup has it', async () => {
  node.write(PLAIN, 'version = 2\n');
  chmodSync(join(node.directory, PLAIN), 0o600);
  await good('install');
  assert.is(statSync(join(node.directory, PLAIN)).mode & 0o777, 0o600);
  await good('uninstall');
  assert.is(statSync(join(node.directory, PLAIN)).mode & 0o777, 0o600);
});

test('k3s that has never run is asked to', async () => {
  node.write(`${K3S}/.keep`, '');
  await refused(/start k3s once/, 'install');
});

test('a node without containerd, and one told to leave it alone', async () => {
  await refused(/no containerd on this node/, 'install');
  await good('install', '--no-containerd');
  assert.ok(node.exists('/opt/kata-edge/current/bin/kata-runtime'));
  assert.not.ok(node.exists('/etc/containerd'));
});

for (const place of ['/usr/local/bin', '/usr/bin', '/opt/kata/bin']) {
  test(`another installation's shim in ${place}`, async () => {
    node.write(PLAIN, 'version = 2\n');
    node.write(`${place}/${SHIM}`, 'theirs');
    const before = node.snapshot();
    await refused(new RegExp(`another Kata installation.*${place}/${SHIM}.*--handler`, 's'), 'install');
    assert.equal(node.snapshot(), before);

    // Beside it, by a handler with a path; it stays where it is.
    await good('install', '--handler', 'kata-edge');
    assert.is(node.read(`${place}/${SHIM}`), 'theirs');
    assert.match(node.read(PLAIN), 'runtimes.kata-edge]\n  runtime_type = "io.containerd.kata.v2"\n  runtime_path = ');
    assert.ok(node.exists('/usr/local/bin/kata-runtime'));
    await good('uninstall');
    assert.is(node.read(`${place}/${SHIM}`), 'theirs');
  });
}

test('--force replaces it until uninstall', async () => {
  node.write(PLAIN, 'version = 2\n');
  node.write(`/usr/local/bin/${SHIM}`, 'theirs');
  await good('install', '--force');
  assert.is(node.snapshot()[`/usr/local/bin/${SHIM}`], `-> /opt/kata-edge/current/bin/${SHIM}`);
  await good('install', '--force');
  await good('uninstall');
  assert.is(node.read(`/usr/local/bin/${SHIM}`), 'theirs');
});

test('a handler that is there, in the main file or in an imported one', async () => {
  const theirs = `${V2}\n  runtime_type = "io.containerd.kata.v2"\n`;
  node.write(PLAIN, `version = 2\n${theirs}`);
  await refused(/already has a runtime handler "kata".*\/etc\/containerd\/config\.toml/s, 'install');
  node.write(PLAIN, 'version = 3\nimports = ["/opt/kata/containerd/config.d/kata-deploy.toml"]\n');
  node.write('/opt/kata/containerd/config.d/kata-deploy.toml', `version = 3\n${V3}\n`);
  await refused(/kata-deploy\.toml/, 'install');
  assert.not.ok(node.exists('/opt/kata-edge'));
});

test("an operator's configuration is never touched, wherever it is", async () => {
  node.write(PLAIN, 'version = 2\n');
  node.write('/usr/share/defaults/kata-containers/configuration.toml', 'mine');
  await good('install');
  assert.not.ok(node.exists('/etc/kata-containers'));
  await good('uninstall');
  node.write('/etc/kata-containers/configuration.toml', 'mine');
  await good('install');
  await good('uninstall');
  assert.is(node.read('/etc/kata-containers/configuration.toml'), 'mine');
});

test('a default that nobody edited is renewed with the version, an edited one stays', async () => {
  node.write(PLAIN, 'version = 2\n');
  await good('install');
  await other('1.2.4', '');
  assert.is(node.read('/etc/kata-containers/configuration.toml'), '# default of 1.2.4\n');
  node.write('/etc/kata-containers/configuration.toml', 'edited');
  assert.match((await other('1.2.5', '')).stdout, 'has been edited: it stays');
  assert.is(node.read('/etc/kata-containers/configuration.toml'), 'edited');
  const done = await good('uninstall');
  assert.match(done.stderr, 'has been edited: it stays');
});

test('another build of the same version has a place of its own', async () => {
  node.write(PLAIN, 'version = 2\n');
  await good('install');
  await other('1.2.3', 'rebuilt');
  assert.is(node.snapshot()['/opt/kata-edge/current'], '-> 1.2.3-r2');
  // Nobody uses the first: it is gone.
  assert.not.ok(node.exists('/opt/kata-edge/1.2.3'));
});

test('a version that a sandbox names, or a bundle, stays until it does not', async () => {
  node.write(PLAIN, 'version = 2\n');
  await good('install');
  node.write('/run/kata-containers/abc/state.json', '{"program":{"version":"1.2.3","lib":"/opt/kata-edge/1.2.3/lib"}}');
  const bundle = '/run/containerd/io.containerd.runtime.v2.task/k8s.io/pod/shim-binary-path';
  node.write(bundle, '/opt/kata-edge/1.2.3/bin/containerd-shim-kata-v2');
  await other('1.2.4', '');
  assert.ok(node.exists('/opt/kata-edge/1.2.3/lib/shim.cjs'));
  rmSync(join(node.directory, '/run/kata-containers'), { recursive: true });
  assert.match((await good('gc')).stdout, '1.2.3 is still used');
  rmSync(join(node.directory, bundle));
  assert.match((await good('gc')).stdout, '1.2.3 removed');
  assert.not.ok(node.exists('/opt/kata-edge/1.2.3'));
});

test('while a shim runs: refused; by force the handler goes, and the rest when the shim has ended', async () => {
  node.write(PLAIN, 'version = 2\n');
  await good('install');
  // A shell under Node's name, with a shim's argument, that waits for its input to end.
  const program = join(node.directory, 'opt/kata-edge/1.2.3/lib/node');
  copyFileSync('/bin/sh', program);
  const shim = spawn(program, ['-c', 'read line', '/somewhere/shim.cjs'], { stdio: ['pipe', 'ignore', 'ignore'] });
  const ended = new Promise((resolve) => shim.once('exit', resolve));
  try {
    const installed = node.snapshot();
    await refused(new RegExp(`pods still run.*pid ${shim.pid}, /opt/kata-edge/1.2.3/lib/node`, 's'), 'uninstall');
    assert.equal(node.snapshot(), installed);
    assert.match((await good('uninstall', '--force')).stderr, 'pods still run');
    assert.is(node.read(PLAIN), 'version = 2\n');
    assert.ok(node.exists(`/opt/kata-edge/current/bin/${SHIM}`));
    assert.is(node.snapshot()[`/usr/local/bin/${SHIM}`], `-> /opt/kata-edge/current/bin/${SHIM}`);
    await good('gc');
    assert.ok(node.exists(`/opt/kata-edge/current/bin/${SHIM}`));
  } finally {
    shim.stdin.end();
    await ended;
  }
  assert.match((await good('gc')).stdout, 'the rest of kata-edge is uninstalled');
  for (const path of ['/opt/kata-edge', '/var/lib/kata-edge', `/usr/local/bin/${SHIM}`, '/etc/kata-containers']) {
    assert.not.ok(node.exists(path), path);
  }
});

test('what an operator has changed in our lines stays through an upgrade', async () => {
  for (const [version, file] of [
    ['2', PLAIN],
    ['3', '/etc/containerd/conf.d/kata-edge.toml'],
  ] as const) {
    node.write(PLAIN, `version = ${version}\n`);
    await good('install');
    const edited = node.read(file).replace('pod_annotations', 'snapshotter = "devmapper"\n  pod_annotations');
    node.write(file, edited);
    assert.match((await good('install')).stdout, 'has been edited since it was written');
    assert.is(node.read(file), edited);
    await good('uninstall');
    rmSync(join(node.directory, 'etc'), { recursive: true });
  }
});

test('bad words', async () => {
  node.write(PLAIN, 'version = 2\n');
  await refused(/a-z, 0-9/, 'install', '--handler', 'Kata');
  await refused(/a-z, 0-9/, 'install', '--handler', 'kata"]');
  await refused(/absolute path/, 'install', '--config-path', 'etc/kata.toml');
  await refused(/is not a file/, 'install', '--config-path', '/etc/kata.toml');
  await refused(/not one of 1, 2, 3, 4/, 'install', '--config-version', '5');
  await refused(/not one of containerd, k3s/, 'install', '--distribution', 'nomad');
  await refused(/no option --frobnicate/, 'install', '--frobnicate');
  await refused(/needs a value/, 'install', '--handler');
  await refused(/no command frobnicate/, 'frobnicate');
  symlinkSync('/elsewhere.toml', join(node.directory, '/etc/containerd/link.toml'));
  await refused(
    /symbolic link/,
    'install',
    '--containerd-config',
    '/etc/containerd/link.toml',
    '--config-version',
    '2',
  );
  assert.not.ok(node.exists('/opt'));
});

test("an operator's choices for the package's scripts", async () => {
  node.write(PLAIN, 'version = 2\n');
  node.write('/etc/kata-edge/install.conf', '# beside Kata\nHANDLER=kata-edge\n');
  await good('install');
  assert.match(node.read(PLAIN), 'runtimes.kata-edge]');
  // The command line comes first.
  await good('install', '--handler', 'edge');
  assert.match(node.read(PLAIN), 'runtimes.edge]');
  assert.not.match(node.read(PLAIN), 'runtimes.kata-edge]');
});

async function good(...args: string[]): Promise<Finished> {
  const done = await node.install(...args);
  assert.is(done.code, 0, describe(done));
  return done;
}

async function refused(reason: RegExp, ...args: string[]): Promise<void> {
  const done = await node.install(...args);
  assert.is.not(done.code, 0, describe(done));
  assert.match(done.stderr, reason);
}

/** Installs another tree over what is there. */
async function other(version: string, mark: string): Promise<Finished> {
  const tree = mkdtempSync('/tmp/kata-edge-tree-');
  try {
    writeTree(tree, version, mark);
    const done = await finish([INSTALL, 'install', '--root', node.directory, '--tree', tree, '--no-restart']);
    assert.is(done.code, 0, describe(done));
    return done;
  } finally {
    rmSync(tree, { recursive: true });
  }
}

test.run();
