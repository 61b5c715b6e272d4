/** The agent as an ordinary process on a unix socket: the ttrpc server over a true kernel, frame by frame. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { MAX_CONNECTIONS } from '../../../guest/agent/channel.ts';
import { MAX_STATUS_CHARS } from '../../../guest/agent/frame.ts';
import { MAX_IN_FLIGHT } from '../../../guest/agent/ttrpc.ts';
import { AGENT_ENTRY } from '../../../guest/image/agent.ts';
import { decode, encode } from '../../../host/proto/codec.ts';
import { CopyFileRequest, GetMetricsRequest, ListInterfacesRequest } from '../../../host/proto/messages/agent.ts';
import { CheckRequest, HealthCheckResponse } from '../../../host/proto/messages/health.ts';
import { Request, Response } from '../../../host/proto/messages/ttrpc.ts';
import { buildProgram, type Program } from './program.ts';

const HEADER_BYTES = 10;
const MAX_DATA_BYTES = 4 * 1024 * 1024;
const AGENT = 'grpc.AgentService';
const CODES = { ok: 0, invalid: 3, deadline: 4, exhausted: 8, unimplemented: 12 };

const agent = suite('the agent as a process');
let program: Program;
let child: ChildProcess;
let path: string;

agent.before(async () => {
  program = await buildProgram(AGENT_ENTRY);
  path = join(program.directory, 'agent.sock');
  child = spawn(program.path, ['--listen', `unix://${path}`], { stdio: 'inherit' });
});

agent.after(async () => {
  if (child.exitCode === null) {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  await program.remove();
});

agent('answers a frame that comes byte by byte', async () => {
  const peer = await Peer.connect();
  for (const byte of check(1)) {
    peer.socket.write(Buffer.of(byte));
    await new Promise((done) => setImmediate(done));
  }
  assert.is(decode(HealthCheckResponse, (await peer.answer(1)).payload).status, 1);
  peer.close();
});

agent('answers many requests of one write, each on its stream', async () => {
  const peer = await Peer.connect();
  const streams = Array.from({ length: 1000 }, (_, i) => 2 * i + 1);
  peer.socket.write(Buffer.concat(streams.map(check)));
  for (const stream of streams) assert.is((await peer.answer(stream)).status?.code ?? 0, CODES.ok);
  peer.close();
});

agent('refuses stream ids that are even or do not rise', async () => {
  const peer = await Peer.connect();
  for (const [stream, code] of [
    [2, CODES.invalid],
    [5, CODES.ok],
    [3, CODES.invalid],
    [7, CODES.ok],
  ] as const) {
    peer.socket.write(check(stream));
    assert.is((await peer.answer(stream)).status?.code ?? 0, code, `stream ${stream}`);
  }
  // A unix socket is one session: stream 1 does not begin another, as it does on the port.
  peer.socket.write(check(1));
  assert.is((await peer.answer(1)).status?.code, CODES.invalid);
  peer.close();
});

agent('throws away a frame that is too large, and nothing after it', async () => {
  const peer = await Peer.connect();
  const size = MAX_DATA_BYTES + 1;
  peer.socket.write(Buffer.concat([header(1, size), Buffer.alloc(size), check(3)]));
  assert.is((await peer.answer(1)).status?.code, CODES.exhausted);
  assert.is((await peer.answer(3)).status?.code ?? 0, CODES.ok);
  peer.close();
});

agent('takes a frame of the largest size', async () => {
  const peer = await Peer.connect();
  const envelope = request(AGENT, 'CopyFile', new Uint8Array(0)).length + 8;
  const field = encode(CopyFileRequest, { path: '/no', data: new Uint8Array(1) }).length + 8;
  const payload = encode(CopyFileRequest, { path: '/no', data: new Uint8Array(MAX_DATA_BYTES - envelope - field) });
  const frame = frameOf(1, request(AGENT, 'CopyFile', payload));
  assert.ok(frame.length > MAX_DATA_BYTES - 64 && frame.length <= MAX_DATA_BYTES + HEADER_BYTES);
  peer.socket.write(frame);
  // The path is not one it may write: the request has arrived whole and was refused for what it says.
  assert.match((await peer.answer(1)).status?.message ?? '', /\/no/);
  peer.socket.write(check(3));
  assert.is((await peer.answer(3)).status?.code ?? 0, CODES.ok);
  peer.close();
});

agent('says which service, method or message it does not know', async () => {
  const peer = await Peer.connect();
  const cases = [
    [request('grpc.Nothing', 'Check'), CODES.unimplemented, /service grpc\.Nothing/],
    [request('grpc.Health', 'Nothing'), CODES.unimplemented, /method Nothing/],
    [request(AGENT, 'SetPolicy'), CODES.unimplemented, /method SetPolicy/],
    [Buffer.from([0xff, 0xff]), CODES.invalid, /not a ttrpc request/],
    [request(AGENT, 'WaitProcess', Buffer.from([0x0a, 0x7f])), CODES.invalid, /length/],
  ] as const;
  for (const [index, [data, code, text]] of cases.entries()) {
    const stream = 2 * index + 1;
    peer.socket.write(frameOf(stream, data));
    const { status } = await peer.answer(stream);
    assert.is(status?.code, code);
    assert.match(status?.message ?? '', text);
  }
  peer.close();
});

agent("leaves a machine that is not its own as it is: its clock is somebody else's", async () => {
  const peer = await Peer.connect();
  for (const [index, method] of ['SetGuestDateTime', 'ReseedRandomDev', 'OnlineCPUMem', 'AddSwapPath'].entries()) {
    const stream = 2 * index + 1;
    peer.socket.write(frameOf(stream, request(AGENT, method)));
    assert.is((await peer.answer(stream)).status?.code, CODES.unimplemented, method);
  }
  peer.socket.write(frameOf(9, request(AGENT, 'GetGuestDetails')));
  assert.is((await peer.answer(9)).status?.code ?? 0, CODES.ok);
  peer.close();
});

agent('refuses streams', async () => {
  const peer = await Peer.connect();
  const open = frameOf(1, request('grpc.Health', 'Check'));
  open[9] = 2;
  peer.socket.write(open);
  assert.is((await peer.answer(1)).status?.code, CODES.unimplemented);
  const data = frameOf(3, Buffer.from('data'));
  data[8] = 3;
  peer.socket.write(data);
  assert.is((await peer.answer(3)).status?.code, CODES.invalid);
  peer.close();
});

agent('gives up at the deadline and goes on', async () => {
  const peer = await Peer.connect();
  peer.socket.write(frameOf(1, request(AGENT, 'GetOOMEvent', undefined, 50_000_000)));
  peer.socket.write(frameOf(3, request(AGENT, 'GetOOMEvent')));
  peer.socket.write(check(5));
  assert.is((await peer.answer(5)).status?.code ?? 0, CODES.ok);
  const { status } = await peer.answer(1);
  assert.is(status?.code, CODES.deadline);
  assert.match(status?.message ?? '', /GetOOMEvent did not end within 50 ms/);
  assert.not.ok(peer.answered(3));
  peer.close();
});

agent('stops reading from a peer that does not read, and serves the others', async () => {
  const slow = await Peer.connect();
  slow.socket.pause();
  const payload = encode(ListInterfacesRequest, {});
  let sent = 0;
  // Answers outweigh requests by far, so that the agent's limit is reached before ours.
  for (let full = false; !full; sent++)
    full = !slow.socket.write(frameOf(2 * sent + 1, request(AGENT, 'GetMetrics', encode(GetMetricsRequest, {}))));
  for (const end = sent + 500; sent < end; sent++)
    slow.socket.write(frameOf(2 * sent + 1, request(AGENT, 'ListInterfaces', payload)));
  const other = await Peer.connect();
  other.socket.write(check(1));
  assert.is((await other.answer(1)).status?.code ?? 0, CODES.ok);
  slow.socket.resume();
  for (let i = 0; i < sent; i++) await slow.answer(2 * i + 1);
  slow.close();
  other.close();
});

agent('refuses what exceeds its limits', async () => {
  const peer = await Peer.connect();
  const last = 2 * MAX_IN_FLIGHT + 1;
  for (let stream = 1; stream <= last; stream += 2) peer.socket.write(frameOf(stream, request(AGENT, 'GetOOMEvent')));
  const { status } = await peer.answer(last);
  assert.is(status?.code, CODES.exhausted);
  assert.match(status?.message ?? '', new RegExp(`more than ${MAX_IN_FLIGHT} requests`));
  peer.close();
  const other = await Peer.connect();
  other.socket.write(frameOf(1, request('x'.repeat(MAX_STATUS_CHARS + 1), 'Check')));
  assert.is((await other.answer(1)).status?.message.length, MAX_STATUS_CHARS);
  other.close();
});

agent('serves so many connections, and others once these have gone', async () => {
  const peers: Peer[] = [];
  // Earlier ones may still be closing.
  for (let open = 0; open < MAX_CONNECTIONS; ) {
    const peer = await Peer.connect();
    peer.socket.write(check(1));
    const served = await Promise.race([peer.answer(1).then(() => true), closed(peer).then(() => false)]);
    if (served) open = peers.push(peer);
  }
  const refused = await Peer.connect();
  await closed(refused);
  peers.pop()?.close();
  for (let served = false; !served; ) {
    const peer = await Peer.connect();
    peer.socket.write(check(1));
    served = await Promise.race([peer.answer(1).then(() => true), closed(peer).then(() => false)]);
    peers.push(peer);
  }
  for (const peer of peers) peer.close();
});

agent('survives peers that leave in the middle', async () => {
  for (const cut of [0, 5, 12]) {
    const peer = await Peer.connect();
    peer.socket.write(Buffer.concat([frameOf(1, request(AGENT, 'GetOOMEvent')), check(3).subarray(0, cut)]));
    peer.socket.destroy();
  }
  const peer = await Peer.connect();
  peer.socket.write(check(1));
  assert.is((await peer.answer(1)).status?.code ?? 0, CODES.ok);
  assert.is(child.exitCode, null);
  peer.close();
});

agent('says how it is called', async () => {
  const wrong = spawn(program.path, ['--nonsense'], { stdio: ['ignore', 'ignore', 'pipe'] });
  let text = '';
  wrong.stderr.on('data', (chunk: Buffer) => {
    text += chunk;
  });
  const [code] = await once(wrong, 'close');
  assert.is(code, 1);
  assert.match(text, /usage: agent --listen/);
});

/** A client that knows nothing but frames. */
class Peer {
  private pending = Buffer.alloc(0);
  private readonly answers = new Map<number, Response>();
  private wake: () => void = () => {};

