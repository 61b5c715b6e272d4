/** The handler in the configuration of real containerds: they say themselves what they make of it. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { describe, type Finished } from '../../setup/command.ts';
import type { ContainerdVersion } from '../../setup/containerd-packages.ts';
import { type FakeNode, fakeNode } from './node.ts';

const CONFIG = '/etc/containerd/config.toml';
const CRI = 'plugins."io.containerd.grpc.v1.cri"';
const RUNTIME = "plugins.'io.containerd.cri.v1.runtime'";
const DEBIAN = `version = 2

[plugins]
  [${CRI}]
    [${CRI}.cni]
      bin_dir = "/usr/lib/cni"
  [plugins."io.containerd.internal.v1.opt"]
    path = "/var/lib/containerd/opt"
`;
const TUNED = `version = 2
root = "/data/containerd"
[${CRI}]
  enable_selinux = true
[${CRI}.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[${CRI}.containerd.runtimes.runc.options]
  SystemdCgroup = true
[${CRI}.containerd.runtimes.other]
  runtime_type = "io.containerd.other.v2"`;
const THREE = `version = 3 # the newest
[${RUNTIME}]
  enable_selinux = true
[${RUNTIME}.containerd.runtimes.runc]
  runtime_type = 'io.containerd.runc.v2'
  [${RUNTIME}.containerd.runtimes.runc.options]
    SystemdCgroup = true
`;

interface Case {
  readonly name: string;
  readonly versions: readonly ContainerdVersion[];
  /** The main file; absent: there is none. */
  readonly config?: string;
  readonly files?: Readonly<Record<string, string>>;
  /** What the configuration that containerd makes has to show besides. */
  readonly kept?: readonly RegExp[];
}

/** Not in what is mounted. */
const LINKS = ['--link-directory', '/programs'];
const OLD = ['1.6', '1.7'] as const;
const ALL = ['1.6', '1.7', '2.1'] as const;
const SYSTEMD = /SystemdCgroup = true/;
const SELINUX = /enable_selinux = true/;

const CASES: readonly Case[] = [
  { name: 'no file', versions: ALL },
  { name: "Debian's file", versions: ALL, config: DEBIAN, kept: [/usr\/lib\/cni/] },
  {
    name: "an operator's file of version 2, without a last newline",
    versions: ALL,
    config: TUNED,
    kept: [SYSTEMD, SELINUX, /runtimes\.other\]/, /\/data\/containerd/],
  },
  {
    name: 'a file without version',
    versions: OLD,
    config: '[plugins.cri]\n  enable_selinux = true\n',
    kept: [SELINUX],
  },
  { name: 'a file with comments only', versions: ALL, config: '# nothing yet\n' },
  { name: 'a file of version 3', versions: ['2.1'], config: THREE, kept: [SYSTEMD, SELINUX] },
  {
    name: 'imports of others',
    versions: ['2.1'],
    config: `imports = ["/etc/containerd/other/*.toml"]\n${THREE}`,
    files: {
      '/etc/containerd/other/a.toml': `version = 3\n[${RUNTIME}.containerd.runtimes.other]\n  runtime_type = 'io.containerd.other.v2'\n`,
    },
    kept: [SYSTEMD, /runtimes\.other\]/],
  },
  {
    name: 'imports over several lines, with what we write in among them',
    versions: ['2.1'],
    config: `version = 3\nimports = [\n  # ours\n  "/etc/containerd/conf.d/*.toml",\n]\n`,
  },
  {
    name: 'imports over several lines',
    versions: ['2.1'],
    config: `version = 3\nimports = [\n  "/etc/containerd/other/*.toml",\n]\n[${RUNTIME}]\n  enable_selinux = true\n`,
    kept: [SELINUX],
  },
];

const test = suite('containerd');
let node: FakeNode | undefined;

test.after.each(() => {
  node?.remove();
  node = undefined;
});

