import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { KataError } from '../../../host/error.ts';
import { findSandbox, listSandboxes, MAX_SANDBOXES } from '../../../host/sandbox/census.ts';
import { identify } from '../../../host/sandbox/identity.ts';
import {
  MAX_STATE_BYTES,
  MAX_TEXT,
  nameProcess,
  type PodName,
  readState,
  type SandboxState,
  STATE_VERSION,
  statePath,
  writeState,
} from '../../../host/sandbox/state-file.ts';

interface Context {
  run: string;
  root: string;
}

const test = suite<Context>('census of sandboxes');

test.before.each((context) => {
  context.root = mkdtempSync(join(tmpdir(), 'kata-census-'));
  context.run = join(context.root, 'run');
  mkdirSync(context.run);
});
test.after.each(({ root }) => rmSync(root, { recursive: true, force: true }));

const self = nameProcess('shim', process.pid);
const dead = { name: 'shim', pid: process.pid, startTime: 1 };

function add(run: string, id: string, more: Partial<SandboxState> = {}): string {
  const namespace = more.namespace ?? 'k8s.io';
  const { directory } = identify('/run/containerd.sock', namespace, id, run);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  if (!self) throw new Error('no /proc');
  writeState(directory, {
    version: STATE_VERSION,
    id,
    namespace,
    address: '/run/containerd.sock',
    bundle: '/b',
    socket: '/s',
    shim: self,
    children: [],
    timeline: {},
    ...more,
  });
  return directory;
}

const pod = (name: string, namespace = 'default'): PodName => ({ name, namespace, uid: `uid-of-${name}` });

function complaint(call: () => unknown): KataError {
  try {
    call();
  } catch (thrown) {
    assert.instance(thrown, KataError);
    return thrown as KataError;
  }
  throw new Error('nothing was thrown');
}

test('lists what runs, oldest first, and says whose shim has died', ({ run }) => {
  add(run, 'young', { createdAt: 2000, pod: pod('web'), program: { version: '1', lib: '/opt' }, configuration: '' });
  const directory = add(run, 'old', { createdAt: 1000, shim: dead });
  const listed = listSandboxes(run);
  assert.equal(
    listed.map(({ state, shimAlive }) => [state.id, shimAlive]),
    [
      ['old', false],
      ['young', true],
    ],
  );
  assert.is(listed[0]?.directory, directory);
  assert.equal(listed[1]?.state.pod, pod('web'));
});

test('a directory that is not there, and one that cannot be read, hold nothing', ({ root, run }) => {
  assert.equal(listSandboxes(join(root, 'absent')), []);
  writeFileSync(join(root, 'file'), '');
  assert.equal(listSandboxes(join(root, 'file')), []);
  assert.equal(listSandboxes(run), []);
});

test('rubbish is passed over', ({ root, run }) => {
  add(run, 'good');
  const key = (digit: string): string => join(run, digit.repeat(32));
  writeFileSync(key('0'), 'a file');
  mkdirSync(key('1'));
  mkdirSync(key('2'));
  writeFileSync(statePath(key('2')), '{"version":1,"id":"half');
  mkdirSync(key('3'));
  writeFileSync(statePath(key('3')), Buffer.alloc(MAX_STATE_BYTES + 1, 0x20));
  mkdirSync(key('4'));
  execFileSync('mkfifo', [statePath(key('4'))]);
  mkdirSync(key('5'));
  mkdirSync(statePath(key('5')));
  mkdirSync(key('6'));
  writeFileSync(statePath(key('6')), 'null');
  mkdirSync(key('7'));
  chmodSync(key('7'), 0);
  mkdirSync(join(run, 'shared'));
  writeFileSync(join(run, 'persist.json'), '{}');
  // Elsewhere, and led to by links.
  const outside = add(join(root, 'outside'), 'stranger');
  symlinkSync(outside, key('8'));
  mkdirSync(key('9'));
  symlinkSync(statePath(outside), statePath(key('9')));
  symlinkSync('/nowhere', key('a'));
  assert.equal(
    listSandboxes(run).map(({ state }) => state.id),
    ['good'],
  );
});

