/** The link by which Kata's tools find a management socket, and what a sandbox's pod is called. */
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { decode, encode } from '../../../host/proto/codec.ts';
import { PodSandboxConfig } from '../../../host/proto/messages/cri.ts';
import { cleanUp } from '../../../host/sandbox/cleanup.ts';
import { claimLink, monitorLink, monitorSocket, releaseLink } from '../../../host/sandbox/monitor-link.ts';
import { MAX_POD_NAME, podNameOf } from '../../../host/sandbox/pod-name.ts';
import { STATE_VERSION, writeState } from '../../../host/sandbox/state-file.ts';
import { KeptLog } from './fake-guest.ts';

interface Context {
  root: string;
  link: string;
  socket: string;
}

const test = suite<Context>('management link');

test.before.each((context) => {
  context.root = mkdtempSync(join(tmpdir(), 'kata-link-'));
  const directory = join(context.root, 'run/key');
  mkdirSync(directory, { recursive: true });
  context.socket = monitorSocket(directory);
  writeFileSync(context.socket, '');
  context.link = monitorLink('pod-1', join(context.root, 'sbs'));
});
test.after.each(({ root }) => rmSync(root, { recursive: true }));

test('made, found again, removed with its directory', ({ link, socket }) => {
  assert.is(claimLink(link, socket), true);
  assert.is(claimLink(link, socket), true);
  assert.is(readlinkSync(link), socket);
  assert.is(lstatSync(dirname(link)).mode & 0o777, 0o700);
  releaseLink(link, socket);
  releaseLink(link, socket);
  assert.equal([existsSync(dirname(link)), existsSync(socket)], [false, true]);
});

test("another sandbox's link and another shim's socket stay", ({ root, link, socket }) => {
  const other = join(root, 'other.sock');
  writeFileSync(other, '');
  assert.is(claimLink(link, other), true);
  assert.is(claimLink(link, socket), false);
  releaseLink(link, socket);
  assert.is(readlinkSync(link), other);
  rmSync(link);
  writeFileSync(link, "Kata's");
  assert.is(claimLink(link, socket), false);
  releaseLink(link, socket);
  assert.is(readFileSync(link, 'utf8'), "Kata's");
});

test('a link that leads nowhere any more is taken over', ({ root, link, socket }) => {
  mkdirSync(dirname(link), { recursive: true });
  symlinkSync(join(root, 'gone.sock'), link);
  assert.is(claimLink(link, socket), true);
  assert.is(readlinkSync(link), socket);
});

test('after a crash the state file is enough to remove it, and nothing else', async ({ root, link, socket }) => {
  const state = {
    version: STATE_VERSION,
    id: 'pod-1',
    namespace: 'ns',
    address: '/a',
    bundle: '/b',
    socket: join(root, 's'),
    shim: { name: 'shim', pid: 999_999_999, startTime: 1 },
    children: [],
    timeline: {},
    monitor: socket,
    monitorLink: link,
  };
  claimLink(link, socket);
  writeState(dirname(socket), state);
  await cleanUp(dirname(socket), new KeptLog());
  assert.equal([existsSync(dirname(link)), existsSync(dirname(socket))], [false, false]);
  mkdirSync(dirname(socket), { recursive: true });
  writeFileSync(join(root, 'other.sock'), '');
  claimLink(link, join(root, 'other.sock'));
  writeState(dirname(socket), state);
  await cleanUp(dirname(socket), new KeptLog());
  assert.is(readlinkSync(link), join(root, 'other.sock'));
});

test('a pod is named by its configuration, or by the annotations of containerd or CRI-O', () => {
  const metadata = { name: 'web', namespace: 'default', uid: 'u', attempt: 1 };
  const pod = decode(PodSandboxConfig, encode(PodSandboxConfig, { metadata }));
  assert.equal(podNameOf({ pod, annotations: {} }), { name: 'web', namespace: 'default', uid: 'u' });
  const cri = {
    'io.kubernetes.cri.sandbox-name': 'web',
    'io.kubernetes.cri.sandbox-namespace': 'default',
    'io.kubernetes.cri.sandbox-uid': 'u',
  };
  assert.equal(podNameOf({ pod: undefined, annotations: cri }), { name: 'web', namespace: 'default', uid: 'u' });
  const crio = {
    'io.kubernetes.cri-o.KubeName': 'web',
    'io.kubernetes.cri-o.Namespace': 'default',
    'io.kubernetes.pod.uid': 'u',
  };
  assert.equal(podNameOf({ pod: undefined, annotations: crio }), { name: 'web', namespace: 'default', uid: 'u' });
  assert.is(podNameOf({ pod: undefined, annotations: {} }), undefined);
  assert.is(podNameOf({ pod: undefined, annotations: JSON.parse('{"__proto__":{"x":"y"}}') }), undefined);
  const long = { 'io.kubernetes.cri.sandbox-name': 'x'.repeat(MAX_POD_NAME + 1) };
  assert.is(podNameOf({ pod: undefined, annotations: long })?.name.length, MAX_POD_NAME);
});

test.run();
