/** `list`: the sandboxes of this node and their containers. */
import type { Call } from './call.ts';
import type { Command } from './command.ts';
import { table } from './output.ts';
import type { ContainerReport, SandboxReport } from './sandbox-report.ts';

/** Characters of an id in a table: as containerd's and Kubernetes' tools show them. */
export const SHORT_ID = 13;
/** Ids of that form are shortened; others are names that somebody gave. */
const GENERATED_ID = /^[0-9a-f]{64}$/;
/** Sandboxes that are asked at a time. */
const AT_A_TIME = 16;
const MIB = 1024 * 1024;

export const list: Command = {
  name: 'list',
  aliases: ['ls', 'ps'],
  summary: 'list the sandboxes of this node and their containers',
  description: [
    'MEMORY is what the sandbox takes of the host: the shares (PSS) of its shim, of QEMU (which has all memory that the guest uses) and of virtiofsd. STATE is what the shim says; "dead" is a sandbox whose shim has ended (containerd removes it when it notices, at the latest at its next start), and "unknown" one whose shim does not answer within a second.',
    'Containers stand below their sandbox. The first of a pod is usually its pause container.',
  ],
  options: [
    { name: 'quiet', letter: 'q', summary: 'ids of sandboxes only, one a line' },
    { name: 'json', summary: 'everything, as JSON' },
    { name: 'no-trunc', summary: 'do not shorten ids' },
  ],
  examples: [
    ['list', 'what runs here'],
    ["{program} list --json | jq -r '.[] | [.id, .memoryBytes] | @tsv'", 'ids and memory'],
  ],
  run,
};

async function run(call: Call): Promise<number> {
  const { sandboxes } = await import('./sandbox.ts');
  const records = sandboxes(call);
  const { output } = call;
  if (call.flag('quiet')) {
    for (const { state } of records) output.line(state.id);
    return 0;
  }
  const { reportOf } = await import('./sandbox-report.ts');
  const reports: SandboxReport[] = [];
  for (let at = 0; at < records.length; at += AT_A_TIME) {
    reports.push(...(await Promise.all(records.slice(at, at + AT_A_TIME).map(reportOf))));
  }
  if (call.flag('json')) output.json(reports.map((report) => jsonOf(report)));
  else output.write(listText(reports, Date.now(), call.flag('no-trunc')));
  return 0;
}

/** @param now milliseconds since the epoch */
export function listText(reports: readonly SandboxReport[], now: number, whole: boolean): string {
  const rows = [['SANDBOX', 'POD', 'STATE', 'UPTIME', 'MEMORY', 'ACCEL', 'PIDS']];
  for (const report of reports) {
    const { id, pod, state, createdAt, memoryBytes, accelerator, pids } = report;
    rows.push([
      shown(id, whole),
      pod?.name ? `${pod.namespace}/${pod.name}` : '-',
      state,
      age(createdAt, now),
      memoryBytes === undefined ? '-' : `${Math.round(memoryBytes / MIB)} MiB`,
      accelerator || '-',
      Object.entries(pids)
        .map(([name, pid]) => `${name} ${pid}`)
        .join(', ') || '-',
    ]);
    for (const container of report.containers) rows.push(containerRow(container, now, whole));
  }
  return table(rows);
}

function containerRow(
  { id, name, state, createdAt, processes }: ContainerReport,
  now: number,
  whole: boolean,
): string[] {
  const told = processes === undefined ? '-' : `${processes} ${processes === 1 ? 'process' : 'processes'}`;
  return [`  ${shown(id, whole)}`, name || '-', state || '-', age(createdAt, now), '-', '-', told];
}

function jsonOf({ createdAt, ...report }: SandboxReport): Record<string, unknown> {
  const uptimeSeconds = createdAt === 0 ? null : Math.max(0, Math.round((Date.now() - createdAt) / 1000));
  // Every name is always there, so that scripts find it.
  return {
    ...report,
    createdAt,
    uptimeSeconds,
    pod: report.pod ?? null,
    memoryBytes: report.memoryBytes ?? null,
    vcpus: report.vcpus ?? null,
    guestMemoryMib: report.guestMemoryMib ?? null,
  };
}

function shown(id: string, whole: boolean): string {
  return whole || !GENERATED_ID.test(id) ? id : id.slice(0, SHORT_ID);
}

/** As kubectl writes ages: 42s, 5m, 3h, 12d. */
export function age(from: number, now: number): string {
  if (from === 0) return '-';
  const seconds = Math.max(0, Math.floor((now - from) / 1000));
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 120 * 60) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}
