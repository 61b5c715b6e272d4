import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { FifoLog, formatLine, MAX_LINE_BYTES } from '../../../host/shim/log.ts';

const test = suite<{ directory: string; path: string }>('log');

test.before.each((context) => {
  context.directory = mkdtempSync(join(tmpdir(), 'kata-log-'));
  context.path = join(context.directory, 'log');
  execFileSync('mkfifo', [context.path]);
});
test.after.each(({ directory }) => rmSync(directory, { recursive: true }));

function read(fd: number): string {
  const buffer = Buffer.alloc(1024 * 1024);
  return buffer.subarray(0, readSync(fd, buffer)).toString();
}

test('lines as containerd writes its own', () => {
  const line = formatLine(new Date(0), 'info', 'two words', { n: 1, s: 'plain', q: 'a "b"', u: undefined });
  assert.is(line, 'time="1970-01-01T00:00:00.000Z" level=info msg="two words" n=1 s=plain q="a \\"b\\""\n');
});

test('what a guest wrote cannot steer a terminal, or add lines', () => {
  const line = formatLine(new Date(0), 'error', 'x', { said: '\u001b[2J\nlevel=info\u009b1m\u007f' });
  assert.is(line.split('\n').length, 2);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they must not be there
  assert.not.match(line.trimEnd(), /[\u0000-\u001f\u007f-\u009f]/);
});

test('a line fits a pipe in one piece', () => {
  for (const value of ['x'.repeat(100_000), 'ä'.repeat(100_000)]) {
    const line = formatLine(new Date(0), 'info', 'm', { a: value, b: value, c: value });
    assert.ok(Buffer.byteLength(line) <= MAX_LINE_BYTES, String(Buffer.byteLength(line)));
    assert.ok(line.endsWith('\n'));
  }
});

test('without a reader nothing happens; with one lines arrive and say what is missing', ({ path }) => {
  const log = new FifoLog(path, false, { sandbox: 's' });
  log.info('nobody hears this');
  log.info('nor this');
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  log.debug('too quiet');
  log.info('heard');
  const text = read(reader);
  assert.match(text, /msg=heard sandbox=s dropped_lines=2\n$/);
  assert.is(text.split('\n').length, 2);
  closeSync(reader);
  log.info('the reader is gone');
  const again = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  log.info('and back');
  assert.match(read(again), /msg="and back"/);
  closeSync(again);
  log.close();
});

test('a full pipe never blocks', ({ path }) => {
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const log = new FifoLog(path, true, {});
  for (let index = 0; index < 200; index++) log.info('x'.repeat(2000));
  assert.ok(read(reader).length <= 65536);
  log.info('after');
  assert.match(read(reader), /msg=after dropped_lines=\d+/);
  closeSync(reader);
  log.close();
});

test.run();
