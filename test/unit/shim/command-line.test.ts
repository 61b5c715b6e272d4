import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseCommandLine } from '../../../host/shim/command-line.ts';

const test = suite('command line');

test("containerd's own line", () => {
  const words =
    '-namespace k8s.io -address /run/c.sock -publish-binary /usr/bin/containerd -id p1 -bundle /b -debug delete';
  assert.equal(parseCommandLine(words.split(' ')), {
    action: 'delete',
    namespace: 'k8s.io',
    id: 'p1',
    address: '/run/c.sock',
    publishBinary: '/usr/bin/containerd',
    bundle: '/b',
    socket: '',
    debug: true,
  });
});

test('every form of a Go flag', () => {
  for (const words of [
    ['-id', 'x', 'start'],
    ['-id=x', 'start'],
    ['--id', 'x', 'start'],
    ['--id=x', 'start'],
  ]) {
    const line = parseCommandLine(words);
    assert.is(line.id, 'x');
    assert.is(line.action, 'start');
  }
  assert.is(parseCommandLine(['-debug=false']).debug, false);
  assert.is(parseCommandLine(['-id', '-x', 'start']).id, '-x', 'a value may look like a flag');
});

test('actions', () => {
  assert.is(parseCommandLine([]).action, 'serve');
  for (const [word, action] of [
    ['-v', 'version'],
    ['--version', 'version'],
    ['-info', 'info'],
    ['-help', 'help'],
  ] as const) {
    assert.is(parseCommandLine([word]).action, action);
  }
});

for (const words of [['-unknown'], ['-id'], ['-debug=maybe'], ['stop'], ['-id', 'x', 'frobnicate']]) {
  test(`refuses ${words.join(' ')}`, () => {
    assert.throws(
      () => parseCommandLine(words),
      (thrown: Error) => thrown.message.length > 0,
    );
  });
}

test.run();
