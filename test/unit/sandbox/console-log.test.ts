/** The guest's console in the shim's log: what a hostile guest writes stays within its bounds. */
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  BURST_BYTES,
  BURST_LINES,
  BYTES_PER_S,
  ConsoleLog,
  LINES_PER_S,
  MAX_LINE_LENGTH,
} from '../../../host/sandbox/console-log.ts';
import type { Fields, Log } from '../../../host/sandbox/log.ts';
import { formatLine } from '../../../host/shim/log.ts';

const END = Buffer.alloc(0);
const consoles = suite("the guest's console in the log");

class Kept implements Log {
  readonly lines: string[] = [];
  readonly sources = new Set<unknown>();
  readonly warnings: Fields[] = [];
  debug(): void {}
  info(message: string, fields: Fields = {}): void {
    assert.is(message, 'guest console');
    this.sources.add(fields.source);
    this.lines.push(fields.vmconsole as string);
  }
  warn(_message: string, fields: Fields = {}): void {
    this.warnings.push(fields);
  }
  error(): void {}
}

function make(): { kept: Kept; log: ConsoleLog; clock: { now: number } } {
  const kept = new Kept();
  const clock = { now: 0 };
  return { kept, clock, log: new ConsoleLog(kept, 'console', () => clock.now) };
}

consoles('lines, however they are cut; empty ones are left out', () => {
  const bytes = Buffer.from('one\r\n\r\n  \ntwo ä\nthr\u001b[1;31mee\u001b[0m\n[    0.1] \u001b(Bfour\n');
  for (let cut = 1; cut < bytes.length; cut++) {
    const { kept, log } = make();
    log.push(bytes.subarray(0, cut));
    log.push(bytes.subarray(cut));
    assert.equal(kept.lines, ['one', 'two ä', 'three', '[    0.1] four']);
    assert.equal([...kept.sources], ['console']);
    log.push(END);
  }
});

consoles('what would steer a terminal is escaped by the log', () => {
  const { kept, log } = make();
  log.push(Buffer.from('a\u001b]0;title\u0007b\u009b2J\u202e\u0008\n'));
  const line = formatLine(new Date(0), 'info', 'guest console', { vmconsole: kept.lines[0] });
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they must not be there
  assert.not.match(line.trimEnd(), /[\u0000-\u001f\u007f-\u009f\u202e]/);
  log.push(END);
});

consoles('a line of any length is cut once', () => {
  const { kept, log } = make();
  for (let i = 0; i < 20; i++) log.push(Buffer.alloc(1000, 'x'));
  log.push(Buffer.from('\nnext\n'));
  assert.is(kept.lines.length, 2);
  assert.is((kept.lines[0] as string).length, MAX_LINE_LENGTH + 1);
  assert.is(kept.lines[1], 'next');
  log.push(Buffer.from(`${'y'.repeat(MAX_LINE_LENGTH)}\n${'z'.repeat(MAX_LINE_LENGTH + 1)}\n`));
  assert.equal(
    kept.lines.slice(2).map((line) => line.length),
    [MAX_LINE_LENGTH, MAX_LINE_LENGTH + 1],
  );
  log.push(END);
});

consoles('too many lines: so many and no more, and how many were lost', () => {
  const { kept, log, clock } = make();
  const flood = 5 * BURST_LINES;
  for (let i = 0; i < flood; i++) log.push(Buffer.from(`line ${i}\n`));
  assert.is(kept.lines.length, BURST_LINES);
  clock.now += 1000;
  for (let i = 0; i < flood; i++) log.push(Buffer.from(`line ${i}\n`));
  assert.is(kept.lines.length, BURST_LINES + LINES_PER_S);
  assert.equal(kept.warnings, []);
  log.push(END);
  assert.is(kept.warnings.length, 1);
  assert.is(kept.warnings[0]?.dropped_lines, 2 * flood - kept.lines.length);
});

consoles('too many bytes, with line feeds or without', () => {
  for (const chunk of [Buffer.from(`${'x'.repeat(MAX_LINE_LENGTH - 1)}\n`), Buffer.alloc(65_536, 'y')]) {
    const { kept, log, clock } = make();
    let total = 0;
    for (let second = 0; second < 10; second++) {
      for (let i = 0; i < 200; i++) {
        log.push(chunk);
        total += chunk.length;
      }
      clock.now += 1000;
    }
    log.push(END);
    const logged = kept.lines.join('').length;
    assert.ok(logged <= BURST_BYTES + 10 * BYTES_PER_S + MAX_LINE_LENGTH, `${logged} bytes`);
    if (chunk.includes(0x0a)) assert.is(kept.warnings.length, 1);
    assert.ok(kept.warnings.length <= 1);
    assert.ok(total > logged);
  }
});

consoles('the loss is told without an end, when the flood is over', async () => {
  const { kept, log } = make();
  for (let i = 0; i < 2 * BURST_LINES; i++) log.push(Buffer.from('x\n'));
  // The timers do not keep a process.
  const hold = setInterval(() => {}, 1000);
  while (kept.warnings.length === 0) await sleep(20);
  clearInterval(hold);
  assert.is(kept.warnings[0]?.dropped_lines, BURST_LINES);
  await sleep(50);
  assert.is(kept.warnings.length, 1);
  log.push(END);
  assert.is(kept.warnings.length, 1);
});

consoles('a prompt without an end is logged all the same', async () => {
  const { kept, log } = make();
  log.push(Buffer.from('login: '));
  assert.equal(kept.lines, []);
  const hold = setInterval(() => {}, 1000);
  while (kept.lines.length === 0) await sleep(20);
  clearInterval(hold);
  assert.equal(kept.lines, ['login: ']);
  log.push(END);
});

consoles('the last words need no line feed', () => {
  const { kept, log } = make();
  log.push(Buffer.from('Kernel panic - not syncing'));
  log.push(END);
  assert.equal(kept.lines, ['Kernel panic - not syncing']);
});

consoles.run();