  private constructor(readonly socket: Socket) {
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => this.take(chunk));
  }

  static async connect(): Promise<Peer> {
    for (let tries = 0; ; tries++) {
      const socket = connect(path);
      const connected = await new Promise<boolean>((done) => {
        socket.once('connect', () => done(true));
        socket.once('error', () => done(false));
      });
      if (connected) return new Peer(socket);
      if (tries > 500) throw new Error(`nobody listens on ${path}`);
      await new Promise((done) => setTimeout(done, 10));
    }
  }

  answered(stream: number): boolean {
    return this.answers.has(stream);
  }

  async answer(stream: number): Promise<Response> {
    for (;;) {
      const answer = this.answers.get(stream);
      if (answer) return answer;
      await new Promise<void>((done) => {
        this.wake = done;
      });
    }
  }

  close(): void {
    this.socket.destroy();
  }

  private take(chunk: Buffer): void {
    this.pending = Buffer.concat([this.pending, chunk]);
    for (;;) {
      if (this.pending.length < HEADER_BYTES) break;
      const end = HEADER_BYTES + this.pending.readUInt32BE(0);
      if (this.pending.length < end) break;
      assert.is(this.pending[8], 2, 'only responses come');
      this.answers.set(
        this.pending.readUInt32BE(4),
        decode(Response, Buffer.from(this.pending.subarray(HEADER_BYTES, end))),
      );
      this.pending = this.pending.subarray(end);
    }
    this.wake();
  }
}

function request(service: string, method: string, payload: Uint8Array = new Uint8Array(0), nanos = 0): Uint8Array {
  return encode(Request, { service, method, payload, timeout_nano: nanos });
}

function check(stream: number): Buffer {
  return frameOf(stream, request('grpc.Health', 'Check', encode(CheckRequest, {})));
}

function frameOf(stream: number, data: Uint8Array): Buffer {
  return Buffer.concat([header(stream, data.length), data]);
}

function header(stream: number, length: number): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES);
  bytes.writeUInt32BE(length, 0);
  bytes.writeUInt32BE(stream, 4);
  bytes[8] = 1;
  return bytes;
}

agent.run();

/** Settles when the connection is over: reset counts, since what was written to a refused one is never read. */
function closed({ socket }: Peer): Promise<void> {
  socket.on('error', () => {});
  return new Promise((resolve) => socket.once('close', () => resolve()));
}
