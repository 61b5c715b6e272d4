/** A true namespace with true redirection; only the guest is played, by sockets of this machine. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { KataError } from '../../../host/error.ts';
import { cleanUpNetwork } from '../../../host/network/clean-up.ts';
import { type ForwardAgent, MAX_CONNECTIONS, PortForwarder } from '../../../host/network/forward.ts';
import { redirectLoopback, removeRedirection, TABLE } from '../../../host/network/nftables.ts';
import { FakeVm, Namespaces } from './namespaces.ts';

/** A guest where every port echoes, but for some. */
class FakeAgent implements ForwardAgent {
  readonly opened: number[] = [];
  readonly closed: string[] = [];
  refusal: KataError | undefined;
  /** Fails reads once this many bytes were echoed. */
  breakAfter = Number.POSITIVE_INFINITY;
  readonly #streams = new Map<string, { queue: Buffer[]; ended: boolean; waiting: (() => void)[]; bytes: number }>();

  async openForward(id: string, port: number): Promise<void> {
    this.opened.push(port);
    if (this.refusal) throw this.refusal;
    this.#streams.set(id, { queue: [], ended: false, waiting: [], bytes: 0 });
  }

  async closeForward(id: string): Promise<void> {
    this.closed.push(id);
    this.#end(id);
  }

  async closeStdin({ exec_id: id }: { exec_id: string }): Promise<void> {
    this.#end(id);
  }

  async writeStdin({ exec_id: id }: { exec_id: string }, data: Uint8Array): Promise<number> {
    const stream = this.#streams.get(id);
    stream?.queue.push(Buffer.from(data));
    stream?.waiting.shift()?.();
    return data.length;
  }

  async read<Out>(
    _stream: 'ReadStdout',
    { exec_id: id }: { exec_id: string },
    length: number,
    onData: (data: Uint8Array) => Out,
  ): Promise<Out> {
    const stream = this.#streams.get(id);
    if (!stream) throw new KataError('not_found', 'no such connection');
    while (stream.queue.length === 0 && !stream.ended) {
      await new Promise<void>((resolve) => {
        stream.waiting.push(resolve);
      });
    }
    const data = stream.queue.shift() ?? Buffer.alloc(0);
    if (data.length > length) stream.queue.unshift(data.subarray(length));
    stream.bytes += data.length;
    if (stream.bytes > this.breakAfter) throw new KataError('internal', 'reading output: ECONNRESET');
    return onData(data.subarray(0, length));
  }

  #end(id: string): void {
    const stream = this.#streams.get(id);
    if (!stream) return;
    stream.ended = true;
    for (const wake of stream.waiting.splice(0)) wake();
  }
}

interface Context {
  namespaces: Namespaces;
  vm: FakeVm;
  agent: FakeAgent;
  forwarder: PortForwarder;
  dialled: ChildProcess[];
}

const forward = suite<Context>('port-forwarding');

forward.before.each((context) => {
  context.namespaces = new Namespaces();
  context.namespaces.inPod('link set lo up');
  context.vm = new FakeVm();
  context.agent = new FakeAgent();
  const { namespaces, agent, vm } = context;
  context.forwarder = new PortForwarder({ namespace: namespaces.path, agent: () => agent, log: vm.log });
  context.dialled = [];
});

forward.after.each(({ namespaces, forwarder, dialled }) => {
  forwarder.close();
  for (const child of dialled) child.kill('SIGKILL');
  namespaces.remove();
});

/** Connects within the pod's namespace, sends, ends, and gives back what came; rejects when the connection breaks. */
function dial({ namespaces, dialled }: Context, host: string, port: number, data: Uint8Array): Promise<Buffer> {
  const script = `
    const socket = require('node:net').connect({ host: '${host}', port: ${port}, allowHalfOpen: true });
    socket.on('error', (error) => { process.stderr.write(error.code); process.exit(3); });
    process.stdin.pipe(socket).pipe(process.stdout);`;
  const child = spawn('ip', ['netns', 'exec', namespaces.pod, process.execPath, '-e', script]);
  dialled.push(child);
  const out: Buffer[] = [];
  let error = '';
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => {
    error += chunk;
  });
  child.stdin.on('error', () => {});
  child.stdin.end(data);
  return new Promise((resolve, reject) => {
    child.on('close', (code) => (code === 0 ? resolve(Buffer.concat(out)) : reject(new Error(error))));
  });
}

async function broken(step: Promise<unknown>): Promise<string> {
  return step.then(
    () => assert.unreachable('should have failed'),
    (thrown: Error) => thrown.message,
  ) as Promise<string>;
}

forward('takes connections to either loopback address, and any of 127.0.0.0/8, exactly', async (context) => {
  assert.ok(context.forwarder.start());
  const data = randomBytes(2 * 1024 * 1024);
  for (const [host, port] of [
    ['127.0.0.1', 8080],
    ['::1', 8081],
    ['127.9.9.9', 1],
  ] as const) {
    assert.ok((await dial(context, host, port, data)).equals(data), host);
  }
  assert.equal(context.agent.opened, [8080, 8081, 1]);
  assert.is(context.agent.closed.length, 3);
});

