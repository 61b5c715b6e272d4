/** `[agent.kata]`: what a guest is told by its kernel's command line, and what only Kata's guests understand. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  DEFAULT_HEALTH_TIMEOUT_MS,
  MAX_HEALTH_TIMEOUT_MS,
  MAX_PIPE_BYTES,
  MAX_POLICY_BYTES,
} from '../../../host/config/agent-params.ts';
import { annotate } from '../../../host/config/annotations.ts';
import { type Configuration, DEFAULT_DIAL_TIMEOUT_S, loadConfiguration } from '../../../host/config/configuration.ts';
import type { KataError } from '../../../host/error.ts';

const directory = mkdtempSync(join(tmpdir(), 'kata-agent-params-'));
for (const name of ['vmlinux', 'initramfs.cpio.gz']) writeFileSync(join(directory, name), 'x');
const image = join(directory, 'kata.img');
const disk = Buffer.alloc(1024);
disk.writeUInt16BE(0x55aa, 510);
writeFileSync(image, disk);
const file = join(directory, 'configuration.toml');
const MACHINE = { arch: 'x64', guest: directory, cpus: 4, memoryMib: 8192 };
const POLICY = Buffer.from('package agent_policy\ndefault ExecProcessRequest := false\n').toString('base64');
const ALL = `enable_debug = true
enable_tracing = true
cdh_api_timeout = 70
launch_process_timeout = 15
visible_cdi_devices = true
container_pipe_size = 65536
server_port = 2048
[agent.kata.mem_agent]
mem_agent_enable = true
memcg_swap = false
memcg_period_secs = 300
compact_force_times = 9223372036854775807
`;

const test = suite('[agent.kata]');
test.after(() => rmSync(directory, { recursive: true }));

function load(text: string): Promise<Configuration> {
  writeFileSync(file, text);
  return loadConfiguration(file, MACHINE);
}

function kata(text: string): Promise<Configuration> {
  return load(`[hypervisor.qemu]\nimage = "${image}"\n[agent.kata]\n${text}`);
}

function own(text: string): Promise<Configuration> {
  return load(`[agent.kata]\n${text}`);
}

async function refusal(loading: Promise<unknown>): Promise<KataError> {
  try {
    await loading;
  } catch (thrown) {
    return thrown as KataError;
  }
  throw new Error('accepted');
}

test('a guest is told nothing that holds anyway', async () => {
  for (const configuration of [await loadConfiguration(undefined, MACHINE), await kata(''), await own('')]) {
    assert.equal(configuration.agent, {
      params: '',
      port: 1024,
      healthTimeoutMs: DEFAULT_HEALTH_TIMEOUT_MS,
      policy: '',
    });
  }
});

test("a guest of Kata's is told all", async () => {
  const { agent, ignored } = await kata(ALL);
  assert.equal(agent.params.split(' '), [
    'agent.log=debug',
    'agent.server_addr=vsock://-1:2048',
    'agent.trace=true',
    'agent.container_pipe_size=65536',
    'agent.cdh_api_timeout=70',
    'agent.launch_process_timeout=15',
    'agent.visible_cdi_devices=true',
    'psi=1',
    'agent.mem_agent_enable=1',
    'agent.mem_agent_compact_force_times=9223372036854775807',
    'agent.mem_agent_memcg_period_secs=300',
    'agent.mem_agent_memcg_swap=0',
  ]);
  assert.is(agent.port, 2048);
  assert.equal(
    ignored.filter(({ table }) => table.startsWith('agent')),
    [],
  );
});

test('our own guest is told how much to log, and the rest is reported', async () => {
  const { agent, ignored } = await own(ALL);
  assert.is(agent.params, 'agent.log=debug');
  const told = ignored.filter(({ table }) => table.startsWith('agent')).map(({ key }) => key);
  for (const key of ['enable_tracing', 'cdh_api_timeout', 'visible_cdi_devices', 'server_port', 'memcg_swap']) {
    assert.ok(told.includes(key), key);
  }
  assert.not.ok(told.includes('enable_debug'));
});

test('how much the agent logs', async () => {
  for (const [text, params] of [
    ['log_level = "info"', ''],
    ['log_level = "trace"', 'agent.log=trace'],
    ['log_level = "error"', 'agent.log=error'],
    ['log_level = "error"\nenable_debug = true', 'agent.log=debug'],
    ['log_level = "trace"\nenable_debug = true', 'agent.log=trace'],
  ] as const) {
    assert.is((await own(text)).agent.params, params, text);
  }
  assert.match((await refusal(own('log_level = "loud"'))).message, /log_level is "loud"/);
});

test('times in milliseconds, and one after all as seconds', async () => {
  assert.is((await kata('cdh_api_timeout_ms = 50500')).agent.params, 'agent.cdh_api_timeout=51');
  assert.is((await own('health_check_request_timeout_ms = 5000')).agent.healthTimeoutMs, 5000);
  assert.is((await own(`health_check_request_timeout_ms = ${MAX_HEALTH_TIMEOUT_MS}`)).agent.healthTimeoutMs, 3_600_000);
  for (const text of [
    `health_check_request_timeout_ms = ${MAX_HEALTH_TIMEOUT_MS + 1}`,
    `container_pipe_size = ${MAX_PIPE_BYTES + 1}`,
    'server_port = 4294967296',
    'reconnect_timeout_ms = 86400001',
  ]) {
    assert.is((await refusal(own(text))).code, 'invalid_argument', text);
  }
});

test("runtime-rs's time to reach the agent only adds", async () => {
  const boot = async (text: string): Promise<number> => (await own(text)).bootTimeoutMs;
  assert.is(await boot('reconnect_timeout_ms = 3000'), DEFAULT_DIAL_TIMEOUT_S * 1000);
  assert.is(await boot('reconnect_timeout_ms = 1200000'), 1_200_000);
  assert.is(await boot('dial_timeout = 10\nreconnect_timeout_ms = 1200000'), 10_000);
});

test('a policy is for an agent that follows it; elsewhere no sandbox is made', async () => {
  assert.match((await kata(`policy = "${POLICY}"`)).agent.policy, /^package agent_policy\n/);
  const thrown = await refusal(own(`policy = "${POLICY}"`));
  assert.is(thrown.code, 'unimplemented');
  assert.match(
    thrown.message,
    /configuration\.toml:2: agent\.kata\.policy is set: our own guest's agent follows no policy/,
  );
  assert.not.ok(thrown.message.includes(POLICY));
  for (const policy of ['!', Buffer.from([0xff, 0xfe]).toString('base64'), 'A'.repeat(2 * MAX_POLICY_BYTES)]) {
    assert.is((await refusal(kata(`policy = "${policy}"`))).code, 'invalid_argument', policy.slice(0, 9));
  }
});

test("a pod's policy reaches the agent, or the pod is refused", async () => {
  const name = 'io.katacontainers.config.agent.policy';
  const { configuration } = await annotate(await kata(''), { [name]: POLICY });
  assert.match(configuration.agent.policy, /^package agent_policy\n/);
  const thrown = await refusal(annotate(await own(''), { [name]: POLICY }));
  assert.is(thrown.code, 'unimplemented');
  assert.ok(thrown.message.startsWith(`annotation ${name}: `), thrown.message);
});

test("nothing of a pod's is on the command line of our own guest", async () => {
  const annotations = {
    'io.katacontainers.config.agent.enable_tracing': 'true',
    'io.katacontainers.config.agent.container_pipe_size': '65536',
    'io.katacontainers.config.agent.cdh_api_timeout': '70',
  };
  const { configuration, ignored } = await annotate(await own(''), annotations);
  assert.is(configuration.agent.params, '');
  assert.equal(ignored.map(({ name }) => name).sort(), Object.keys(annotations).sort());
  const heard = await annotate(await kata(''), annotations);
  assert.equal(heard.ignored, []);
  assert.is(
    heard.configuration.agent.params,
    'agent.trace=true agent.container_pipe_size=65536 agent.cdh_api_timeout=70',
  );
});

test('a machine elsewhere has a command line of its own', async () => {
  const { ignored } = await load(`[hypervisor.remote]\n[agent.kata]\n${ALL}`);
  const told = ignored.filter(({ table }) => table.startsWith('agent')).map(({ key }) => key);
  for (const key of ['enable_debug', 'enable_tracing', 'memcg_swap']) assert.ok(told.includes(key), key);
});

test.run();
