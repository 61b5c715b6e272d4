/** Containers by real crun: life, streams, signals, execs, and that nothing stays behind. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type TestGuest, testGuest } from './guest.ts';
import { refused } from './refused.ts';

const containers = suite<{ guest: TestGuest }>('containers');
containers.before((context) => {
  context.guest = testGuest();
});
containers.after((context) => context.guest.close());
/** A test after which nothing may be left of its containers. (uvu swallows what an `after.each` throws.) */
function test(name: string, body: (context: { guest: TestGuest }) => Promise<void>): void {
  containers(name, async (context) => {
    await body(context);
    assert.equal(context.guest.leftovers(), [], 'nothing stays behind');
  });
}

test('output, error output and exit code', async ({ guest }) => {
  const id = await guest.run(['sh', '-c', 'echo out; echo err >&2; exit 7']);
  assert.is(await guest.stdout(id), 'out\n');
  assert.is(await guest.stderr(id), 'err\n');
  assert.is(await guest.wait(id), 7);
  await refused(() => guest.wait(id), 'not_found', /waited for already/);
  await guest.remove(id);
});

test('nothing runs before start', async ({ guest }) => {
  const id = await guest.create(['echo', 'now']);
  await refused(() => guest.exec(id, 'e', ['true']), 'failed_precondition', /is created, not running/);
  await guest.services.StartContainer({ container_id: id });
  await refused(() => guest.services.StartContainer({ container_id: id }), 'failed_precondition', /cannot start/);
  assert.is(await guest.stdout(id), 'now\n');
  await guest.remove(id);
});

test('stdin reaches the process and ends', async ({ guest }) => {
  const id = await guest.run(['sh', '-c', 'cat; echo end']);
  const stdin = { container_id: id, exec_id: '' };
  const data = new TextEncoder().encode('one\n');
  assert.equal(await guest.services.WriteStdin({ ...stdin, data }), { len: 4 });
  await guest.services.CloseStdin(stdin);
  assert.is(await guest.stdout(id), 'one\nend\n');
  await refused(() => guest.services.WriteStdin({ ...stdin, data }), 'internal', /stdin|EPIPE/);
  await guest.remove(id);
});

test('8 MiB through stdin and back, every byte', async ({ guest }) => {
  const id = await guest.run(['cat']);
  const chunk = new Uint8Array(32 * 1024).map((_, i) => (i * 7) % 251);
  const stdin = { container_id: id, exec_id: '' };
  const writing = (async () => {
    for (let i = 0; i < 256; i++) await guest.services.WriteStdin({ ...stdin, data: chunk });
    await guest.services.WriteStdin({ ...stdin, data: new Uint8Array(0) });
  })();
  let total = 0;
  for (;;) {
    const { data } = (await guest.services.ReadStdout({ ...stdin, len: 100_000 })) as { data: Uint8Array };
    if (data.length === 0) break;
    for (let i = 0; i < data.length; i += 997) {
      if (data[i] !== chunk[(total + i) % chunk.length]) assert.unreachable(`byte ${total + i}`);
    }
    total += data.length;
  }
  await writing;
  assert.is(total, 8 * 1024 * 1024);
  assert.is(await guest.wait(id), 0);
  await guest.remove(id);
});

test('output written just before the end is not lost, however late it is read', async ({ guest }) => {
  const id = await guest.run(['sh', '-c', 'head -c 60000 /dev/zero']);
  assert.is(await guest.wait(id), 0);
  assert.is((await guest.stdout(id)).length, 60000);
  await guest.remove(id);
});

test('several reads in flight are answered in order', async ({ guest }) => {
  const id = await guest.run(['cat']);
  const ask = { container_id: id, exec_id: '', len: 2 };
  const reads = [1, 2, 3].map(() => guest.services.ReadStdout(ask) as Promise<{ data: Uint8Array }>);
  await guest.services.WriteStdin({ ...ask, data: new TextEncoder().encode('aabbcc') });
  const parts = (await Promise.all(reads)).map(({ data }) => Buffer.from(data).toString());
  assert.equal(parts, ['aa', 'bb', 'cc']);
  await guest.services.SignalProcess({ ...ask, signal: 9 });
  assert.is(await guest.wait(id), 137);
  await guest.remove(id);
});

