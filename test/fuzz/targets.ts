/** All fuzz targets by name; each is made when it is asked for. */
import type { Target } from './target.ts';
import { agentTarget } from './targets/agent.ts';
import { clientTarget } from './targets/client.ts';
import { codecTarget } from './targets/codec.ts';
import { configTarget } from './targets/config.ts';
import { consoleTarget } from './targets/console.ts';
import { metricsTarget } from './targets/metrics.ts';
import { ociTarget } from './targets/oci.ts';
import { outputTarget } from './targets/output.ts';
import { scanTarget } from './targets/scan.ts';
import { serverTarget } from './targets/server.ts';
import { tomlTarget } from './targets/toml.ts';
import { writeTarget } from './targets/write.ts';

export const TARGETS: Readonly<Record<string, () => Target | Promise<Target>>> = {
  scan: scanTarget,
  write: writeTarget,
  output: outputTarget,
  oci: ociTarget,
  config: configTarget,
  codec: codecTarget,
  server: serverTarget,
  client: clientTarget,
  agent: agentTarget,
  console: consoleTarget,
  metrics: metricsTarget,
  toml: tomlTarget,
};
