/** The sandbox: once, undone on failure, ended at the end; and what it reports. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { MAX_HOSTNAME_BYTES } from '../../../guest/agent/sandbox.ts';
import { decode, encode, type Init } from '../../../host/proto/codec.ts';
import { CreateSandboxRequest } from '../../../host/proto/messages/agent.ts';
import { type TestGuest, testGuest } from './guest.ts';
import { refused } from './refused.ts';

const sandboxes = suite<{ guest: TestGuest }>('sandbox');
sandboxes.before.each((context) => {
  context.guest = testGuest();
});
sandboxes.after.each((context) => context.guest.close());

function create({ services }: TestGuest, part: Init<CreateSandboxRequest>) {
  return services.CreateSandbox(decode(CreateSandboxRequest, encode(CreateSandboxRequest, part)));
}

sandboxes('containers share its host name and IPC namespace', async ({ guest }) => {
  await create(guest, { sandbox_id: 'sb', hostname: 'pod-one' });
  const ask = ['sh', '-c', 'hostname; ls -l /proc/self/ns/ipc'];
  const first = await guest.run(ask);
  const second = await guest.run(ask, { spec: { Hostname: 'pod-one' } });
  const texts = [await guest.stdout(first), await guest.stdout(second)];
  const ipc = /ipc:\[\d+\]/;
  assert.match(texts[0] as string, /^pod-one\n/);
  assert.is(ipc.exec(texts[0] as string)?.[0], ipc.exec(texts[1] as string)?.[0]);
  assert.is.not(ipc.exec(texts[0] as string)?.[0], fs.readlinkSync('/proc/self/ns/ipc'));
});

sandboxes('there is one, and a failed one leaves room for another', async ({ guest }) => {
  await refused(() => create(guest, { hostname: 'x'.repeat(MAX_HOSTNAME_BYTES + 1) }), 'invalid_argument', /64 bytes/);
  await refused(() => create(guest, { storages: [{ driver: 'none' }] }), 'unimplemented', /storage driver "none"/);
  await refused(() => create(guest, { kernel_modules: [{ name: '../x' }] }), 'invalid_argument', /kernel module/);
  await create(guest, { sandbox_id: 'sb' });
  await refused(() => create(guest, { sandbox_id: 'sb2' }), 'already_exists', /sandbox sb exists/);
});

sandboxes('name servers reach the guest\u2019s resolv.conf', async (context) => {
  await context.guest.close();
  const file = path.join(os.tmpdir(), `resolv.conf-${process.pid}`);
  context.guest = testGuest({ resolvConf: file });
  await create(context.guest, { dns: ['nameserver 10.0.0.1', 'search a.b'] });
  assert.is(fs.readFileSync(file, 'utf8'), 'nameserver 10.0.0.1\nsearch a.b\n');
  await context.guest.services.DestroySandbox({});
  assert.is(fs.readFileSync(file, 'utf8'), '');
  fs.unlinkSync(file);
});

sandboxes('modules are loaded by name with their parameters', async (context) => {
  await context.guest.close();
  const loaded: string[] = [];
  context.guest = testGuest({ loadModule: (name, parameters) => void loaded.push([name, ...parameters].join(' ')) });
  await create(context.guest, { kernel_modules: [{ name: 'dummy', parameters: ['numdummies=2'] }] });
  assert.equal(loaded, ['dummy numdummies=2']);
});

sandboxes('its end ends containers first', async ({ guest }) => {
  await create(guest, { sandbox_id: 'sb' });
  const id = await guest.run(['sleep', '100']);
  const waiting = guest.wait(id);
  await guest.services.DestroySandbox({});
  assert.is(await waiting, 137);
  assert.equal(guest.leftovers(), []);
});

sandboxes('metrics, volumes, diagnostics', async ({ guest }) => {
  const { metrics } = (await guest.services.GetMetrics({})) as { metrics: string };
  for (const name of [
    'kata_agent_scrape_count',
    'kata_agent_total_rss',
    'kata_guest_load{item="load1"}',
    'kata_guest_meminfo{',
  ]) {
    assert.ok(metrics.includes(name), name);
  }
  for (const line of metrics.trimEnd().split('\n')) {
    assert.match(line, /^(# (HELP|TYPE) .*|[a-z_]+(\{([a-z]+="[^"\n]*",?)+\})? -?[0-9.e+]+)$/);
  }
  const { usage = [] } = await guest.services.GetVolumeStats({ volume_guest_path: guest.directory });
  assert.equal(
    usage.map(({ unit }) => unit),
    [1, 2],
  );
  await refused(() => guest.services.GetVolumeStats({ volume_guest_path: '/nowhere' }), 'not_found', /nowhere/);
  const id = await guest.run(['sh', '-c', 'echo -n why > /tmp/log; ln -s /etc/passwd /tmp/link'], {
    spec: { Annotations: { 'io.kubernetes.container.terminationMessagePath': '/tmp/log' } },
  });
  await guest.wait(id);
  const ask = { container_id: id, log_type: 'termination_log' };
  assert.equal(await guest.services.GetDiagnosticData(ask), { data: 'why' });
  await refused(
    () => guest.services.GetDiagnosticData({ ...ask, log_type: 'other' }),
    'invalid_argument',
    /termination_log/,
  );
  const sly = await guest.create(['true'], {
    spec: { Annotations: { 'io.kubernetes.container.terminationMessagePath': '/tmp/link' } },
  });
  await refused(() => guest.services.GetDiagnosticData({ ...ask, container_id: sly }), 'not_found', /ELOOP/);
});

sandboxes('what this guest does not do says so', async ({ guest }) => {
  const request = {
    container_id: 'cc',
    exec_id: '',
    sandbox_pidns: false,
    string_user: undefined,
    devices: [],
    storages: [],
  };
  const spec = { Process: { Args: ['x'] } } as never;
  const ports = { stdin_port: 0, stdout_port: 5, stderr_port: 0 };
  await refused(
    () => guest.services.CreateContainer({ ...request, ...ports, OCI: spec, shared_mounts: [] }),
    'unimplemented',
    /vsock ports/,
  );
  await refused(
    () => guest.services.CreateContainer({ ...request, ...ports, OCI: undefined, shared_mounts: [] }),
    'invalid_argument',
    /no OCI specification/,
  );
});

sandboxes.run();
