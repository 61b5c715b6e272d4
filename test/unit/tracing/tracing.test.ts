/** Traces: valid OTLP, sent to a collector that is there, absent, slow or broken; nobody waits for it. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { DEFAULT_OTLP_ENDPOINT, tracesUrl } from '../../../host/config/debugging.ts';
import type { Fields, Log } from '../../../host/sandbox/log.ts';
import { Timeline } from '../../../host/sandbox/timeline.ts';
import { MAX_SPANS, PodTrace } from '../../../host/tracing/pod-trace.ts';
import { MAX_BATCHES, TraceSender } from '../../../host/tracing/sender.ts';
import {
  type Batch,
  exportRequest,
  KIND,
  MAX_TEXT,
  newSpanId,
  newTraceId,
  type Span,
} from '../../../host/tracing/span.ts';
import { startTrace } from '../../../host/tracing/start.ts';

interface SentSpan {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
  kind: number;
  startTimeUnixNano: string;
  endTimeUnixNano: string;
  attributes: { key: string; value: Record<string, unknown> }[];
  events?: { name: string; timeUnixNano: string }[];
  status: { code?: number; message?: string };
}

const traces = suite('traces');
const servers: Server[] = [];
let hold: NodeJS.Timeout;

// What sends keeps no process.
traces.before(() => {
  hold = setInterval(() => {}, 1000);
});
traces.after(() => clearInterval(hold));
traces.after.each(() => {
  for (const server of servers.splice(0)) {
    server.close();
    server.closeAllConnections();
  }
});

class Kept implements Log {
  readonly warnings: [string, Fields][] = [];
  debug(): void {}
  info(): void {}
  warn(message: string, fields: Fields = {}): void {
    this.warnings.push([message, fields]);
  }
  error(): void {}
}

/** A collector; what it got. */
async function collector(
  answer: (response: ServerResponse, count: number) => void = (response) => void response.end('{}'),
): Promise<{ url: string; got: { request: IncomingMessage; body: string }[] }> {
  const got: { request: IncomingMessage; body: string }[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8');
    request.on('data', (part) => (body += part));
    request.on('end', () => {
      got.push({ request, body });
      answer(response, got.length);
    });
  });
  servers.push(server);
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, got };
}

function spansOf(body: string): SentSpan[] {
  return JSON.parse(body).resourceSpans[0].scopeSpans[0].spans;
}

function batch(): Batch {
  const span = { id: newSpanId(), parent: '', name: 'x', kind: KIND.internal, began: 1, ended: 2 };
  return { traceId: newTraceId(), resource: {}, version: '1', spans: [span] };
}

async function until(done: () => boolean): Promise<void> {
  while (!done()) await sleep(5);
}

/** A pod's start as the sandbox tells of it. */
async function startPod(trace: PodTrace, timeline: Timeline): Promise<void> {
  for (const moment of ['create', 'vm_start', 'guest_start', 'agent_ready'] as const) {
    await sleep(2);
    timeline.mark(moment);
  }
  const began = performance.now();
  await sleep(2);
  trace.call('CreateSandbox', '', began, undefined);
  timeline.mark('sandbox_created');
  await trace.container('pause', 'create', true, async () => {
    const asked = performance.now();
    await sleep(2);
    trace.call('CreateContainer', 'pause', asked, undefined);
  });
  await trace.container('pause', 'start', true, async () => {
    const asked = performance.now();
    await sleep(2);
    trace.call('StartContainer', 'pause', asked, undefined);
  });
}

traces('a call that begins in the same tenth of a millisecond as its phase belongs to it', async () => {
  const sent: readonly Span[][] = [];
  // Rounded, guest_boot ends at 30.1: after the call has begun.
  const moments = { guest_start: 10, agent_ready: 30.1, sandbox_created: 40 };
  const timeline = { fields: () => moments } as unknown as Timeline;
  const about = { sandboxId: 's', namespace: 'n', pod: undefined, version: '1', timeline };
  const trace = new PodTrace({ ...about, send: ({ spans }) => (sent as Span[][]).push([...spans]) });
  const now = performance.now;
  performance.now = () => 39;
  trace.call('CreateSandbox', '', 30.06, undefined);
  performance.now = () => 41;
  trace.started();
  performance.now = now;
  await until(() => sent.length === 1);
  const spans = sent[0] as readonly Span[];
  const call = spans.find(({ name }) => name === 'CreateSandbox');
  assert.is(spans.find(({ id }) => id === call?.parent)?.name, 'agent');
});

