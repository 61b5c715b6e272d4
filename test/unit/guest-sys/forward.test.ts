/** Connections into the guest, by the agent as a process: true sockets on this machine, true ttrpc. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { MAX_CONNECTIONS, MAX_ID_CHARS } from '../../../guest/agent/forward.ts';
import { AGENT_ENTRY } from '../../../guest/image/agent.ts';
import type { KataError } from '../../../host/error.ts';
import { AgentServiceServiceName, AgentServiceService as methods } from '../../../host/proto/messages/agent.ts';
import { ForwardService, ForwardServiceName } from '../../../host/proto/messages/forward.ts';
import { TtrpcClient } from '../../../host/ttrpc/client.ts';
import { reach } from '../../harness/reach.ts';
import { buildProgram, type Program } from './program.ts';

const CHUNK = 64 * 1024;
const NO_DEADLINE = { timeoutMs: 0 };

const forward = suite('connections into the guest');
let program: Program;
let child: ChildProcess;
let client: TtrpcClient;
const servers: Server[] = [];
const accepted: Socket[] = [];
let serial = 0;

forward.before(async () => {
  program = await buildProgram(AGENT_ENTRY);
  const path = join(program.directory, 'agent.sock');
  child = spawn(program.path, ['--listen', `unix://${path}`], { stdio: 'inherit' });
  client = new TtrpcClient(await reach(path));
});

forward.after.each(() => {
  for (const server of servers.splice(0)) server.close();
  for (const socket of accepted.splice(0)) socket.destroy();
});

forward.after(async () => {
  client.close('the tests are over');
  child.kill('SIGKILL');
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  await program.remove();
});

/** A server on this machine; its port. */
async function listen(host: string, serve: (socket: Socket) => void): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    accepted.push(socket);
    socket.on('error', () => {});
    serve(socket);
  });
  servers.push(server);
  await new Promise<void>((done) => server.listen(0, host, done));
  return (server.address() as AddressInfo).port;
}

async function open(port: number, id = `f${serial++}`): Promise<string> {
  await client.call(ForwardServiceName, 'Open', ForwardService.Open, { exec_id: id, port });
  return id;
}

async function close(id: string): Promise<void> {
  await client.call(ForwardServiceName, 'Close', ForwardService.Close, { exec_id: id });
}

async function read(id: string): Promise<Uint8Array> {
  const request = { container_id: '', exec_id: id, len: CHUNK };
  return (await client.call(AgentServiceServiceName, 'ReadStdout', methods.ReadStdout, request, NO_DEADLINE)).data;
}

async function write(id: string, data: Uint8Array): Promise<void> {
  const request = { container_id: '', exec_id: id, data };
  await client.call(AgentServiceServiceName, 'WriteStdin', methods.WriteStdin, request, NO_DEADLINE);
}

async function end(id: string): Promise<void> {
  await client.call(AgentServiceServiceName, 'CloseStdin', methods.CloseStdin, { container_id: '', exec_id: id });
}

async function failure(step: Promise<unknown>): Promise<KataError> {
  return step.then(
    () => assert.unreachable('should have failed'),
    (thrown: KataError) => thrown,
  ) as Promise<KataError>;
}

forward('carry bytes both ways, exactly, and end one direction at a time', async () => {
  const hash = createHash('sha256');
  const answer = randomBytes(8 * 1024 * 1024);
  const port = await listen('127.0.0.1', (socket) => {
    socket.on('data', (chunk) => hash.update(chunk));
    socket.on('end', () => socket.end(answer));
  });
  const id = await open(port);
  const sent = randomBytes(3 * 1024 * 1024);
  for (let at = 0; at < sent.length; at += CHUNK) await write(id, sent.subarray(at, at + CHUNK));
  await end(id);
  const parts: Uint8Array[] = [];
  for (let data = await read(id); data.length > 0; data = await read(id)) parts.push(data);
  assert.is(hash.digest('hex'), createHash('sha256').update(sent).digest('hex'));
  assert.ok(Buffer.concat(parts).equals(answer));
  await close(id);
  await close(id);
  assert.is((await failure(read(id))).code, 'not_found');
});

forward('reach listeners of either loopback address, and of all addresses', async () => {
  for (const host of ['127.0.0.1', '::1', '0.0.0.0', '::']) {
    const id = await open(await listen(host, (socket) => socket.end(host)));
    assert.is(new TextDecoder().decode(await read(id)), host);
    assert.is((await read(id)).length, 0);
    await close(id);
  }
});

forward('are refused where nothing listens', async () => {
  const port = await listen('127.0.0.1', () => {});
  await new Promise((done) => servers.splice(0)[0]?.close(done));
  const { code, message } = await failure(open(port));
  assert.is(code, 'unavailable');
  assert.match(message, new RegExp(`TCP port ${port} \\(.*ECONNREFUSED`));
});

forward('names, ports and numbers beyond their limits are refused', async () => {
  for (const port of [0, 65536]) assert.is((await failure(open(port))).code, 'invalid_argument');
  for (const id of ['', 'x'.repeat(MAX_ID_CHARS + 1)])
    assert.is((await failure(open(80, id))).code, 'invalid_argument');
  const port = await listen('127.0.0.1', () => {});
  const ids: string[] = [];
  for (let i = 0; i < MAX_CONNECTIONS; i++) ids.push(await open(port));
  assert.is((await failure(open(port))).code, 'resource_exhausted');
  await close(ids.pop() as string);
  ids.push(await open(port));
  assert.is((await failure(open(port, ids[0]))).code, 'already_exists');
  for (const id of ids) await close(id);
});

forward('a reader that does not read stops the other side; a connection that breaks is an error', async () => {
  let stopped = false;
  const port = await listen('127.0.0.1', (socket) => {
    // More than all the buffers between can hold.
    stopped = !socket.write(Buffer.alloc(32 * 1024 * 1024));
  });
  const id = await open(port);
  while (!stopped) await sleep(5);
  assert.ok((accepted[0]?.writableLength ?? 0) > 0);
  accepted[0]?.resetAndDestroy();
  let failed: KataError | undefined;
  while (!failed) {
    await read(id).catch((thrown) => {
      failed = thrown;
    });
  }
  assert.match(failed.message, /reset/i);
  await close(id);
});

forward.run();
