/** `metrics SANDBOX`: what Prometheus would be told of it. */
import type { Call } from './call.ts';
import type { Command } from './command.ts';

/** Largest text, bytes. */
const MAX_METRICS_BYTES = 16 * 1024 * 1024;

export const metrics: Command = {
  name: 'metrics',
  summary: "print a sandbox's metrics: of shim, QEMU, virtiofsd, agent and guest",
  description: ['The text is what kata-monitor collects from every sandbox and serves to Prometheus.'],
  operands: [
    { name: 'SANDBOX', kind: 'sandbox', summary: "id, beginning of it, or the pod's name ([NAMESPACE/]NAME)" },
  ],
  examples: [
    ['metrics 2f8a', 'of the sandbox whose id begins with 2f8a'],
    ['{program} metrics default/nginx | grep ^kata_hypervisor_', "of a pod's QEMU"],
  ],
  run,
};

async function run(call: Call): Promise<number> {
  const { ask, sandboxNamed } = await import('./sandbox.ts');
  const record = sandboxNamed(call, call.words[0] ?? '');
  const text = await ask(record, { method: 'GET', path: '/metrics', maxBytes: MAX_METRICS_BYTES });
  call.output.write(text.toString('utf8'));
  return 0;
}
