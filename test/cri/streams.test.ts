/** Everything that flows between a client and a container: ExecSync, Exec, Attach, logs. One container serves most tests. */
import { createHash, randomBytes } from 'node:crypto';
import { renameSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { succeed } from '../../setup/command.ts';
import { tar } from '../../setup/tar.ts';
import { until } from '../harness/containers.ts';
import { codeOf } from '../harness/cri/client.ts';
import { logged, readLog } from '../harness/cri/logs.ts';
import type { Container, Pod } from '../harness/cri/pods.ts';
import type { Session } from '../harness/cri/streams.ts';
import { eachCri } from '../harness/cri/suite.ts';

const DEADLINE_EXCEEDED = 4;
const MIB = 1024 * 1024;
const COPY_BYTES = 100 * MIB;
/** Bytes sent to a stdin at a time. */
const CHUNK_BYTES = 64 * 1024;
/** Bytes of a log line; longer ones are cut into parts. */
const LOG_LINE_BYTES = 16 * 1024;
/** The daemon keeps 16 MiB of each stream, and then cannot send them: a reply has the same limit. */
const EXEC_SYNC_BYTES = 8 * MIB;
const AT_ONCE = 8;

eachCri('streams', (test) => {
  let pod: Pod;
  let main: Container;

  test('a container to work in', async ({ pods }) => {
    pod = await pods.run();
    main = await pod.container();
  });

  test('ExecSync gives stdout, stderr and the exit code', async () => {
    const done = await main.run(['sh', '-c', 'echo out; echo err >&2; exit 7']);
    assert.equal(done, { stdout: 'out\n', stderr: 'err\n', code: 7 });
  });

  test(`ExecSync runs ${AT_ONCE} at once`, async () => {
    const numbers = Array.from({ length: AT_ONCE }, (_, i) => i);
    const all = await Promise.all(numbers.map((i) => main.run(['sh', '-c', `echo ${i}; exit ${i}`])));
    assert.equal(
      all.map(({ stdout, code }) => [stdout, code]),
      numbers.map((i) => [`${i}\n`, i]),
    );
  });

  test('ExecSync that takes too long is ended, and its process with it', async () => {
    const late = await main.run(['sh', '-c', 'exec sleep 4321'], 1).catch((error: unknown) => error);
    assert.is(codeOf(late), DEADLINE_EXCEEDED);
    await until('its process is gone', async () => !(await main.sh('ps -o args')).includes('sleep 4321'));
  });

  test('ExecSync names a program that does not exist, and nothing else suffers', async () => {
    const failed = await main.run(['/no/such/program']).catch((error: unknown) => error);
    assert.match(String(failed), '/no/such/program');
    assert.is((await main.run(['true'])).code, 0);
  });

  test('ExecSync gives all bytes', async () => {
    const done = await main.run(['sh', '-c', `head -c ${EXEC_SYNC_BYTES} /dev/zero`]);
    assert.equal([done.stdout.length, done.code], [EXEC_SYNC_BYTES, 0]);
  });

  test('Exec gives stdout, stderr and the exit code', async () => {
    const done = await main.exec(['sh', '-c', 'echo out; echo err >&2; exit 5']);
    assert.equal(done, { stdout: 'out\n', stderr: 'err\n', code: 5, failure: undefined });
  });

  test('Exec passes stdin on', async () => {
    const session = await main.session(['sh', '-c', 'read -r line; echo "<$line>"; exit 3'], { stdin: true });
    await session.write('a line\n');
    const done = await session.ended;
    assert.equal([done.stdout, done.code], ['<a line>\n', 3]);
  });

  test('stdin ends with the client’s connection', async () => {
    const session = await main.session(['sh', '-c', 'cat >/tmp/in; echo end >>/tmp/in'], { stdin: true });
    await session.write('all of it\n');
    session.close();
    await until('the process has read to the end', async () => (await main.sh('cat /tmp/in')) === 'all of it\nend\n');
  });

  test('an end of stdin that comes at once blocks nothing', async () => {
    for (let round = 0; round < 10; round++) {
      const session = await main.session(['cat'], { stdin: true });
      session.close();
      await session.ended;
    }
    assert.is((await main.run(['true'])).code, 0);
    await until('all have ended', async () => !/ cat$/m.test(await main.sh('ps -o pid,args')));
  });

  test('Exec with a terminal has its size, and hears of another', async () => {
    const session = await main.session(['sh'], { stdin: true, tty: true });
    await session.resize(93, 31);
    await sized(session, '31 93');
    await session.resize(111, 44);
    await sized(session, '44 111');
    await session.write('tty; exit 4\n');
    const done = await session.ended;
    assert.match(done.stdout, '/dev/pts/');
    assert.is(done.code, 4);
  });

  test(`a tar of ${COPY_BYTES / MIB} MiB gets in and out unharmed`, async () => {
    const data = randomBytes(COPY_BYTES);
    const archive = tar([{ path: 'big', type: 'file', mode: 0o644, data }]);
    await main.sh('mkdir -p /tmp/copied');
    // The protocol cannot end stdin and keep stdout, so the receiver has to know how much there is.
    const script = `head -c ${archive.length} | tar -xf - -C /tmp/copied`;
    const into = await main.session(['sh', '-c', script], { stdin: true });
    for (let i = 0; i < archive.length; i += CHUNK_BYTES) await into.write(archive.subarray(i, i + CHUNK_BYTES));
    assert.equal(await into.ended, { stdout: '', stderr: '', code: 0, failure: undefined });
    const back: Buffer[] = [];
    const outOf = await main.exec(['tar', '-cf', '-', '-C', '/tmp/copied', 'big'], {
      onStdout: (chunk) => back.push(Buffer.from(chunk)),
    });
    assert.equal([outOf.code, outOf.stderr], [0, '']);
    const sum = await succeed(['sh', '-c', 'tar -xOf - big | sha256sum'], { stdin: Buffer.concat(back) });
    assert.is(sum.split(' ')[0], createHash('sha256').update(data).digest('hex'));
    await main.sh('rm -r /tmp/copied');
  });

  test('a log is complete to the last byte', async () => {
    const line = 'x'.repeat(100);
    const lines = 50_000;
    const script = `yes ${line} | head -n ${lines}; echo last words >&2; printf "no newline"`;
    const done = await pod.runToEnd(['sh', '-c', script]);
    assert.is(done.stdout.length, lines * (line.length + 1) + 'no newline'.length);
    assert.is(done.stdout, `${line}\n`.repeat(lines).concat('no newline'));
    assert.is(done.stderr, 'last words\n');
  });

  test('a log has long lines in parts', async () => {
    const bytes = 3 * LOG_LINE_BYTES + 1;
    const container = await pod.container({ command: ['sh', '-c', `head -c ${bytes} /dev/zero | tr "\\0" y; echo`] });
    await container.exited();
    const log = container.log();
    assert.equal(
      log.map(({ full }) => full),
      [false, false, false, true],
    );
    assert.is(logged(log, 'stdout'), `${'y'.repeat(bytes)}\n`);
    await container.remove();
  });

  test('a log goes on in a new file when it is reopened, and no line is lost', async ({ pods }) => {
    const count = 200;
    const script = `i=0; while [ $i -lt ${count} ]; do echo $i; i=$((i+1)); sleep 0.01; done`;
    const container = await pod.container({ command: ['sh', '-c', script] });
    await until('it has said something', () => container.logged('stdout').includes('\n5\n'));
    const rotated = `${container.logPath}.1`;
    renameSync(container.logPath, rotated);
    await pods.call('ReopenContainerLog', { container_id: container.id });
    await container.exited();
    const [before, after] = [logged(readLog(rotated), 'stdout'), container.logged('stdout')];
    assert.ok(before.length > 0 && after.length > 0);
    assert.is(before + after, Array.from({ length: count }, (_, i) => `${i}\n`).join(''));
    await container.remove();
  });

  test('Attach talks to the container’s own process, and leaves it alone', async () => {
    const echo = await pod.container({
      command: ['sh', '-c', 'while read -r line; do echo "<$line>"; done; echo over'],
      stdin: true,
    });
    for (const text of ['first', 'second']) {
      const session = await echo.attach();
      await session.write(`${text}\n`);
      await session.until(`<${text}>\n`);
      session.close();
      await session.ended;
      assert.is((await echo.status()).state, 'CONTAINER_RUNNING');
    }
    assert.is(echo.logged('stdout'), '<first>\n<second>\n');
    await echo.stop();
    await echo.remove();
  });

  test('two that are attached see the same', async () => {
    const echo = await pod.container({ command: ['sh', '-c', 'read -r line; echo "<$line>"'], stdin: true });
    const sessions = await Promise.all([echo.attach(), echo.attach()]);
    await sessions[0].write('both\n');
    for (const session of sessions) assert.is((await session.ended).stdout, '<both>\n');
    assert.is((await echo.exited()).exit_code, 0);
    await echo.remove();
  });

  test('stdin of one client only ends with it', async () => {
    const once = await pod.container({ command: ['sh', '-c', 'cat; echo over'], stdin: true, stdin_once: true });
    const session = await once.attach();
    await session.write('some\n');
    await session.until('some\n');
    session.close();
    assert.is((await once.exited()).exit_code, 0);
    assert.is(once.logged('stdout'), 'some\nover\n');
    await once.remove();
  });

  test('a container’s terminal is attached to and resized', async () => {
    const shell = await pod.container({ command: ['sh'], stdin: true, tty: true });
    const session = await shell.attach();
    await session.resize(77, 22);
    await sized(session, '22 77');
    await session.write('exit 6\n');
    assert.is((await shell.exited()).exit_code, 6);
    assert.match(shell.logged('stdout'), '22 77');
    await shell.remove();
  });

  test('all is well in the end', async () => {
    assert.is(await main.sh('echo still here'), 'still here\n');
    await pod.remove();
  });
});

/** Asks the shell until it has that size: a resize is not answered. */
async function sized(session: Session, size: string): Promise<void> {
  await session.write(`until [ "$(stty size)" = "${size}" ]; do sleep 0.1; done; stty size | sed "s/^/size /"\n`);
  await session.until(`size ${size}`);
}
