/** `[hypervisor.remote]`: which keys it has, what goes with it and what does not. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { MAX_SOCKET_PATH_BYTES } from '../../../host/agent/transport.ts';
import { annotate, CONFIG_PREFIX } from '../../../host/config/annotations.ts';
import { MAX_INITDATA_LENGTH, MAX_WORD_LENGTH } from '../../../host/config/annotations-hypervisor.ts';
import { type Configuration, loadConfiguration } from '../../../host/config/configuration.ts';
import { MAX_GPUS, MAX_REMOTE_TIMEOUT_S } from '../../../host/config/remote.ts';
import { MAX_VCPUS } from '../../../host/config/sizes.ts';
import type { KataError } from '../../../host/error.ts';

const directory = mkdtempSync(join(tmpdir(), 'kata-remote-config-'));
const file = join(directory, 'configuration.toml');
// No guest is there: none is needed.
const MACHINE = { arch: 'x64', guest: join(directory, 'none'), cpus: 4, memoryMib: 8192 };
const test = suite('[hypervisor.remote]');
test.after(() => rmSync(directory, { recursive: true }));

function load(text: string): Promise<Configuration> {
  writeFileSync(file, text);
  return loadConfiguration(file, MACHINE);
}

async function refusal(loading: Promise<unknown> | (() => unknown)): Promise<KataError> {
  try {
    await (typeof loading === 'function' ? loading() : loading);
  } catch (thrown) {
    return thrown as KataError;
  }
  throw new Error('it was accepted');
}

test('an empty table is a remote hypervisor with all defaults, and needs no guest here', async () => {
  const { remote, ...rest } = await load('[hypervisor.remote]\n');
  assert.equal(remote, {
    socket: '/run/peerpod/hypervisor.sock',
    timeoutMs: 600_000,
    gpus: 0,
    gpuModel: '',
    initdata: '',
  });
  assert.equal(
    [rest.vcpus, rest.memoryMib, rest.machineType, rest.image, rest.initrd],
    [1, 2048, '', undefined, undefined],
  );
  assert.equal(
    [rest.sharedFs, rest.blockDevices, rest.networkModel, rest.disableNewNetns],
    ['none', false, 'none', true],
  );
  assert.equal([rest.ownGuest, rest.kernelModules, rest.bootTimeoutMs], [false, [], 645_000]);
});

test("what Kata's file for it sets is taken", async () => {
  const configuration = await load(`
[hypervisor.remote]
remote_hypervisor_socket = "/run/peer.sock"
remote_hypervisor_timeout = 60
enable_annotations = ["machine_type", "default_memory", "default_vcpus", "image", "default_gpus", "gpu_model", "cc_init_data"]
machine_type = "m5.large"
image = "podvm-1"
default_vcpus = 16
default_memory = 65536
default_gpus = 2
default_gpu_model = "a100"
default_bridges = 1
[agent.kata]
dial_timeout = 30
kernel_modules = ["never sent"]
[runtime]
internetworking_model = "none"
disable_new_netns = true
static_sandbox_resource_mgmt = true
[edge]
agent = "own"
`);
  assert.equal(configuration.remote, {
    socket: '/run/peer.sock',
    timeoutMs: 60_000,
    gpus: 2,
    gpuModel: 'a100',
    initdata: '',
  });
  // More than this host has.
  assert.equal([configuration.vcpus, configuration.memoryMib], [16, 65_536]);
  assert.equal([configuration.machineType, configuration.image], ['m5.large', 'podvm-1']);
  assert.equal([configuration.ownGuest, configuration.kernelModules, configuration.bootTimeoutMs], [true, [], 90_000]);
  assert.equal(
    configuration.ignored.map(({ key }) => key),
    ['default_bridges'],
  );
  assert.equal(configuration.unknown, []);
});

test('of two hypervisors the name decides; without one nothing is guessed', async () => {
  const both = '[hypervisor.qemu]\n[hypervisor.remote]\n';
  assert.match((await refusal(load(both))).message, /configuration\.toml.*hypervisor_name/);
  assert.ok((await load(`${both}[runtime]\nhypervisor_name = "remote"\n`)).remote);
  assert.ok((await load('[runtime]\nhypervisor_name = "remote"\n')).remote);
  const other = await refusal(load('[runtime]\nhypervisor_name = "clh"\n'));
  assert.match(other.message, /runtime\.hypervisor_name is "clh"; it must be "qemu" or "remote"/);
  assert.match((await refusal(load('[hypervisor.clh]\n'))).message, /\[hypervisor\.clh\] is not supported/);
  // A file for several, as Kata's have them, is for QEMU as ever: its guest is missing here.
  assert.match(
    (await refusal(load('[hypervisor.clh]\n[hypervisor.qemu]\n'))).message,
    /the guest's kernel .* does not exist/,
  );
});

test('values that cannot be are refused by file and key', async () => {
  const cases: readonly [string, RegExp][] = [
    ['remote_hypervisor_socket = "peer.sock"', /remote_hypervisor_socket .*absolute path/],
    [`remote_hypervisor_socket = "/${'x'.repeat(MAX_SOCKET_PATH_BYTES)}"`, /remote_hypervisor_socket has 108 bytes/],
    ['remote_hypervisor_socket = 7', /remote_hypervisor_socket is 7; it must be a string/],
    [`remote_hypervisor_timeout = ${MAX_REMOTE_TIMEOUT_S + 1}`, /remote_hypervisor_timeout is 86401 s/],
    ['remote_hypervisor_timeout = -1', /remote_hypervisor_timeout is -1/],
    [`default_gpus = ${MAX_GPUS + 1}`, /default_gpus is 257/],
    ['default_vcpus = -1', /default_vcpus is -1, all of this host/],
    ['default_memory = 1', /hypervisor\.remote\.default_memory is 1 MiB/],
    ['shared_fs = "virtio-fs"', /hypervisor\.remote\.shared_fs is "virtio-fs"; it must be one of none/],
    ['enable_annotations = ["("]', /hypervisor\.remote\.enable_annotations has "\("/],
    ['[runtime]\ninternetworking_model = "tcfilter"', /internetworking_model is "tcfilter"; it must be one of none/],
    ['[edge]\nagent = "mine"', /edge\.agent is "mine"; it must be one of kata, own/],
    ['[edge]\nagent_transport = "vsock"', /edge\.agent_transport is "vsock"/],
  ];
  for (const [text, said] of cases) {
    const { code, message } = await refusal(load(`[hypervisor.remote]\n${text}\n`));
    assert.is(code, 'invalid_argument', message);
    assert.match(message, said);
    assert.ok(message.startsWith(file), message);
  }
  const most = await load(`[hypervisor.remote]
remote_hypervisor_socket = "/${'x'.repeat(MAX_SOCKET_PATH_BYTES - 1)}"
remote_hypervisor_timeout = ${MAX_REMOTE_TIMEOUT_S}
default_gpus = ${MAX_GPUS}
default_vcpus = ${MAX_VCPUS}
`);
  assert.equal([most.remote?.timeoutMs, most.remote?.gpus, most.vcpus], [86_400_000, MAX_GPUS, MAX_VCPUS]);
});

async function apply(configuration: Configuration, annotations: Record<string, string>): Promise<Configuration> {
  const named = Object.entries(annotations).map(([rest, text]) => [`${CONFIG_PREFIX}hypervisor.${rest}`, text]);
  return (await annotate(configuration, Object.fromEntries(named))).configuration;
}

test('a pod says what it is to be made of, where that is enabled', async () => {
  const shipped = await load(
    '[hypervisor.remote]\nenable_annotations = ["machine_type", "default_memory", "default_vcpus", "image", "default_gpus", "gpu_model", "cc_init_data"]\n',
  );
  const result = await apply(shipped, {
    machine_type: 'large',
    image: 'podvm-2',
    default_vcpus: '12',
    default_memory: '32768',
    default_gpus: '1',
    // The shipped list has it without "default_".
    default_gpu_model: 'h100',
    cc_init_data: 'H4sI',
  });
  assert.equal([result.machineType, result.image], ['large', 'podvm-2']);
  assert.equal([result.vcpus, result.memoryMib], [12, 32_768]);
  assert.equal([result.remote?.gpus, result.remote?.gpuModel, result.remote?.initdata], [1, 'h100', 'H4sI']);
  assert.is(
    (await apply(shipped, { cc_init_data: 'x'.repeat(MAX_INITDATA_LENGTH) })).remote?.initdata.length,
    MAX_INITDATA_LENGTH,
  );
  for (const [name, text, said] of [
    ['image', 'x'.repeat(MAX_WORD_LENGTH + 1), /image has 1025 characters/],
    ['cc_init_data', 'x'.repeat(MAX_INITDATA_LENGTH + 1), /at most 1048576/],
    ['default_gpus', String(MAX_GPUS + 1), /default_gpus is "257"/],
    ['default_gpus', 'many', /default_gpus is "many"/],
    ['default_vcpus', '241', /from 0.001 to 240/],
  ] as const) {
    assert.match((await refusal(() => apply(shipped, { [name]: text }))).message, said);
  }
});

test('that the guest is to pull its images is said for the node, or by a pod', async () => {
  const plain = await load('[hypervisor.remote]\n');
  assert.is(plain.forceGuestPull, false);
  assert.is(
    (await load('[runtime]\nhypervisor_name = "remote"\nexperimental_force_guest_pull = true\n')).forceGuestPull,
    true,
  );
  const forced = await load('[hypervisor.remote]\n[runtime]\nexperimental = ["force_guest_pull"]\n');
  assert.is(forced.forceGuestPull, true);
  const name = `${CONFIG_PREFIX}runtime.experimental_force_guest_pull`;
  assert.is((await annotate(plain, { [name]: 'true' })).configuration.forceGuestPull, true);
  assert.is((await refusal(() => annotate(forced, { [name]: 'false' }))).code, 'permission_denied');
});

test('what is not enabled, or is for QEMU, is refused by name', async () => {
  const none = await load('[hypervisor.remote]\n');
  const refused = await refusal(() => apply(none, { image: 'podvm-2' }));
  assert.is(refused.code, 'permission_denied');
  assert.match(refused.message, /"image" to hypervisor\.remote\.enable_annotations/);
  const all = await load('[hypervisor.remote]\nenable_annotations = [".*"]\n');
  assert.is((await refusal(() => apply(all, { kernel: '/boot/x' }))).code, 'unimplemented');
});

test.run();
