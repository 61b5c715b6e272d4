/** Shells in the guest itself, by the agent as a process: true terminals on this machine, true ttrpc. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { HANG_UP_MS, MAX_CONSOLES, MAX_ID_CHARS } from '../../../guest/agent/console.ts';
import { AGENT_ENTRY } from '../../../guest/image/agent.ts';
import type { KataError } from '../../../host/error.ts';
import type { Init } from '../../../host/proto/codec.ts';
import { AgentServiceServiceName, AgentServiceService as methods } from '../../../host/proto/messages/agent.ts';
import { type ConsoleOpenRequest, ConsoleService, ConsoleServiceName } from '../../../host/proto/messages/console.ts';
import { TtrpcClient } from '../../../host/ttrpc/client.ts';
import { reach } from '../../harness/reach.ts';
import { buildProgram, type Program } from './program.ts';

const NO_DEADLINE = { timeoutMs: 0 };
const CHUNK = 64 * 1024;

const consoles = suite('shells in the guest');
let program: Program;
const children: ChildProcess[] = [];
const clients: TtrpcClient[] = [];
let client: TtrpcClient;
let serial = 0;

/** An agent, and a connection to it. */
async function agent(name: string, args: readonly string[]): Promise<TtrpcClient> {
  const path = join(program.directory, `${name}.sock`);
  const child = spawn(program.path, ['--listen', `unix://${path}`, ...args], { stdio: 'inherit' });
  children.push(child);
  const connected = new TtrpcClient(await reach(path));
  clients.push(connected);
  return connected;
}

consoles.before(async () => {
  program = await buildProgram(AGENT_ENTRY);
  client = await agent('agent', ['--debug-console']);
});

consoles.after(async () => {
  for (const each of clients) each.close('the tests are over');
  for (const child of children) {
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  }
  await program.remove();
});

async function open(request: Init<ConsoleOpenRequest> = {}, to = client): Promise<string> {
  const id = request.exec_id ?? `console-${serial++}`;
  await to.call(ConsoleServiceName, 'Open', ConsoleService.Open, { ...request, exec_id: id });
  return id;
}

async function read(id: string, stream: 'ReadStdout' | 'ReadStderr' = 'ReadStdout'): Promise<Buffer> {
  const request = { container_id: '', exec_id: id, len: CHUNK };
  const { data } = await client.call(AgentServiceServiceName, stream, methods[stream], request, NO_DEADLINE);
  return Buffer.from(data);
}

async function readAll(id: string, stream: 'ReadStdout' | 'ReadStderr' = 'ReadStdout'): Promise<string> {
  const parts: Buffer[] = [];
  for (;;) {
    const data = await read(id, stream);
    if (data.length === 0) return Buffer.concat(parts).toString();
    parts.push(data);
  }
}

async function readUntil(id: string, text: string): Promise<string> {
  let seen = '';
  while (!seen.includes(text)) {
    const data = await read(id);
    if (data.length === 0) throw new Error(`ended without ${text}: ${seen}`);
    seen += data;
  }
  return seen;
}

async function write(id: string, text: string): Promise<void> {
  const request = { container_id: '', exec_id: id, data: Buffer.from(text) };
  await client.call(AgentServiceServiceName, 'WriteStdin', methods.WriteStdin, request, NO_DEADLINE);
}

async function closeStdin(id: string): Promise<void> {
  const request = { container_id: '', exec_id: id };
  await client.call(AgentServiceServiceName, 'CloseStdin', methods.CloseStdin, request);
}

async function wait(id: string): Promise<number> {
  return (await client.call(ConsoleServiceName, 'Wait', ConsoleService.Wait, { exec_id: id }, NO_DEADLINE)).status;
}

async function close(id: string): Promise<void> {
  await client.call(ConsoleServiceName, 'Close', ConsoleService.Close, { exec_id: id });
}

async function failure(call: Promise<unknown>): Promise<KataError> {
  try {
    await call;
  } catch (thrown) {
    return thrown as KataError;
  }
  throw new Error('it was not refused');
}

consoles('a command: its words as they are, both outputs, its status', async () => {
  const id = await open({ args: ['sh', '-c', 'echo "[$1]"; echo oops >&2; exit 3', 'sh', "it's  $HOME"] });
  assert.is(await readAll(id), "[it's  $HOME]\n");
  assert.is(await readAll(id, 'ReadStderr'), 'oops\n');
  assert.is(await wait(id), 3);
  await close(id);
});

