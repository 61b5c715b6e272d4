/** The DaemonSet's image: run by containerd as Kubernetes would run it, it installs kata-edge on the node around it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { describe } from '../../setup/command.ts';
import { machineArch } from '../../setup/debian.ts';
import { packImage } from '../../setup/package-image.ts';
import { buildTree } from '../../setup/package-tree.ts';
import { ROOT } from '../../setup/paths.ts';
import { type DebianRoot, debianRoot } from './debian-root.ts';

const VERSION = '0.0.3';
const READY_MS = 60_000;
const INTERVAL_MS = 100;
const CONFIG = '/etc/containerd/config.toml';
const ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';
/** Writes each label it is asked for to /run/labels. */
const API_SERVER = `
const { readFileSync, appendFileSync } = require('node:fs');
const tls = { key: readFileSync('/tmp/key.pem'), cert: readFileSync('/tmp/cert.pem') };
require('node:https').createServer(tls, (request, response) => {
  let body = '';
  request.on('data', (part) => (body += part));
  request.on('end', () => { appendFileSync('/run/labels', request.url + ' ' + body + '\\n'); response.end('{}'); });
}).listen(6443, '127.0.0.1');
`;

const test = suite('image');
let root: DebianRoot;
let scratch: string;
let untouched: string;

test.before(async () => {
  scratch = mkdtempSync('/tmp/ked-image-');
  const tree = await buildTree(join(scratch, 'tree'), VERSION, machineArch());
  const image = await packImage(tree, { output: scratch, epoch: 0 });
  root = await debianRoot();
  await root.put(image, '/tmp/image.tar');
  await root.put(join(scratch, 'tree/lib/node'), '/tmp/node');
  for (const name of ['key.pem', 'cert.pem']) await root.put(join(ROOT, 'test/fixtures/tls', name), `/tmp/${name}`);
  const account = `mkdir -p /tmp/account; echo a-token >/tmp/account/token; cp /tmp/cert.pem /tmp/account/ca.crt; touch /etc/hosts /etc/resolv.conf`;
  await root.must(['sh', '-c', account]);
  untouched = await root.read(CONFIG);
  root.start(['/tmp/node', '-e', API_SERVER], '/run/api.log');
  root.start(['containerd'], '/run/containerd.log');
  await until('containerd answers', async () => (await root.run(['ctr', 'version'])).code === 0);
  await root.must(['ctr', 'images', 'import', '--snapshotter', 'native', '/tmp/image.tar']);
});

test.after(async () => {
  await root?.close();
  rmSync(scratch, { recursive: true, force: true });
});

test('installs on its node and labels it; without being asked, it leaves everything when it ends', async () => {
  await start('first', 'no');
  assert.match(await root.must(['kata-runtime', '--version']), VERSION);
  assert.match(await root.must(['containerd-shim-kata-v2', '-v']), VERSION);
  // The bundle was compiled by the node's own loader: the image has no libc.
  assert.match(await root.must(['ls', '/opt/kata-edge/current/lib']), 'serve.cjs.v8');
  assert.match(await root.must(['containerd', 'config', 'dump']), 'runtimes.kata]');
  assert.is(await root.read('/run/labels'), labelled('"true"'));
  await end('first');
  const verified = await root.run(['/opt/kata-edge/current/install.sh', 'verify']);
  assert.is(verified.code, 0, describe(verified));
});

test('a second time changes nothing, and takes everything away when it is asked to', async () => {
  const record = await root.read('/var/lib/kata-edge/record');
  await start('second', 'yes');
  assert.is(await root.read('/var/lib/kata-edge/record'), record);
  await end('second');
  assert.is(await root.read('/run/labels'), labelled('"true"') + labelled('"true"') + labelled('null'));
  assert.is(await root.read(CONFIG), untouched);
  for (const path of ['/opt/kata-edge', '/var/lib/kata-edge', '/usr/local/bin/kata-runtime', '/etc/kata-containers']) {
    assert.is.not((await root.run(['test', '-e', path])).code, 0, `${path} is left`);
  }
});

/** As the manifest says: the node's files at /host, its processes, its network. */
async function start(id: string, uninstall: string): Promise<void> {
  const mounts = [
    'type=bind,src=/,dst=/host,options=rbind:rw',
    `type=bind,src=/tmp/account,dst=${ACCOUNT},options=rbind:ro`,
  ];
  const env = [
    `UNINSTALL=${uninstall}`,
    'NODE_NAME=n1',
    'KUBERNETES_SERVICE_HOST=127.0.0.1',
    'KUBERNETES_SERVICE_PORT=6443',
  ];
  const flags = [
    ...['--snapshotter', 'native', '--privileged', '--net-host', '--with-ns', 'pid:/proc/1/ns/pid'],
    ...mounts.flatMap((mount) => ['--mount', mount]),
    ...env.flatMap((pair) => ['--env', pair]),
  ];
  root.start(['ctr', 'run', ...flags, `localhost/kata-edge:${VERSION}`, id], `/run/${id}.log`);
  await until(
    'it is installed',
    async () => (await root.run(['grep', '-q', '^installed; waiting', `/run/${id}.log`])).code === 0,
    id,
  );
}

async function end(id: string): Promise<void> {
  await root.must(['ctr', 'task', 'kill', '--signal', 'SIGTERM', id]);
  // `ctr run` deletes the task when it has ended.
  const listed = async () => (await root.must(['ctr', 'task', 'ls', '--quiet'])).split('\n').includes(id);
  await until('it has ended', async () => !(await listed()), id);
  await root.must(['ctr', 'container', 'rm', id]);
}

async function until(what: string, holds: () => Promise<boolean>, log = 'containerd'): Promise<void> {
  for (const deadline = Date.now() + READY_MS; !(await holds()); await sleep(INTERVAL_MS)) {
    if (Date.now() > deadline)
      throw new Error(`not within ${READY_MS} ms: ${what}\n${(await root.read(`/run/${log}.log`)).slice(-4096)}`);
  }
}

function labelled(value: string): string {
  return `/api/v1/nodes/n1 {"metadata":{"labels":{"katacontainers.io/kata-runtime":${value}}}}\n`;
}

test.run();