traces('a pod: ids, parents, times, attributes', async () => {
  const { url, got } = await collector();
  const timeline = new Timeline();
  const log = new Kept();
  const pod = { name: 'web', namespace: 'default', uid: 'u-1' };
  const about = { sandboxId: 'sandbox1', namespace: 'k8s.io', pod, version: '1.2.3', timeline };
  const trace = startTrace(`${url}/v1/traces`, {}, about, log) as PodTrace;
  await startPod(trace, timeline);
  await until(() => got.length === 1);
  const { request, body } = got[0] as { request: IncomingMessage; body: string };
  assert.is(request.method, 'POST');
  assert.is(request.url, '/v1/traces');
  assert.is(request.headers['content-type'], 'application/json');
  const spans = spansOf(body);
  const names = spans.map(({ name }) => name).sort();
  assert.equal(names, [
    ...['CreateContainer', 'CreateSandbox', 'StartContainer', 'agent', 'container create', 'container start'],
    ...['guest_boot', 'host', 'sandbox start', 'shim', 'vmm'],
  ]);
  const byId = new Map(spans.map((span) => [span.spanId, span]));
  assert.is(byId.size, spans.length);
  const named = (name: string) => spans.find((span) => span.name === name) as SentSpan;
  const root = named('sandbox start');
  assert.is(root.parentSpanId, undefined);
  for (const span of spans) {
    assert.match(span.traceId, /^[0-9a-f]{32}$/);
    assert.is(span.traceId, root.traceId);
    assert.match(span.spanId, /^[0-9a-f]{16}$/);
    assert.match(span.startTimeUnixNano, /^\d{19}$/);
    assert.match(span.endTimeUnixNano, /^\d{19}$/);
    const [began, ended] = [BigInt(span.startTimeUnixNano), BigInt(span.endTimeUnixNano)];
    assert.ok(began <= ended, span.name);
    if (span === root) continue;
    const parent = byId.get(span.parentSpanId ?? '') as SentSpan;
    assert.ok(parent, `${span.name} has a parent`);
    // The phases are rounded to tenths of a millisecond.
    const slack = 200_000n;
    assert.ok(BigInt(parent.startTimeUnixNano) - slack <= began, `${span.name} begins within ${parent.name}`);
    assert.ok(ended <= BigInt(parent.endTimeUnixNano) + slack, `${span.name} ends within ${parent.name}`);
  }
  assert.is(byId.get(named('CreateSandbox').parentSpanId as string)?.name, 'agent');
  assert.is(byId.get(named('CreateContainer').parentSpanId as string)?.name, 'container create');
  assert.is(byId.get(named('StartContainer').parentSpanId as string)?.name, 'container start');
  for (const name of ['container create', 'container start', 'shim', 'vmm']) {
    assert.is(named(name).parentSpanId, root.spanId);
  }
  assert.ok(Math.abs(Number(BigInt(root.endTimeUnixNano) / 1_000_000n) - Date.now()) < 60_000);
  const resource = JSON.parse(body).resourceSpans[0].resource.attributes as SentSpan['attributes'];
  const value = (key: string) => resource.find((each) => each.key === key)?.value;
  assert.equal(value('service.name'), { stringValue: 'kata' });
  assert.equal(value('kata.sandbox.id'), { stringValue: 'sandbox1' });
  assert.equal(value('k8s.pod.name'), { stringValue: 'web' });
  assert.equal(value('k8s.namespace.name'), { stringValue: 'default' });
  assert.equal(value('process.pid'), { intValue: String(process.pid) });
  assert.ok((root.events?.length ?? 0) >= 6);
  // Containers that come later are of the same trace.
  await trace.container('app', 'create', false, () => sleep(1));
  trace.call('StatsContainer', 'app', performance.now(), undefined);
  await until(() => got.length === 2);
  const later = spansOf((got[1] as { body: string }).body);
  assert.equal(
    later.map(({ name, traceId, parentSpanId }) => [name, traceId, parentSpanId]),
    [['container create', root.traceId, root.spanId]],
  );
  assert.equal(log.warnings, []);
});

traces('what fails is told, and thrown as it was', async () => {
  const sent: Batch[] = [];
  const about = { sandboxId: 's', namespace: 'n', pod: undefined, version: '1', timeline: new Timeline() };
  const trace = new PodTrace({ ...about, send: (each) => void sent.push(each) });
  const error = new Error(`no \u001b[31mimage ${'x'.repeat(5000)}`);
  const thrown = await trace
    .container('c', 'create', true, async () => {
      trace.call('CreateContainer', 'c', performance.now(), error);
      throw error;
    })
    .catch((each) => each);
  assert.is(thrown, error);
  await until(() => sent.length === 1);
  const spans = spansOf(exportRequest(sent[0] as Batch));
  const failed = spans.filter(({ status }) => status.code === 2);
  assert.equal(failed.map(({ name }) => name).sort(), ['CreateContainer', 'container create', 'sandbox start']);
  for (const { status } of failed) {
    assert.ok((status.message as string).length <= MAX_TEXT);
    assert.ok((status.message as string).startsWith('no \\x1b[31mimage'));
  }
});