for (const { name, versions, config, files = {}, kept = [] } of CASES) {
  for (const version of versions) {
    test(`${version}: ${name}`, async () => {
      node = await fakeNode(version);
      if (config !== undefined) node.write(CONFIG, config);
      for (const [path, text] of Object.entries(files)) node.write(path, text);
      const untouched = withoutState(node.snapshot());
      const handlers = await handlersOf(node);

      await good(node, 'install');
      const dump = await dumpOf(node);
      assert.ok(
        handlers.every((one) => handlersIn(dump).includes(one)),
        `${handlers} before, ${handlersIn(dump)} after`,
      );
      assert.ok(handlersIn(dump).includes('runc') && handlersIn(dump).includes('kata'), String(handlersIn(dump)));
      assert.match(dump, /runtime_type = ["']io\.containerd\.kata\.v2["']/);
      assert.match(dump, /pod_annotations = \[["']io\.katacontainers\.\*["']\]/);
      for (const pattern of kept) assert.match(dump, pattern);

      const installed = node.snapshot();
      await good(node, 'install');
      assert.equal(node.snapshot(), installed, 'a second install changes something');

      await good(node, 'uninstall');
      assert.equal(withoutState(node.snapshot()), untouched);
    });
  }
}

test('2.1: another handler beside one that is there, with a configuration of its own', async () => {
  node = await fakeNode('2.1');
  node.write(CONFIG, `${THREE}[${RUNTIME}.containerd.runtimes.kata]\n  runtime_type = 'io.containerd.kata.v2'\n`);
  node.write('/etc/mine/kata.toml', '');
  const refused = await node.install();
  assert.is(refused.code, 1);
  assert.match(refused.stderr, /already has a runtime handler "kata"/);
  assert.match(refused.stderr, CONFIG);

  await good(node, 'install', '--handler', 'kata-edge', '--config-path', '/etc/mine/kata.toml');
  const dump = await dumpOf(node);
  assert.equal(handlersIn(dump), ['kata', 'kata-edge', 'runc']);
  assert.match(dump, "ConfigPath = '/etc/mine/kata.toml'");
  // Nobody's PATH is changed: the handler has the path.
  assert.match(dump, "runtime_path = '/opt/kata-edge/current/bin/containerd-shim-kata-v2'");
  assert.not.ok(node.exists('/programs/containerd-shim-kata-v2'));
  // The choice holds for the next version's install.
  await good(node, 'install');
  assert.equal(handlersIn(await dumpOf(node)), ['kata', 'kata-edge', 'runc']);
});

for (const version of OLD) {
  test(`${version}: an import that would hide the handler is named, and nothing is changed`, async () => {
    node = await fakeNode(version);
    node.write(CONFIG, 'version = 2\nimports = ["/etc/containerd/conf.d/*.toml"]\n');
    node.write(
      '/etc/containerd/conf.d/nvidia.toml',
      `version = 2\n[${CRI}.containerd.runtimes.nvidia]\n  runtime_type = "io.containerd.runc.v2"\n`,
    );
    const before = node.snapshot();
    const refused = await node.install();
    assert.is(refused.code, 1);
    assert.match(refused.stderr, /imports/);
    assert.match(refused.stderr, /runtimes\.kata\]/);
    assert.is(node.read(CONFIG), before[CONFIG]);
    assert.not.ok(handlersIn(await dumpOf(node)).includes('kata'));
  });
}

test("Docker's file, which has no CRI", async () => {
  node = await fakeNode('1.7');
  const config = 'disabled_plugins = ["cri"]\n';
  node.write(CONFIG, config);
  const done = await good(node, 'install');
  assert.match(done.stderr, "disables containerd's CRI plugin");
  assert.match(node.read(CONFIG), '[plugins.cri.containerd.runtimes.kata]');
  const installed = node.snapshot();
  await good(node, 'install');
  assert.equal(node.snapshot(), installed);
  await good(node, 'uninstall');
  assert.is(node.read(CONFIG), config);
});

for (const version of ALL) {
  test(`${version}: a file that containerd cannot read`, async () => {
    node = await fakeNode(version);
    node.write(CONFIG, 'version = \n[plugins');
    const before = node.snapshot();
    const refused = await node.install();
    assert.is(refused.code, 1);
    assert.match(refused.stderr, /cannot read \/etc\/containerd\/config\.toml: correct it first.*toml/s);
    assert.equal(node.snapshot(), before);
  });
}

test('an edit of the operator after the install is kept', async () => {
  node = await fakeNode('1.7');
  node.write(CONFIG, DEBIAN);
  await good(node, 'install');
  node.write(CONFIG, `# mine\n${node.read(CONFIG)}\n[metrics]\n  address = "127.0.0.1:1338"\n`);
  const done = await good(node, 'uninstall');
  assert.match(done.stderr, /edited since/);
  assert.is(node.read(CONFIG), `# mine\n${DEBIAN}\n[metrics]\n  address = "127.0.0.1:1338"\n`);
});

test('a containerd that comes in a new version gets its own form', async () => {
  node = await fakeNode('1.7');
  node.write(CONFIG, DEBIAN);
  await good(node, 'install');
  const later = await fakeNode('2.1');
  try {
    for (const [path, text] of Object.entries(node.snapshot())) {
      if (/^\/(etc|var)\//.test(path) && text !== 'directory') later.write(path, text);
    }
    await good(later, 'install');
    assert.match(later.read('/etc/containerd/conf.d/kata-edge.toml'), 'version = 2');
    assert.not.match(later.read(CONFIG), 'kata-edge: begin');
    assert.ok(handlersIn(await dumpOf(later)).includes('kata'));
    await good(later, 'uninstall');
    assert.is(later.read(CONFIG), DEBIAN);
  } finally {
    later.remove();
  }
});

async function good(on: FakeNode, ...args: string[]): Promise<Finished> {
  const done = await on.install(...args, ...LINKS);
  assert.is(done.code, 0, describe(done));
  return done;
}

async function dumpOf(on: FakeNode): Promise<string> {
  const command = on.exists(CONFIG) ? ['--config', CONFIG, 'config', 'dump'] : ['config', 'default'];
  const done = await on.run('/opt/containerd/bin/containerd', ...command);
  assert.is(done.code, 0, describe(done));
  return done.stdout;
}

function handlersIn(dump: string): string[] {
  return [...dump.matchAll(/containerd\.runtimes\.['"]?([a-z-]+)['"]?\]$/gm)].map(([, name]) => name ?? '').sort();
}

async function handlersOf(on: FakeNode): Promise<string[]> {
  return handlersIn(await dumpOf(on));
}

/** What is empty and was made on the way is nobody's: /opt, /var. */
function withoutState(snapshot: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(snapshot).filter(([path]) => !['/opt', '/var', '/var/lib'].includes(path)));
}

test.run();