consoles('input reaches a command to its end', async () => {
  const id = await open({ args: ['wc', '-c'] });
  const output = readAll(id);
  await write(id, 'x'.repeat(100_000));
  await closeStdin(id);
  assert.is((await output).trim(), '100000');
  assert.is(await wait(id), 0);
  await close(id);
});

consoles('a command that is not there', async () => {
  const id = await open({ args: ['no-such-command'] });
  assert.match(await readAll(id, 'ReadStderr'), /not found/);
  assert.is(await wait(id), 127);
  await close(id);
});

consoles('a command that is killed', async () => {
  const id = await open({ args: ['sh', '-c', 'kill -9 $$'] });
  assert.is(await wait(id), 128 + 9);
  await close(id);
});

consoles('a shell on a terminal: its size, its type, its job control, its end', async () => {
  const id = await open({ terminal: true, rows: 11, columns: 77, term: 'xterm-256color' });
  await write(id, 'stty size; echo "<$TERM>"; tty; sh -c "echo here; exec cat"\n');
  const seen = await readUntil(id, 'here\r\n');
  assert.match(seen, /11 77\r\n/);
  assert.match(seen, /<xterm-256color>/);
  assert.match(seen, '/dev/pts/');
  // Ctrl-C ends what runs, not the shell: it is a terminal that controls.
  await write(id, '\x03');
  await readUntil(id, '^C');
  await write(id, 'echo still $((40 + 2))\n');
  await readUntil(id, 'still 42');
  await client.call(ConsoleServiceName, 'Resize', ConsoleService.Resize, { exec_id: id, rows: 33, columns: 99 });
  await write(id, 'stty size\n');
  await readUntil(id, '33 99');
  await write(id, 'exit 7\n');
  await readAll(id);
  assert.is(await wait(id), 7);
  await close(id);
});

consoles('the end of file ends a shell on a terminal', async () => {
  const id = await open({ terminal: true });
  await closeStdin(id);
  await readAll(id);
  assert.is(await wait(id), 0);
  await close(id);
});

consoles("TERM is a name, whatever the caller's is", async () => {
  for (const term of ['', 'x\ny=z', 'x'.repeat(65), '$(id)']) {
    const id = await open({ terminal: true, term, args: ['sh', '-c', 'echo "<$TERM>"'] });
    assert.is(await readAll(id), '<linux>\r\n', JSON.stringify(term));
    await close(id);
  }
});

consoles('closing hangs up, and kills what does not listen', async () => {
  const polite = await open({ terminal: true, args: ['sh', '-c', 'echo $$; sleep 1000'] });
  const stubborn = await open({ args: ['sh', '-c', 'trap "" HUP TERM; echo $$; while :; do sleep 1; done'] });
  const pids = [await read(polite), await read(stubborn)].map((data) => Number(data));
  const alive = (): number[] => pids.filter((pid) => readdirSync('/proc').includes(String(pid)));
  assert.is(alive().length, 2);
  await close(polite);
  await close(stubborn);
  const end = performance.now() + HANG_UP_MS + 20_000;
  while (alive().length > 0 && performance.now() < end) await sleep(20);
  assert.equal(alive(), []);
  // Idempotent, also for what never was.
  await close(polite);
  await close('nobody');
});

consoles('a bounded number, and names', async () => {
  const ids: string[] = [];
  for (let i = 0; i < MAX_CONSOLES; i++) ids.push(await open({ args: ['cat'] }));
  assert.is((await failure(open())).code, 'resource_exhausted');
  assert.is((await failure(open({ exec_id: ids[0] as string }))).code, 'already_exists');
  for (const id of ids) await close(id);
  assert.is((await failure(open({ exec_id: 'x'.repeat(MAX_ID_CHARS + 1) }))).code, 'invalid_argument');
  assert.is((await failure(open({ exec_id: '' }))).code, 'invalid_argument');
  await close(await open({ exec_id: 'x'.repeat(MAX_ID_CHARS), args: ['true'] }));
  assert.is((await failure(wait('nobody'))).code, 'not_found');
  assert.is((await failure(read('nobody'))).code, 'not_found');
});

consoles('nobody gets one where the command line does not allow it', async () => {
  const closed = await agent('closed', []);
  const { code, message } = await failure(open({}, closed));
  assert.is(code, 'permission_denied');
  assert.match(message, /agent\.debug_console/);
});

consoles.run();