test('a description that is not one makes the file nobody can trust', ({ run }) => {
  const wrong: Record<string, unknown>[] = [
    { pod: 'web' },
    { pod: { name: 'web' } },
    { pod: { name: 1, namespace: '', uid: '' } },
    { program: { version: '1' } },
    { configuration: 7 },
    { createdAt: 'yesterday' },
    { createdAt: 1.5 },
    { monitor: 'x'.repeat(MAX_TEXT + 1) },
    { monitorLink: null },
  ];
  for (const more of wrong) {
    const directory = add(run, 'x', more as Partial<SandboxState>);
    assert.is(readState(directory), undefined, JSON.stringify(more).slice(0, 80));
  }
  const directory = add(run, 'x', { monitor: 'x'.repeat(MAX_TEXT) });
  assert.is(readState(directory)?.monitor?.length, MAX_TEXT);
});

test('hundreds of sandboxes are listed, and not more than the limit', ({ run }) => {
  for (let n = 0; n < 300; n++) add(run, `sandbox-${n}`);
  assert.is(listSandboxes(run).length, 300);
  assert.ok(MAX_SANDBOXES > 300);
});

test('finds by id, by the beginning of one, and by the name of the pod', ({ run }) => {
  add(run, 'abcdef01', { pod: pod('web') });
  add(run, 'abcdef02', { pod: pod('web', 'other') });
  add(run, 'ffff', {});
  assert.is(findSandbox('abcdef01', run).state.id, 'abcdef01');
  assert.is(findSandbox('fff', add2(run)).state.id, 'fff');
  assert.is(findSandbox('other/web', run).state.id, 'abcdef02');
  assert.is(findSandbox('k8s.io/ffff', run).state.id, 'ffff');
});

/** An id of three characters, which only the whole id can name. */
function add2(run: string): string {
  add(run, 'fff');
  return run;
}

test('says which sandboxes may be meant, and from where', ({ run }) => {
  add(run, 'abcdef01', { pod: pod('web') });
  add(run, 'abcdef02', { pod: pod('web', 'other') });
  for (const text of ['abcdef', 'web']) {
    const { code, message } = complaint(() => findSandbox(text, run));
    assert.is(code, 'invalid_argument');
    assert.match(message, /abcdef01 \(pod default\/web\), abcdef02 \(pod other\/web\)/);
  }
  add(run, 'same', { namespace: 'default' });
  add(run, 'same', { namespace: 'moby' });
  assert.match(complaint(() => findSandbox('same', run)).message, /namespace default.*namespace moby/);
  assert.is(findSandbox('moby/same', run).state.namespace, 'moby');
  for (let n = 10; n < 30; n++) add(run, `many-${n}`);
  assert.match(complaint(() => findSandbox('many', run)).message, /any of 20 sandboxes: .*many-19.*, and 10 more;/);
});

test('what a crash has left is meant only where nothing living is', ({ run }) => {
  add(run, 'abcdef01', { pod: pod('web'), shim: dead });
  assert.is(findSandbox('web', run).shimAlive, false);
  add(run, 'abcdef02', { pod: pod('web') });
  assert.is(findSandbox('web', run).state.id, 'abcdef02');
  assert.is(findSandbox('abcdef', run).state.id, 'abcdef02');
});

test('says when there is none', ({ run }) => {
  assert.match(complaint(() => findSandbox('web', run)).message, /none runs here/);
  add(run, 'abcdef01');
  const { code, message } = complaint(() => findSandbox('abc', run));
  assert.is(code, 'not_found');
  assert.match(message, /4 characters/);
  assert.match(complaint(() => findSandbox('nothing', run)).message, /kata-runtime list/);
  assert.is(complaint(() => findSandbox('', run)).code, 'not_found');
});

test.run();
