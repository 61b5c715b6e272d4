/** The `sh` launcher, with a stand-in for Node that says how it was called. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

const LAUNCHER = join(import.meta.dirname, '../../../host/bin/containerd-shim-kata-v2');
const FLAGS = ['-namespace', 'ns', '-address', '/run/c.sock', '-publish-binary', '/bin/c', '-id', 'ctr'];

interface Context {
  root: string;
  bundle: string;
}

const test = suite<Context>('launcher');

test.before.each((context) => {
  context.root = mkdtempSync(join(tmpdir(), 'kata-launch-'));
  for (const directory of ['tree/bin', 'tree/lib', 'bundles/ctr', 'bundles/pod']) {
    mkdirSync(join(context.root, directory), { recursive: true });
  }
  context.bundle = join(context.root, 'bundles/ctr');
  copyFileSync(LAUNCHER, join(context.root, 'tree/bin/shim'));
  symlinkSync(join(context.root, 'tree/bin/shim'), join(context.root, 'link'));
  node(context, 'echo "unix:///run/x"');
});
test.after.each(({ root }) => rmSync(root, { recursive: true }));

function node({ root }: Context, script: string): void {
  writeFileSync(join(root, 'tree/lib/node'), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
}

function launch(
  { root, bundle }: Context,
  args: readonly string[],
  env: Record<string, string> = {},
): { status: number | null; out: string } {
  const { PATH = '' } = process.env;
  const { status, stdout, stderr } = spawnSync('sh', [join(root, 'link'), ...args], {
    cwd: bundle,
    env: { PATH, ...env },
    encoding: 'utf8',
    input: '',
  });
  return { status, out: stdout + stderr };
}

function config({ bundle }: Context, annotations: Record<string, string>): void {
  writeFileSync(join(bundle, 'config.json'), JSON.stringify({ process: { args: ['x'] }, annotations }));
}

const MEMBER = { 'io.kubernetes.cri.container-type': 'container', 'io.kubernetes.cri.sandbox-id': 'pod' };

test('start prints the address, and nothing else', (context) => {
  config(context, {});
  assert.equal(launch(context, [...FLAGS, 'start']), { status: 0, out: 'unix:///run/x' });
  node(context, 'printf \'{"version":3,"address":"unix:///run/x","protocol":"ttrpc"}\'');
  assert.match(launch(context, [...FLAGS, 'start']).out, /^\{"version":3,.*\}$/);
});

test('anything else than an address is a failure, and told', (context) => {
  config(context, {});
  node(context, 'echo "no good reason" >&2; exit 3');
  assert.equal(launch(context, [...FLAGS, 'start']), { status: 1, out: 'no good reason\n' });
  node(context, 'exit 0');
  assert.is(launch(context, [...FLAGS, 'start']).status, 1);
});

test('Node is started with its own arguments first, without its environment variables, in a mount namespace of its own', (context) => {
  config(context, {});
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the shell's
  node(context, 'echo "unix://$*|${NODE_OPTIONS-}|${NODE_EXTRA_CA_CERTS-}|$(readlink /proc/self/ns/mnt)"');
  const { out } = launch(context, [...FLAGS, 'start'], { NODE_OPTIONS: '--bad', NODE_EXTRA_CA_CERTS: '/bad' });
  assert.match(
    out,
    /^unix:\/\/--no-warnings --v8-pool-size=1 \S+\/tree\/bin\/\.\.\/lib\/shim\.cjs -namespace ns .* start\|\|\|mnt:/,
  );
  const ours = spawnSync('readlink', ['/proc/self/ns/mnt'], { encoding: 'utf8' }).stdout.trim();
  assert.not.ok(out.endsWith(ours));
});

test('other actions go to Node as they are', (context) => {
  node(context, 'echo "$@"; exit 7');
  for (const args of [['-v'], ['-info'], [...FLAGS, '-bundle', '/b', 'delete'], FLAGS]) {
    const { status, out } = launch(context, args);
    assert.is(status, 7);
    assert.ok(out.trim().endsWith(args.join(' ')));
  }
});

test("a pod's container is answered without Node, by the pod's own address", (context) => {
  config(context, MEMBER);
  node(context, 'echo "Node was asked"');
  writeFileSync(join(context.root, 'bundles/pod/address'), 'unix:///run/of/the/pod');
  assert.equal(launch(context, [...FLAGS, 'start']), { status: 0, out: 'unix:///run/of/the/pod' });
  assert.is(readFileSync(join(context.bundle, 'address'), 'utf8'), 'unix:///run/of/the/pod');
});

test("without the pod's file the address is worked out", (context) => {
  config(context, MEMBER);
  const hash = createHash('sha256').update('/run/c.sock/ns/pod').digest('hex');
  assert.is(launch(context, [...FLAGS, 'start']).out, `unix:///run/containerd/s/${hash}`);
  assert.is(
    launch(context, ['--namespace=ns', '--address=/run/c.sock', '-id=ctr', 'start']).out,
    `unix:///run/containerd/s/${hash}`,
  );
});

test('in doubt Node answers', (context) => {
  const doubts: Record<string, string>[] = [
    {},
    { ...MEMBER, 'io.kubernetes.cri.container-type': 'sandbox' },
    { 'io.kubernetes.cri.container-type': 'container' },
    { ...MEMBER, 'io.kubernetes.cri.sandbox-id': '..' },
    { ...MEMBER, 'io.kubernetes.cri.sandbox-id': '../../etc' },
    { ...MEMBER, 'io.kubernetes.sandbox.id': 'another' },
    { note: '"io.kubernetes.cri.container-type":"container","io.kubernetes.cri.sandbox-id":"pod"' },
  ];
  for (const annotations of doubts) {
    config(context, annotations);
    assert.is(launch(context, [...FLAGS, 'start']).out, 'unix:///run/x', JSON.stringify(annotations));
  }
});

test.run();
