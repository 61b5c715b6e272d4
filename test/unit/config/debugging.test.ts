/** What an operator looks into a pod by: read from the file, checked, and never a pod's choice. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Configuration, loadConfiguration, reconfigure, thisMachine } from '../../../host/config/configuration.ts';
import { kernelParamsFor } from '../../../host/config/debugging.ts';
import type { Origin } from '../../../host/config/files.ts';
import { ROOT } from '../../../setup/paths.ts';

const debugging = suite('debugging in the configuration');
const directory = mkdtempSync(join(tmpdir(), 'kata-debugging-'));
debugging.after(() => rmSync(directory, { recursive: true }));
let serial = 0;

function read(text: string): Promise<Configuration> {
  const file = join(directory, `${serial++}.toml`);
  writeFileSync(file, text, { mode: 0o600 });
  return loadConfiguration(file, thisMachine(join(ROOT, 'build/lib')));
}

async function refusal(text: string): Promise<string> {
  return read(text).then(
    () => 'it was taken',
    (thrown) => (thrown as Error).message,
  );
}

debugging('nothing is on by default', async () => {
  const { debugging: found } = await loadConfiguration(undefined, thisMachine(join(ROOT, 'build/lib')));
  assert.equal(found, {
    debugConsole: false,
    consoleLog: false,
    logLevel: 'info',
    logTargets: ['fifo'],
    traces: undefined,
    notices: [],
  });
});

debugging('the debug console: by its key, or by the kernel parameter as of old', async () => {
  assert.is((await read('[agent.kata]\ndebug_console_enabled = true')).debugging.debugConsole, true);
  const params = (text: string) => read(`[hypervisor.qemu]\nkernel_params = "${text}"`);
  assert.is((await params('quiet agent.debug_console')).debugging.debugConsole, true);
  for (const text of ['agent.debug_console=0', 'agent.debug_console_vport=1026', 'xagent.debug_console']) {
    assert.is((await params(text)).debugging.debugConsole, false, text);
  }
});

debugging("a pod's annotations have no part in it", async () => {
  const base = await read('[hypervisor.qemu]\nenable_annotations = [".*"]');
  const origin = (value: boolean | string): Origin => ({ value, file: 'annotation' });
  const overlaid = reconfigure(
    base,
    new Map<string, Map<string, Origin>>([
      ['agent.kata', new Map([['debug_console_enabled', origin(true)]])],
      [
        'hypervisor.qemu',
        new Map([['kernel_params', origin('agent.debug_console agent.debug_console_vport=1026 x=1')]]),
      ],
    ]),
  );
  assert.is(overlaid.debugging.debugConsole, false);
  assert.is(kernelParamsFor(overlaid.kernelParams, false, 0), 'x=1');
});

debugging("the guest's command line says what the operator says", () => {
  assert.is(kernelParamsFor('', false, 0), '');
  assert.is(kernelParamsFor(' a  b ', false, 1026), 'a b');
  assert.is(kernelParamsFor('a', true, 0), 'a agent.debug_console');
  assert.is(kernelParamsFor('a', true, 1026), 'a agent.debug_console agent.debug_console_vport=1026');
  assert.is(
    kernelParamsFor('agent.debug_console agent.debug_console_vport=7', true, 1026),
    'agent.debug_console agent.debug_console_vport=7',
  );
  assert.is(
    kernelParamsFor('agent.debug_console agent.debug_console=1 agent.debug_consoles', false, 0),
    'agent.debug_consoles',
  );
});

debugging('levels and targets of the log', async () => {
  for (const [set, level] of [
    ['trace', 'debug'],
    ['debug', 'debug'],
    ['info', 'info'],
    ['warn', 'warning'],
    ['error', 'error'],
    ['critical', 'error'],
    ['', 'info'],
  ]) {
    assert.is((await read(`[runtime]\nlog_level = "${set}"`)).debugging.logLevel, level);
  }
  assert.is((await read('[runtime]\nlog_level = "error"\nenable_debug = true')).debugging.logLevel, 'debug');
  assert.match(await refusal('[runtime]\nlog_level = "loud"'), /log_level/);
  const targets = async (text: string) => (await read(`[edge]\nlog_targets = ${text}`)).debugging.logTargets;
  assert.equal(await targets('[]'), ['fifo']);
  assert.equal(await targets('["journald", "fifo", "journald"]'), ['journald', 'fifo']);
  assert.equal(await targets('["syslog"]'), ['syslog']);
  assert.match(await refusal('[edge]\nlog_targets = ["journal"]'), /log_targets.*journal.*fifo, journald, syslog/);
});

debugging("the guest's console is logged with enable_debug, unless that is said otherwise", async () => {
  const of = async (text: string) => (await read(text)).debugging.consoleLog;
  assert.is(await of('[hypervisor.qemu]\nenable_debug = true'), true);
  assert.is(await of('[hypervisor.qemu]\nenable_debug = true\n[edge]\nconsole_log = false'), false);
  assert.is(await of('[edge]\nconsole_log = true'), true);
  assert.is(await of('[runtime]\nenable_debug = true'), false);
});

debugging('traces', async () => {
  const of = async (text: string) => (await read(`[runtime]\nenable_tracing = true\n${text}`)).debugging;
  assert.is((await read('[edge]\notlp_endpoint = "http://x:4318"')).debugging.traces, undefined);
  assert.is((await of('')).traces, '');
  assert.is((await of('[edge]\notlp_endpoint = "http://x:4318"')).traces, 'http://x:4318/v1/traces');
  assert.is((await of('[edge]\notlp_endpoint = "https://x/otlp/"')).traces, 'https://x/otlp/v1/traces');
  assert.is((await of('[edge]\notlp_endpoint = "http://x/v1/traces"')).traces, 'http://x/v1/traces');
  assert.is((await of('jaeger_endpoint = "http://j:4318/v1/traces"')).traces, 'http://j:4318/v1/traces');
  assert.is(
    (await of('jaeger_endpoint = "http://j/v1/traces"\n[edge]\notlp_endpoint = "http://x"')).traces,
    'http://x/v1/traces',
  );
  const jaeger = await of('jaeger_endpoint = "http://j:14268/api/traces"');
  assert.is(jaeger.traces, '');
  assert.match(jaeger.notices.join(), /jaeger_endpoint.*not followed.*edge\.otlp_endpoint/);
  for (const bad of ['localhost:4318', 'ftp://x', 'x']) {
    assert.match(
      await refusal(`[runtime]\nenable_tracing = true\n[edge]\notlp_endpoint = "${bad}"`),
      /otlp_endpoint.*URL/,
    );
  }
});

debugging.run();
