/** What `npm start` reads from containerd's log. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { formatLine } from '../../../host/shim/log.ts';
import { lastLine, timeline } from '../../../setup/shim-log.ts';

const test = suite('shim log');
const line = (message: string, fields: Record<string, string | number>) =>
  formatLine(new Date(0), 'info', message, fields);

test('reads fields as the shim writes them', () => {
  const reason = 'the CPU shows "neither" vmx = nor svm';
  const log = `noise\n${line('virtual machine started', { accelerator: 'tcg', accelerator_reason: reason })}more noise`;
  const fields = lastLine(log, 'virtual machine started');
  assert.is(fields?.accelerator, 'tcg');
  assert.is(fields?.accelerator_reason, reason);
});

test('takes the last line of that message', () => {
  assert.is(lastLine(line('m', { n: 1 }) + line('m', { n: 2 }) + line('other', { n: 3 }), 'm')?.n, '2');
  assert.is(lastLine('', 'm'), undefined);
});

test('a timeline is its moments in order', () => {
  const log = line('timeline', {
    shim_start: 0,
    create: 62.5,
    agent_ready: 1500,
    exit: 2000.1,
    id: 'x',
    namespace: 'n',
  });
  assert.equal(timeline(log), [
    ['shim_start', 0],
    ['create', 62.5],
    ['agent_ready', 1500],
    ['exit', 2000.1],
  ]);
});

test.run();