forward('leaves connections to the pod address alone', async (context) => {
  context.namespaces.veth('eth0', '02:00:ca:fe:00:01', '10.88.0.9/16');
  assert.ok(context.forwarder.start());
  assert.match(await broken(dial(context, '10.88.0.9', 8080, Buffer.alloc(0))), /ECONNREFUSED/);
  assert.equal(context.agent.opened, []);
});

forward('a refusal of the guest breaks the connection, and costs the others nothing', async (context) => {
  assert.ok(context.forwarder.start());
  context.agent.refusal = new KataError('unavailable', 'nothing in the pod answers');
  assert.match(await broken(dial(context, '127.0.0.1', 81, Buffer.from('x'))), /ECONNRESET|EPIPE/);
  context.agent.refusal = undefined;
  assert.is((await dial(context, '127.0.0.1', 82, Buffer.from('hello'))).toString(), 'hello');
  assert.equal(context.agent.opened, [81, 82]);
});

forward('a connection that breaks in the guest breaks here', async (context) => {
  assert.ok(context.forwarder.start());
  context.agent.breakAfter = 1000;
  assert.match(await broken(dial(context, '127.0.0.1', 80, randomBytes(4000))), /ECONNRESET|EPIPE/);
  // The connection is given back.
  while (context.agent.closed.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
});

forward('without a guest there is no connection', async (context) => {
  const { namespaces, vm } = context;
  const forwarder = new PortForwarder({ namespace: namespaces.path, agent: () => undefined, log: vm.log });
  assert.ok(forwarder.start());
  assert.match(await broken(dial(context, '127.0.0.1', 80, Buffer.from('x'))), /ECONNRESET|EPIPE/);
  assert.equal(vm.warnings, ['a connection to a port of the pod is refused']);
  forwarder.close();
});

forward('more connections than the limit are refused', async (context) => {
  assert.ok(context.forwarder.start());
  const script = `
    let open = 0, broken = 0;
    const told = () => { if (open + broken === ${MAX_CONNECTIONS + 3}) process.stdout.write(open + ' ' + broken); };
    for (let i = 0; i < ${MAX_CONNECTIONS + 3}; i++) {
      const socket = require('node:net').connect(80, '127.0.0.1');
      socket.write('x');
      socket.on('data', () => { open++; told(); });
      socket.on('error', () => { broken++; told(); });
    }`;
  const child = spawn('ip', ['netns', 'exec', context.namespaces.pod, process.execPath, '-e', script]);
  context.dialled.push(child);
  const told = await new Promise<string>((resolve) => child.stdout.once('data', (chunk) => resolve(String(chunk))));
  assert.is(told, `${MAX_CONNECTIONS} 3`);
});

forward('closing breaks what is open and takes the redirection away; any number of times', async (context) => {
  assert.ok(context.forwarder.start());
  assert.ok(context.forwarder.start());
  const script = `
    const socket = require('node:net').connect(80, '127.0.0.1');
    socket.write('x');
    socket.on('data', () => process.stdout.write('open'));
    socket.on('error', (error) => process.stdout.write(error.code));`;
  const child = spawn('ip', ['netns', 'exec', context.namespaces.pod, process.execPath, '-e', script]);
  context.dialled.push(child);
  const next = () => new Promise<string>((resolve) => child.stdout.once('data', (chunk) => resolve(String(chunk))));
  assert.is(await next(), 'open');
  context.forwarder.close();
  assert.is(await next(), 'ECONNRESET');
  context.forwarder.close();
  assert.match(await broken(dial(context, '127.0.0.1', 80, Buffer.alloc(0))), /ECONNREFUSED/);
});

forward('the rules of a shim that crashed are replaced, and go by cleanup alone', async (context) => {
  const { namespaces, vm, forwarder } = context;
  redirectLoopback(namespaces.path, { 4: 1, 6: 1 });
  assert.ok(forwarder.start());
  assert.is((await dial(context, '127.0.0.1', 80, Buffer.from('hello'))).toString(), 'hello');
  cleanUpNetwork({ namespace: namespaces.path, ownNamespace: false, devices: [] }, vm.log);
  assert.match(await broken(dial(context, '127.0.0.1', 80, Buffer.alloc(0))), /ECONNREFUSED/);
  removeRedirection(namespaces.path);
  assert.is(TABLE, 'kata_edge');
});

forward('where nothing can be forwarded a warning says so, once', (context) => {
  const { namespaces, vm, forwarder } = context;
  execFileSync('ip', ['-n', namespaces.pod, 'link', 'set', 'lo', 'down']);
  execFileSync('ip', ['-n', namespaces.pod, 'addr', 'flush', 'dev', 'lo']);
  assert.not(forwarder.start());
  assert.is(vm.warnings.length, 1);
  assert.match(vm.warnings[0] ?? '', /no loopback address/);
  const gone = new PortForwarder({ namespace: '/nonexistent', agent: () => undefined, log: vm.log });
  assert.not(gone.start());
  assert.not(new PortForwarder({ namespace: '', agent: () => undefined, log: vm.log }).start());
  assert.is(vm.warnings.length, 2);
});

forward.run();
