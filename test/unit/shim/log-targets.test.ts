/** The log's levels, and where it goes besides the fifo: the journal's and syslog's sockets, played by a receiver. */
import { execFileSync } from 'node:child_process';
import { constants, mkdtempSync, openSync, readSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { told } from '../../../host/shim/call-log.ts';
import {
  IDENTIFIER,
  journalEntry,
  journalLog,
  RETRY_MS,
  syslogLine,
  syslogLog,
} from '../../../host/shim/datagram-log.ts';
import { FifoLog, type Level, type LogRecord, MAX_LINE_BYTES, MAX_VALUE_LENGTH } from '../../../host/shim/log.ts';
import { type Receiver, receiveDatagrams } from '../../harness/datagrams.ts';

const log = suite<{ directory: string; path: string }>("the log's targets");
const receivers: Receiver[] = [];

log.before.each((context) => {
  context.directory = mkdtempSync(join(tmpdir(), 'kata-targets-'));
  context.path = join(context.directory, 'socket');
});

log.after.each(async ({ directory }) => {
  for (const receiver of receivers.splice(0)) await receiver.stop();
  rmSync(directory, { recursive: true });
});

async function receiver(path: string): Promise<Receiver> {
  const made = await receiveDatagrams(path);
  receivers.push(made);
  return made;
}

function record(message: string, fields: LogRecord['fields'] = {}, level: Level = 'info'): LogRecord {
  return { time: new Date(2026, 0, 5, 3, 4, 9), level, message, fields };
}

/** As the journal reads it. */
function parseJournal(data: Buffer): Map<string, string> {
  const found = new Map<string, string>();
  for (let at = 0; at < data.length; ) {
    const end = data.indexOf(0x0a, at);
    const line = data.toString('utf8', at, end);
    const equals = line.indexOf('=');
    if (equals >= 0) {
      found.set(line.slice(0, equals), line.slice(equals + 1));
      at = end + 1;
    } else {
      const length = Number(data.readBigUInt64LE(end + 1));
      found.set(line, data.toString('utf8', end + 9, end + 9 + length));
      assert.is(data[end + 9 + length], 0x0a);
      at = end + 9 + length + 1;
    }
  }
  return found;
}

log('the journal: fields by name, values of several lines, priorities', async ({ path }) => {
  const { next } = await receiver(path);
  const journal = journalLog(path);
  journal.write(
    record('sandbox ends', { sandbox: 'abc', exit_code: 3, reason: 'a\nb', 'odd-name': true, gone: undefined }),
  );
  const entry = parseJournal(await next());
  assert.equal(
    [...entry],
    [
      ['MESSAGE', 'sandbox ends sandbox=abc exit_code=3 reason="a\\nb" odd-name=true'],
      ['PRIORITY', '6'],
      ['SYSLOG_IDENTIFIER', IDENTIFIER],
      ['KATA_SANDBOX', 'abc'],
      ['KATA_EXIT_CODE', '3'],
      ['KATA_REASON', 'a\nb'],
      ['KATA_ODD_NAME', 'true'],
    ],
  );
  for (const [level, priority] of [
    ['debug', '7'],
    ['warning', '4'],
    ['error', '3'],
  ] as const) {
    journal.write(record('x', {}, level));
    assert.is(parseJournal(await next()).get('PRIORITY'), priority);
  }
  journal.close();
});

log('a value cannot make fields of its own', () => {
  const value = 'x\nPRIORITY=0\n_PID=1';
  const entry = parseJournal(Buffer.from(journalEntry(record('m', { said: value, 'a\nB=c': 1 }))));
  assert.equal([...entry.keys()], ['MESSAGE', 'PRIORITY', 'SYSLOG_IDENTIFIER', 'KATA_SAID', 'KATA_A_B_C']);
  assert.is(entry.get('KATA_SAID'), value);
  assert.is(entry.get('PRIORITY'), '6');
});

log('everything is bounded', () => {
  const fields = { a: 'x'.repeat(100_000), b: 'ä'.repeat(100_000), [`long${'e'.repeat(200)}`]: 'y' };
  const entry = parseJournal(Buffer.from(journalEntry(record('m'.repeat(100_000), fields))));
  assert.ok(Buffer.byteLength(entry.get('MESSAGE') as string) <= MAX_LINE_BYTES);
  assert.is((entry.get('KATA_A') as string).length, MAX_VALUE_LENGTH + 1);
  for (const name of entry.keys()) assert.ok(name.length <= 64);
  assert.ok(syslogLine(record('m', fields)).length <= MAX_LINE_BYTES + 100);
});

log('syslog: priority, time, tag', async ({ path }) => {
  const { next } = await receiver(path);
  const syslog = syslogLog(path);
  syslog.write(record('it "said" so', { container: 'c1', line: 'a\x1b[2J\nb' }, 'error'));
  assert.is(
    (await next()).toString(),
    `<27>Jan  5 03:04:09 kata[${process.pid}]: it "said" so container=c1 line="a\\u001b[2J\\nb"`,
  );
  syslog.close();
});

log('nobody there: counted, tried again sparsely, told once somebody is', async ({ path }) => {
  let now = 0;
  const journal = journalLog(path, () => now);
  journal.write(record('lost'));
  const { next } = await receiver(path);
  journal.write(record('too early'));
  now = RETRY_MS - 1;
  journal.write(record('still'));
  now = RETRY_MS;
  journal.write(record('heard'));
  assert.match(parseJournal(await next()).get('MESSAGE') as string, /^heard dropped_lines=3$/);
  journal.write(record('and on'));
  assert.is(parseJournal(await next()).get('MESSAGE'), 'and on');
  journal.close();
});

log('one that does not keep up is not waited for', async ({ path }) => {
  const { next, stall, goOn } = await receiver(path);
  const journal = journalLog(path);
  await stall();
  const total = 5000;
  for (let i = 0; i < total; i++) journal.write(record(`message ${i}`));
  goOn();
  let seen = 0;
  for (;;) {
    journal.write(record('last'));
    const entry = parseJournal(await next());
    seen++;
    const lost = Number(entry.get('KATA_DROPPED_LINES') ?? 0);
    if (lost === 0) continue;
    assert.ok(lost > total / 2, `${lost} of ${total} were dropped`);
    assert.ok(seen < total);
    break;
  }
  journal.close();
});

log('a socket of another kind, or none at all', async ({ path }) => {
  const server = createServer();
  await new Promise<void>((done) => server.listen(path, done));
  const journal = journalLog(path);
  journal.write(record('x'));
  journal.close();
  await new Promise((done) => server.close(done));
  const long = syslogLog(`/${'x'.repeat(500)}`);
  long.write(record('x'));
  long.close();
});

log('levels, and targets beside the fifo or without it', ({ path }) => {
  execFileSync('mkfifo', [path]);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const read = (): string[] => {
    const buffer = Buffer.alloc(65_536);
    try {
      const text = buffer.toString('utf8', 0, readSync(reader, buffer));
      return [...text.matchAll(/level=(\w+)/g)].map(([, level]) => level as string);
    } catch {
      return [];
    }
  };
  const written: LogRecord[] = [];
  const others = [{ write: (each: LogRecord) => void written.push(each), close: () => void written.splice(0) }];
  const say = (to: FifoLog): void => {
    to.debug('m');
    to.info('m');
    to.warn('m');
    to.error('m');
  };
  const quiet = new FifoLog(path, false, { sandbox: 's' });
  say(quiet);
  assert.equal(read(), ['info', 'warning', 'error']);
  for (const [level, expected] of [
    ['debug', ['debug', 'info', 'warning', 'error']],
    ['info', ['info', 'warning', 'error']],
    ['warning', ['warning', 'error']],
    ['error', ['error']],
  ] as const) {
    quiet.configure({ level, fifo: true, others });
    say(quiet);
    assert.equal(read(), expected);
    assert.equal(
      written.splice(0).map((each) => [each.level, each.fields.sandbox]),
      expected.map((each) => [each, 's']),
    );
  }
  quiet.configure({ level: 'info', fifo: false, others });
  say(quiet);
  assert.equal(read(), []);
  assert.is(written.length, 3);
  quiet.close();
  assert.is(written.length, 0);
  // What containerd is told to log in detail stays so.
  const verbose = new FifoLog(path, true, {});
  verbose.configure({ level: 'error', fifo: true, others: [] });
  say(verbose);
  assert.is(read().length, 4);
  verbose.close();
});

log('in detail every call is told: for whom, and how it ended', async () => {
  const lines: [string, LogRecord['fields']][] = [];
  const detailed = {
    detailed: false,
    debug: (message: string, fields: LogRecord['fields'] = {}) => void lines.push([message, fields]),
    info: () => {},
    warn: () => {},
    error: () => {},
  };
  const handlers = told(
    {
      State: (request: { id: string; exec_id: string }, call: string) => `${request.id} ${call}`,
      Kill: () => Promise.reject(new Error('no such container')),
      Pids: () => {
        throw new Error('at once');
      },
    },
    detailed,
  );
  assert.is(handlers.State({ id: 'c', exec_id: '' }, 'x'), 'c x');
  assert.equal(lines, []);
  detailed.detailed = true;
  assert.is(handlers.State({ id: 'c', exec_id: 'e' }, 'x'), 'c x');
  const kill = handlers.Kill as (request: unknown) => Promise<never>;
  assert.is(await kill({ id: 'c', exec_id: '' }).catch((thrown) => thrown.message), 'no such container');
  assert.throws(() => (handlers.Pids as (request: unknown) => never)({ id: '' }), /at once/);
  assert.equal(
    lines.map(([message, { call, container, exec, error }]) => [message, call, container, exec, error]),
    [
      ['call', 'State', 'c', 'e', undefined],
      ['call', 'Kill', 'c', undefined, 'no such container'],
      ['call', 'Pids', undefined, undefined, 'at once'],
    ],
  );
});

log.run();
