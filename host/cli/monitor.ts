/** `monitor [ADDRESS]`: kata-monitor, as kata-ctl starts it. */
import type { Command } from './command.ts';

const DEFAULT_ADDRESS = '127.0.0.1:8090';

export const monitor: Command = {
  name: 'monitor',
  summary: 'serve the metrics of all sandboxes of this node to Prometheus, as kata-monitor does',
  description: [
    'Runs until it gets SIGTERM or SIGINT. kata-monitor --help tells what it answers, and has more options.',
  ],
  operands: [{ name: 'ADDRESS', optional: true, summary: `where to listen (default ${DEFAULT_ADDRESS})` }],
  examples: [['monitor 127.0.0.1:9090', 'on another port']],
  run: async ({ words: [address = DEFAULT_ADDRESS], version }) => {
    const { run } = await import('../monitor/run.ts');
    return (await run(['-listen-address', address], version)) === 0 ? 0 : 1;
  },
};
