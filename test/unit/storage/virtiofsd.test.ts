import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { childrenOf, isAlive } from '../../../host/process.ts';
import { Virtiofsd, type VirtiofsdConfig, virtiofsdArguments } from '../../../host/storage/virtiofsd.ts';

const CONFIG: VirtiofsdConfig = { daemon: '', cache: '', extraArgs: [] };

const args = suite('arguments of virtiofsd');

args('the Rust one', () => {
  assert.equal(virtiofsdArguments(CONFIG, 'rust', '/s'), [
    ...['--fd=3', '--shared-dir', '/s', '--cache', 'auto'],
    ...['--sandbox', 'namespace', '--seccomp', 'kill', '--announce-submounts'],
  ]);
});

args('the C one', () => {
  assert.equal(virtiofsdArguments(CONFIG, 'c', '/s'), [
    ...['--fd=3', '-f', '-o', 'source=/s', '-o', 'cache=auto'],
    ...['-o', 'sandbox=namespace', '-o', 'announce_submounts'],
  ]);
});

for (const [cache, c] of [
  ['auto', 'auto'],
  ['always', 'always'],
  ['metadata', 'none'],
  ['never', 'none'],
] as const) {
  args(`cache ${cache}`, () => {
    assert.ok(virtiofsdArguments({ ...CONFIG, cache }, 'rust', '/s').includes(cache));
    assert.ok(virtiofsdArguments({ ...CONFIG, cache }, 'c', '/s').includes(`cache=${c}`));
  });
}

args('an unknown cache mode names its key', () => {
  assert.throws(
    () => virtiofsdArguments({ ...CONFIG, cache: 'none' }, 'c', '/s'),
    /virtio_fs_cache: "none" is unknown/,
  );
});

args("Kata's default extra arguments are taken, without what is given anyway", () => {
  for (const extraArgs of [
    ['--thread-pool-size=1', '--announce-submounts'],
    ['--thread-pool-size=1', '-o', 'announce_submounts'],
  ]) {
    for (const flavour of ['c', 'rust'] as const) {
      const given = virtiofsdArguments({ ...CONFIG, extraArgs }, flavour, '/s');
      assert.is(given.at(-1), '--thread-pool-size=1');
      assert.is(given.filter((argument) => /announce/.test(argument)).length, 1);
    }
  }
});

for (const extraArgs of [
  ['--sandbox=none'],
  ['--sandbox', 'none'],
  ['-o', 'source=/'],
  ['-osource=/'],
  ['-o', 'xattr,source=/'],
  ['--shared-dir=/'],
  ['--seccomp=none'],
  ['-o', 'sandbox=chroot'],
  ['-o', 'modcaps=+sys_admin'],
  ['--fd=4'],
  ['--socket-path=/x'],
  ['--daemonize'],
]) {
  args(`${extraArgs.join(' ')} is refused`, () => {
    assert.throws(
      () => virtiofsdArguments({ ...CONFIG, extraArgs }, 'rust', '/s'),
      (error: { code: string; message: string }) =>
        error.code === 'invalid_argument' && /virtio_fs_extra_args/.test(error.message),
    );
  });
}

interface Context {
  directory: string;
}

const daemon = suite<Context>('virtiofsd');

daemon.before.each((context) => {
  context.directory = mkdtempSync(join(tmpdir(), 'kata-virtiofsd-'));
  mkdirSync(join(context.directory, 'shared'));
});

daemon.after.each(({ directory }) => rmSync(directory, { recursive: true }));

daemon('listens once it is started, and leaves nothing, any number of times', async ({ directory }) => {
  const socket = join(directory, 'sock');
  const started = await Virtiofsd.start(CONFIG, socket, join(directory, 'shared'));
  assert.is(statSync(socket).mode & 0o777, 0o600);
  while (!/Waiting for vhost-user socket/.test(started.lastWords())) await new Promise((done) => setTimeout(done, 5));
  const inner = childrenOf(started.identity.pid);
  await started.stop();
  await started.stop();
  for (const process of [started.identity, ...inner]) assert.not(isAlive(process));
  assert.equal(readdirSync(directory), ['shared']);
});

daemon('a configured path that does not exist is never replaced', async ({ directory }) => {
  const config = { ...CONFIG, daemon: '/nonexistent/virtiofsd' };
  try {
    await Virtiofsd.start(config, join(directory, 'sock'), join(directory, 'shared'));
    assert.unreachable('another one was started');
  } catch (error) {
    assert.match((error as Error).message, /no virtiofsd at \/nonexistent\/virtiofsd; install/);
  }
});

daemon('a socket path that is taken is an error, and nothing is started', async ({ directory }) => {
  try {
    await Virtiofsd.start(CONFIG, join(directory, 'shared'), join(directory, 'shared'));
    assert.unreachable('should have failed');
  } catch (error) {
    assert.match((error as Error).message, /EADDRINUSE/);
  }
});

args.run();
daemon.run();