traces('memory is bounded', async () => {
  const sent: Batch[] = [];
  const about = { sandboxId: 's', namespace: 'n', pod: undefined, version: '1', timeline: new Timeline() };
  const trace = new PodTrace({ ...about, send: (each) => void sent.push(each) });
  for (let i = 0; i < 3 * MAX_SPANS; i++) trace.call('UpdateInterface', '', performance.now(), undefined);
  trace.started();
  for (let i = 0; i < 3 * MAX_SPANS; i++) await trace.container(`c${i}`, 'create', false, async () => {});
  await until(() => sent.length === 1);
  assert.is(sent[0]?.spans.length, MAX_SPANS);
  assert.ok((sent[0]?.resource['kata.dropped_spans'] as number) >= 3 * MAX_SPANS);
});

traces('one further attempt where it makes sense', async () => {
  for (const [statuses, attempts, told] of [
    [[200], 1, 0],
    [[500, 200], 2, 0],
    [[503, 503, 200], 2, 1],
    [[400, 200], 1, 1],
  ] as const) {
    const { url, got } = await collector((response, count) => {
      response.statusCode = statuses[count - 1] ?? 200;
      response.end();
    });
    const log = new Kept();
    const sender = new TraceSender({ url, log, retryMs: 1 });
    sender.send(batch());
    await sender.idle;
    assert.is(got.length, attempts, statuses.join());
    assert.is(log.warnings.length, told, statuses.join());
  }
});

traces('a collector that is absent, silent, or answers without an end: told once', async () => {
  const silent = await collector(() => {});
  const endless = await collector((response) => {
    response.writeHead(200);
    const timer = setInterval(() => response.write('x'.repeat(65_536)), 1);
    response.on('close', () => clearInterval(timer));
  });
  const gone = await collector();
  const [server] = servers.splice(-1);
  await new Promise((done) => server?.close(done));
  for (const [{ url }, told] of [
    [silent, 1],
    [gone, 1],
    [endless, 0],
  ] as const) {
    const log = new Kept();
    const sender = new TraceSender({ url, log, retryMs: 1, attemptMs: 100 });
    for (let i = 0; i < 3; i++) sender.send(batch());
    await sender.idle;
    assert.is(log.warnings.length, told, url);
    if (told > 0) assert.is(log.warnings[0]?.[1].endpoint, `${url}/`);
  }
});

traces('batches that cannot leave are dropped, not kept', async () => {
  const { url, got } = await collector(() => {});
  const log = new Kept();
  const sender = new TraceSender({ url, log, retryMs: 1, attemptMs: 100 });
  for (let i = 0; i < 100; i++) sender.send(batch());
  await sender.idle;
  assert.is(got.length, 2 * MAX_BATCHES);
});

traces('a secret in the URL is not logged', async () => {
  const log = new Kept();
  const sender = new TraceSender({ url: 'http://user:secret@127.0.0.1:1/v1/traces?token=secret', log, retryMs: 1 });
  sender.send(batch());
  await sender.idle;
  assert.not.match(JSON.stringify(log.warnings), /secret/);
});

traces('where they go: the configuration, the environment, the usual place', () => {
  const usual = `${DEFAULT_OTLP_ENDPOINT}/v1/traces`;
  assert.is(tracesUrl('', {}), usual);
  assert.is(tracesUrl('', { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://otel:4318/' }), 'http://otel:4318/v1/traces');
  assert.is(tracesUrl('', { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://x/y' }), 'http://x/y');
  assert.is(tracesUrl('http://a/v1/traces', { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://b' }), 'http://a/v1/traces');
  const log = new Kept();
  const about = { sandboxId: 's', namespace: 'n', pod: undefined, version: '1', timeline: new Timeline() };
  for (const bad of ['nonsense', 'ftp://x', 'http://']) {
    assert.is(startTrace('', { OTEL_EXPORTER_OTLP_ENDPOINT: bad }, about, log), undefined);
    assert.is(startTrace('', { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: bad }, about, log), undefined);
  }
  assert.is(log.warnings.length, 6);
});

traces.run();
