/** The commands there are, in the order of the help text. */
import { check } from './check.ts';
import type { Command } from './command.ts';
import { completion } from './completion.ts';
import { directVolume } from './direct-volume.ts';
import { env } from './env.ts';
import { execCommand } from './exec.ts';
import { factory } from './factory.ts';
import { help } from './help-command.ts';
import { iptables } from './iptables.ts';
import { list } from './list.ts';
import { metrics } from './metrics.ts';
import { monitor } from './monitor.ts';
import { policy } from './policy.ts';
import { versionCommand } from './version-command.ts';

export const COMMANDS: readonly Command[] = [
  check,
  env,
  list,
  execCommand,
  metrics,
  directVolume,
  iptables,
  policy,
  factory,
  monitor,
  completion,
  versionCommand,
  help,
];