test('SIGTERM ends what has no handler, and spares what ignores it', async ({ guest }) => {
  const plain = await guest.run(['sleep', '100']);
  await guest.services.SignalProcess({ container_id: plain, exec_id: plain, signal: 15 });
  assert.is(await guest.wait(plain), 137);
  await guest.services.SignalProcess({ container_id: plain, exec_id: '', signal: 15 });
  await guest.remove(plain);
  const deaf = await guest.run(['sh', '-c', "trap '' TERM; echo ready; sleep 100"]);
  await guest.services.ReadStdout({ container_id: deaf, exec_id: '', len: 100 });
  await guest.services.SignalProcess({ container_id: deaf, exec_id: '', signal: 15 });
  await guest.exec(deaf, 'still', ['echo', 'alive']);
  assert.is(await guest.stdout(deaf, 'still'), 'alive\n');
  const caught = await guest.run(['sh', '-c', "trap 'exit 3' TERM; echo ready; while :; do sleep 0.1; done"]);
  await guest.services.ReadStdout({ container_id: caught, exec_id: '', len: 100 });
  await guest.services.SignalProcess({ container_id: caught, exec_id: '', signal: 15 });
  assert.is(await guest.wait(caught), 3);
  await guest.remove(deaf);
  await guest.remove(caught);
});

test('SIGKILL to all takes the whole tree', async ({ guest }) => {
  const id = await guest.run(['sh', '-c', 'sleep 100 & sleep 100 & echo ready; wait']);
  await guest.services.ReadStdout({ container_id: id, exec_id: '', len: 100 });
  await guest.exec(id, 'e', ['sleep', '100']);
  await guest.services.SignalProcess({ container_id: id, exec_id: '', signal: 9 });
  assert.is(await guest.wait(id), 137);
  assert.is(await guest.wait(id, 'e'), 137);
  await guest.remove(id);
});

test('many waits get the one status', async ({ guest }) => {
  const id = await guest.run(['sh', '-c', 'sleep 0.2; exit 5']);
  assert.equal(await Promise.all([guest.wait(id), guest.wait(id), guest.wait(id)]), [5, 5, 5]);
  await guest.remove(id);
});

test('twenty execs at once', async ({ guest }) => {
  const id = await guest.run(['sleep', '100']);
  const run = async (i: number) => {
    await guest.exec(id, `e${i}`, ['sh', '-c', `echo ${i}; exit ${i}`]);
    return [await guest.stdout(id, `e${i}`), await guest.wait(id, `e${i}`)];
  };
  const numbers = Array.from({ length: 20 }, (_, i) => i);
  assert.equal(
    await Promise.all(numbers.map(run)),
    numbers.map((i) => [`${i}\n`, i]),
  );
  await guest.remove(id);
});

test('an exec id serves once at a time', async ({ guest }) => {
  const id = await guest.run(['sleep', '100']);
  const first = guest.exec(id, 'e', ['true']);
  await refused(() => guest.exec(id, 'e', ['true']), 'already_exists', /exec_id 'e' already exists/);
  await first;
  await refused(() => guest.exec(id, 'e', ['true']), 'already_exists', /already exists/);
  await refused(() => guest.exec(id, id, ['true']), 'already_exists', /already exists/);
  assert.is(await guest.wait(id, 'e'), 0);
  await guest.exec(id, 'e', ['sh', '-c', 'exit 9']);
  assert.is(await guest.wait(id, 'e'), 9);
  await refused(() => guest.wait(id, 'unknown'), 'not_found', /no process "unknown"/);
  await guest.remove(id);
});

test('a command that is not there', async ({ guest }) => {
  const missing = /^exec: "nope": executable file not found in \$PATH$/;
  await refused(() => guest.create(['nope'], {}, 'failing'), 'internal', missing);
  assert.equal(guest.leftovers(), []);
  const id = await guest.run(['sleep', '100']);
  await refused(() => guest.exec(id, 'e', ['nope']), 'internal', missing);
  await guest.exec(id, 'e', ['true']);
  assert.is(await guest.wait(id, 'e'), 0);
  await guest.remove(id);
});

test('a program that cannot be executed is named', async ({ guest }) => {
  const id = await guest.run(['sleep', '100']);
  for (const program of ['/etc/passwd', '/etc']) {
    const refusal = new RegExp(`^exec: "${program}": (permission denied|is a directory)$`);
    await refused(() => guest.create([program], {}, 'failing'), 'internal', refusal);
    await refused(() => guest.exec(id, 'e', [program]), 'internal', refusal);
  }
  await guest.remove(id);
});

test('home is the user’s by /etc/passwd, and the root directory for one who is not in it', async ({ guest }) => {
  const home = ['sh', '-c', 'echo $HOME'];
  for (const [UID, expected] of [
    [0, '/root\n'],
    [4321, '/\n'],
  ] as const) {
    const user = { User: { UID } };
    const id = await guest.run(['sh', '-c', 'echo $HOME; exec sleep 100'], { process: user });
    await guest.exec(id, 'e', home, user);
    assert.is(await guest.stdout(id, 'e'), expected);
    await guest.exec(id, 'terminal', home, { ...user, Terminal: true });
    assert.is((await guest.stdout(id, 'terminal')).trim(), expected.trim());
    const { data } = (await guest.services.ReadStdout({ container_id: id, exec_id: '', len: 100 })) as {
      data: Uint8Array;
    };
    assert.is(new TextDecoder().decode(data), expected);
    await guest.remove(id);
  }
});

