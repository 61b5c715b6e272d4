/** Prometheus' own judge on what we say and ship: expositions, rules, configuration, and the dashboard's queries. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { CATALOGUE } from '../../../host/metrics/catalogue.ts';
import { Collector } from '../../../host/metrics/collect.ts';
import { Durations } from '../../../host/metrics/durations.ts';
import { MonitorLog } from '../../../host/monitor/log.ts';
import { Monitor } from '../../../host/monitor/monitor.ts';
import { finish } from '../../../setup/command.ts';
import { ROOT } from '../../../setup/paths.ts';
import { promtool } from '../../../setup/prometheus.ts';
import { KATAS_REMARKS, remarksOf } from '../../harness/promtool.ts';
import { FakeNode, TIMELINE } from '../monitor/fake-node.ts';

interface Target {
  readonly expr: string;
  readonly datasource: { readonly uid: string };
}

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly Target[];
}

const DASHBOARD = join(ROOT, 'deploy/grafana/kata-edge.json');
const RULES = join(ROOT, 'deploy/prometheus/rules.yml');
const CONFIG = join(ROOT, 'deploy/prometheus/prometheus.yml');
/** What Prometheus itself knows of a target, and what rules.yml records. */
const OTHERS = new Set(['up', 'kata:pod_memory_bytes']);
const LABELS = new Set([
  ...['sandbox_id', 'cri_uid', 'cri_name', 'cri_namespace', 'instance', 'job', 'le'],
  ...Object.values(CATALOGUE).flatMap((metrics) => metrics.flatMap(({ labels }) => labels)),
]);
const GUEST = [
  '# HELP kata_guest_load from the guest\n# TYPE kata_guest_load histogram',
  'kata_guest_load{item="load1"} 0.5',
  'kata_agent_scrape_count 3',
  'kata_guest_new_count 1',
  'kata_guest_evil{item="a\\"b\\\\c\\nd"} NaN',
  'process_open_fds 4',
].join('\n');

const test = suite<{ directory: string; tool: string }>('promtool');

test.before(async (context) => {
  context.directory = mkdtempSync(join(tmpdir(), 'kata-promtool-'));
  context.tool = await promtool();
});
test.after(({ directory }) => rmSync(directory, { recursive: true, force: true }));

const dashboard = JSON.parse(readFileSync(DASHBOARD, 'utf8')) as {
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly { readonly name: string; readonly type: string }[] };
  readonly schemaVersion: number;
  readonly uid: string;
};

test('what a node says is read, and only names that Kata chose are remarked on', async ({ tool }) => {
  const calls = new Durations();
  calls.record('create', 12);
  const self = { shim: process.pid, qemu: process.pid, virtiofsd: process.pid };
  const text = await new Collector({
    pids: () => self,
    timeline: () => TIMELINE,
    calls,
    agentCalls: () => calls,
    guestText: () => Promise.resolve(GUEST),
    containers: () => Promise.resolve({ cpu: 1e9, memory: 1e6 }),
  }).collect();
  const node = new FakeNode();
  try {
    for (let i = 0; i < 20; i++) await node.add(`s${i}`, () => text);
    const log = new MonitorLog('panic');
    const monitor = new Monitor({ runtimeEndpoint: '', log, places: node.places });
    const all = Buffer.concat([...(await monitor.metrics([]))].map((piece) => Buffer.from(piece))).toString();
    const ofGuests = 'kata_guest_new_count';
    const remarks = await remarksOf(tool, all);
    assert.equal(new Set(remarks), KATAS_REMARKS, `and none on ${ofGuests}, whose type is not known`);
  } finally {
    await node.close();
  }
});

test('rules and configuration are right', async ({ tool }) => {
  for (const words of [
    ['check', 'rules', RULES],
    ['check', 'config', CONFIG],
  ]) {
    const { code, stdout, stderr } = await finish([tool, ...words], { timeoutMs: 30_000 });
    assert.is(code, 0, stdout + stderr);
  }
});

test('rules and queries ask for what there is', () => {
  const queries = dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
  const rules = [...readFileSync(RULES, 'utf8').matchAll(/^ *expr: (?:>-\n)?(.*(?:\n {10,}.*)*)/gm)].map(
    ([, expr = '']) => expr,
  );
  assert.ok(queries.length >= 25 && rules.length >= 6, `${queries.length} ${rules.length}`);
  for (const query of [...queries, ...rules]) {
    const names = query.match(/\b(kata_[a-z0-9_]+|kata:[a-z_]+)\b/g) ?? [];
    assert.ok(names.length > 0 || query.includes('up{'), query);
    for (const name of names) assert.ok(isTold(name), `${name} in ${query}`);
    for (const [, label = ''] of query.matchAll(/([a-z_]+)\s*(?:=~|!~|!=|==?)\s*"/g))
      assert.ok(LABELS.has(label), `${label} in ${query}`);
    for (const [, list = ''] of query.matchAll(/\b(?:by|on) \(([^)]*)\)/g)) {
      for (const label of list.split(',')) assert.ok(LABELS.has(label.trim()), `${label} in ${query}`);
    }
  }
});

test('the dashboard’s queries are PromQL', async ({ tool, directory }) => {
  const rules = dashboard.panels
    .flatMap(({ targets = [] }) => targets)
    .map(({ expr }, i) => {
      const plain = expr.replace(/\$__rate_interval|\$__range/g, '5m').replace(/\$(namespace|pod)\b/g, '.*');
      assert.not.match(plain, /\$/);
      return `      - record: query:${i}\n        expr: ${JSON.stringify(plain)}\n`;
    });
  const file = join(directory, 'dashboard.yml');
  writeFileSync(file, `groups:\n  - name: dashboard\n    rules:\n${rules.join('')}`);
  const { code, stdout, stderr } = await finish([tool, 'check', 'rules', file], { timeoutMs: 30_000 });
  assert.is(code, 0, stdout + stderr);
});

test('the dashboard is one that Grafana takes: places, ids, data source', () => {
  const { panels, templating, schemaVersion, uid } = dashboard;
  assert.ok(schemaVersion >= 36 && uid.length > 0 && uid.length <= 40);
  assert.is(new Set(panels.map(({ id }) => id)).size, panels.length);
  const taken = new Set<string>();
  for (const {
    gridPos: { x, y, w, h },
    title,
    type,
  } of panels) {
    assert.ok(['row', 'stat', 'timeseries', 'table'].includes(type), title);
    assert.ok(x >= 0 && w > 0 && x + w <= 24 && h > 0, title);
    for (let column = x; column < x + w; column++) {
      for (let line = y; line < y + h; line++) {
        const cell = `${column},${line}`;
        assert.not.ok(taken.has(cell), `${title} lies on another panel`);
        taken.add(cell);
      }
    }
  }
  for (const { type, targets = [], title } of panels) {
    assert.is(targets.length > 0, type !== 'row', title);
    // biome-ignore lint/suspicious/noTemplateCurlyInString: Grafana's variable.
    for (const { datasource } of targets) assert.is(datasource.uid, '${datasource}', title);
  }
  assert.equal(
    templating.list.map(({ name, type }) => `${name} ${type}`),
    ['datasource datasource', 'namespace query', 'pod query'],
  );
});

test.run();

function isTold(name: string): boolean {
  const all = Object.values(CATALOGUE).flat();
  if (OTHERS.has(name)) return true;
  return all.some((metric) => {
    if (metric.type !== 'histogram') return metric.name === name;
    return ['_bucket', '_sum', '_count'].some((suffix) => metric.name + suffix === name);
  });
}
