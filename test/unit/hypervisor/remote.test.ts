/** A remote hypervisor's calls, against a service on a real socket. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { KataError } from '../../../host/error.ts';
import type { RemoteVm, VmConfig } from '../../../host/hypervisor/hypervisor.ts';
import { stopRemote } from '../../../host/hypervisor/remote/calls.ts';
import { Remote } from '../../../host/hypervisor/remote/remote.ts';
import { type CreateVMRequest, HypervisorService, HypervisorServiceName } from '../../../host/proto/messages/remote.ts';
import { TtrpcServer } from '../../../host/ttrpc/server.ts';
import { type Handlers, service } from '../../../host/ttrpc/types.ts';
import { KeptLog } from '../sandbox/fake-guest.ts';
import { vmConfig } from './vm-config.ts';

const NOTHING = { arguments: [], fds: [] };

interface Context {
  directory: string;
  socket: string;
  calls: string[];
  created: CreateVMRequest | undefined;
  answers: Handlers<typeof HypervisorService>;
  server: TtrpcServer;
  log: KeptLog;
}

const test = suite<Context>('remote hypervisor');

test.before.each(async (context) => {
  context.directory = mkdtempSync(join(tmpdir(), 'kata-remote-'));
  context.socket = join(context.directory, 'hypervisor.sock');
  context.calls = [];
  context.created = undefined;
  context.answers = {};
  context.log = new KeptLog();
  const handler =
    (name: 'CreateVM' | 'StartVM' | 'StopVM' | 'Version', usual: () => object) =>
    async (request: never, call: never) => {
      context.calls.push(name);
      if (name === 'CreateVM') context.created = request;
      const special = context.answers[name] as ((request: never, call: never) => Promise<object>) | undefined;
      return special ? special(request, call) : usual();
    };
  const services = service(HypervisorServiceName, HypervisorService, {
    Version: handler('Version', () => ({ version: '1.2.3' })),
    CreateVM: handler('CreateVM', () => ({ agentSocketPath: '/run/agent.sock' })),
    StartVM: handler('StartVM', () => ({})),
    StopVM: handler('StopVM', () => ({})),
  } as Handlers<typeof HypervisorService>);
  context.server = new TtrpcServer([services]);
  const listener = createServer();
  await new Promise<void>((resolve) => listener.listen(context.socket, resolve));
  context.server.adopt(listener);
});

test.after.each(async ({ server, directory }) => {
  await server.close();
  rmSync(directory, { recursive: true });
});

function remote(context: Context, more: Partial<RemoteVm> = {}, config: Partial<VmConfig> = {}): Remote {
  const vm: RemoteVm = {
    socket: context.socket,
    timeoutMs: 5000,
    podName: 'web-0',
    podNamespace: 'shop',
    gpus: 1,
    gpuModel: 'a100',
    initdata: 'H4sI',
    ...more,
  };
  const base = { ...vmConfig({ sandboxId: 'sandbox-1' }), machineType: 'large', image: 'podvm', vcpus: 3 };
  return new Remote({ ...base, memoryMib: 4096, networkNamespace: '/run/netns/pod', ...config }, vm, context.log);
}

async function failure(promise: Promise<unknown>): Promise<KataError> {
  return promise.then(
    () => {
      throw new Error('it should have failed');
    },
    (thrown: KataError) => thrown,
  );
}

test('creates, plugs, starts and stops, in this order; all the service is told is what Kata tells it', async (context) => {
  const machine = remote(context);
  assert.equal([machine.pid, machine.remote, machine.accelerator], [0, undefined, undefined]);
  let traced: unknown;
  await machine.start(
    NOTHING,
    () => {
      traced = machine.remote;
      context.calls.push('spawned');
    },
    async () => {
      context.calls.push('plug');
    },
  );
  assert.equal(context.calls, ['Version', 'spawned', 'CreateVM', 'plug', 'StartVM']);
  assert.equal(traced, { socket: context.socket, id: 'sandbox-1' });
  assert.equal([machine.agentSocket, machine.pid], ['/run/agent.sock', process.pid]);
  const hypervisor = 'io.katacontainers.config.hypervisor.';
  assert.equal(
    { ...context.created, annotations: { ...context.created?.annotations } },
    {
      id: 'sandbox-1',
      networkNamespacePath: '/run/netns/pod',
      annotations: {
        'io.kubernetes.cri.sandbox-name': 'web-0',
        'io.kubernetes.cri.sandbox-namespace': 'shop',
        [`${hypervisor}machine_type`]: 'large',
        [`${hypervisor}image`]: 'podvm',
        [`${hypervisor}default_vcpus`]: '3',
        [`${hypervisor}default_memory`]: '4096',
        [`${hypervisor}cc_init_data`]: 'H4sI',
        [`${hypervisor}default_gpus`]: '1',
        [`${hypervisor}default_gpu_model`]: 'a100',
      },
    },
  );
  await Promise.all([machine.stop(), machine.stop()]);
  assert.equal(context.calls.slice(5), ['StopVM']);
  assert.equal(await machine.exited, { code: null, signal: null, stderr: '' });
  assert.is((await failure(machine.start(NOTHING))).code, 'already_exists');
});

test('one that was never started has nothing to stop', async (context) => {
  const machine = remote(context);
  await machine.stop();
  await machine.exited;
  assert.equal(context.calls, []);
});

test('a service without a version is taken, one that does not run is named by its key', async (context) => {
  context.answers = {
    Version: () => {
      throw new KataError('unimplemented', 'no such method');
    },
  };
  const machine = remote(context);
  await machine.start(NOTHING);
  await machine.stop();
  const nobody = remote(context, { socket: join(context.directory, 'nobody.sock') });
  const { code, message } = await failure(nobody.start(NOTHING));
  assert.is(code, 'unavailable');
  assert.match(message, /did not do Version.*nobody\.sock.*remote_hypervisor_socket/);
  // Nothing was asked for, so that nothing is to be undone.
  assert.is(nobody.remote, undefined);
});

test("the service's words reach the user, and what it may have made is ended", async (context) => {
  context.answers = {
    StartVM: () => {
      throw new KataError('resource_exhausted', 'the cloud is full');
    },
  };
  const machine = remote(context);
  const { code, message } = await failure(machine.start(NOTHING));
  assert.is(code, 'resource_exhausted');
  assert.match(message, /the remote hypervisor did not do StartVM: .*the cloud is full/);
  await machine.stop();
  assert.is(context.calls.at(-1), 'StopVM');
});

test('a socket path that leads nowhere is refused', async (context) => {
  for (const path of ['', 'relative.sock', `/${'x'.repeat(107)}`]) {
    context.answers = { CreateVM: () => ({ agentSocketPath: path }) };
    const machine = remote(context);
    assert.match((await failure(machine.start(NOTHING))).message, /as its agent's socket/);
    assert.not.ok(context.calls.includes('StartVM'));
    await machine.stop();
  }
});

test('a service that does not answer is given up, and told so', async (context) => {
  context.answers = { StartVM: () => new Promise(() => {}) };
  const late = remote(context, { timeoutMs: 50 });
  const { code, message } = await failure(late.start(NOTHING));
  assert.is(code, 'deadline_exceeded');
  assert.match(message, /did not do StartVM within 0.05 s/);
  await late.stop();
});

test('a stop does not wait for a start under way', async (context) => {
  let begun: () => void = () => {};
  const beginning = new Promise<void>((resolve) => {
    begun = resolve;
  });
  let given = false;
  context.answers = {
    StartVM: (_request, call) => {
      call.signal.addEventListener('abort', () => {
        given = true;
      });
      begun();
      return new Promise(() => {});
    },
  };
  const machine = remote(context);
  const starting = failure(machine.start(NOTHING));
  await beginning;
  await machine.stop();
  assert.is((await starting).code, 'cancelled');
  assert.is(context.calls.at(-1), 'StopVM');
  assert.ok(given, 'the service sees that nobody waits any more');
});

test('the end never fails: what cannot be told is logged', async (context) => {
  const traces = { socket: context.socket, id: 'x' };
  context.answers = {
    StopVM: () => {
      throw new KataError('not_found', 'no such machine');
    },
  };
  await stopRemote(traces, context.log);
  assert.equal(context.log.lines, []);
  context.answers = {
    StopVM: () => {
      throw new KataError('internal', 'broken');
    },
  };
  await stopRemote(traces, context.log);
  context.answers = { StopVM: () => new Promise(() => {}) };
  await stopRemote(traces, context.log, 50);
  await stopRemote({ socket: '/no/such/socket', id: 'x' }, context.log);
  assert.is(context.log.lines.length, 3);
  for (const line of context.log.lines) assert.match(line, /did not end a machine/);
});

test('nothing of this host can be plugged, and that is said', async (context) => {
  const machine = remote(context);
  for (const [plugging, what] of [
    [machine.plugBlock('id', '/dev/sdx'), /block device \/dev\/sdx/],
    [machine.plugNic(), /network interface/],
    [machine.plugVirtioFs(), /directory/],
  ] as const) {
    const { code, message } = await failure(plugging);
    assert.is(code, 'failed_precondition');
    assert.match(message, what);
  }
  await machine.unplug();
  assert.is(machine.consoleTail(), '');
});

test.run();