test('bad ids, doubles and strangers', async ({ guest }) => {
  for (const bad of ['', '../x', 'a/b', '.ab', 'shared', 'sandbox', 'x'.repeat(300)]) {
    await refused(() => guest.create(['true'], {}, bad), 'invalid_argument', /invalid container ID/);
  }
  const id = await guest.create(['sleep', '100']);
  await refused(() => guest.create(['true'], {}, id), 'already_exists', /exists already/);
  await refused(() => guest.wait('other'), 'invalid_argument', /invalid container id "other"/);
  await refused(() => guest.create([]), 'invalid_argument', /process.args is empty/);
  await refused(
    () => guest.create(['true'], { spec: { Root: { Path: '/nowhere' } } }),
    'internal',
    /ENOENT|No such file/,
  );
  await guest.remove(id);
  await refused(() => guest.remove(id), 'invalid_argument', /invalid container id/);
});

test('a terminal: one stream, size, end of input, end of output', async ({ guest }) => {
  const id = await guest.run(['sh', '-c', 'read a; stty size; cat; echo end'], { process: { Terminal: true } });
  const tty = { container_id: id, exec_id: '' };
  await guest.services.TtyWinResize({ ...tty, row: 33, column: 77 });
  await guest.services.WriteStdin({ ...tty, data: new TextEncoder().encode('go\nmiddle') });
  await guest.services.CloseStdin(tty);
  const text = await guest.stdout(id);
  assert.match(text, /33 77\r\n/);
  // Once echoed by the terminal, once by cat, which the second EOT then ends.
  assert.match(text, /middle.*middleend\r\n$/s);
  assert.is(await guest.wait(id), 0);
  await guest.remove(id);
});

test('a terminal for an exec, none for the rest', async ({ guest }) => {
  const id = await guest.run(['sleep', '100']);
  const resize = { container_id: id, row: 10, column: 20 };
  await refused(() => guest.services.TtyWinResize({ ...resize, exec_id: '' }), 'unavailable', /no tty/);
  await guest.exec(id, 't', ['sh', '-c', 'stty size; stty size'], {
    Terminal: true,
    ConsoleSize: { Height: 11, Width: 22 },
  });
  assert.match(await guest.stdout(id, 't'), /\r\n/);
  assert.is(await guest.wait(id, 't'), 0);
  await guest.remove(id);
});

test('a child that keeps stdout does not keep the end of file', async ({ guest }) => {
  const id = await guest.run(['sleep', '100']);
  await guest.exec(id, 'e', ['sh', '-c', 'sleep 90 & echo gone']);
  assert.is(await guest.stdout(id, 'e'), 'gone\n');
  assert.is(await guest.wait(id, 'e'), 0);
  await guest.remove(id);
});

test('pause stops it, resume lets it go on, kill works in between', async ({ guest }) => {
  const id = await guest.run(['sh', '-c', 'echo ready; read a; echo $a; sleep 100']);
  const ref = { container_id: id, exec_id: '' };
  await guest.services.ReadStdout({ ...ref, len: 100 });
  await guest.services.PauseContainer(ref);
  await refused(() => guest.exec(id, 'e', ['true']), 'failed_precondition', /is paused/);
  await guest.services.WriteStdin({ ...ref, data: new TextEncoder().encode('thawed\n') });
  await guest.services.ResumeContainer(ref);
  const { data } = (await guest.services.ReadStdout({ ...ref, len: 100 })) as { data: Uint8Array };
  assert.is(Buffer.from(data).toString(), 'thawed\n');
  await guest.services.PauseContainer(ref);
  await guest.services.SignalProcess({ ...ref, signal: 9 });
  assert.is(await guest.wait(id), 137);
  await guest.remove(id);
});

test('removal in the middle of creation', async ({ guest }) => {
  const creating = guest.create(['sleep', '100'], {}, 'early');
  const removing = guest.remove('early');
  await refused(() => creating, 'failed_precondition', /was removed while it was created/);
  await removing;
});

test('a pod shares its pid namespace when asked', async ({ guest }) => {
  const first = await guest.run(['sleep', '98']);
  const second = await guest.run(['ps'], { pidns: true });
  assert.match(await guest.stdout(second), /sleep 98/);
  assert.is(await guest.wait(second), 0);
  const third = await guest.run(['ps']);
  assert.not.match(await guest.stdout(third), /sleep 98/);
  for (const id of [first, second, third]) await guest.remove(id);
});

containers.run();
