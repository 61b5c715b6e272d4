/**
 * The trace of a pod's start: one span for the sandbox, below it one for each phase, and for the making and the start of each
 * container; the agent's calls below what they were made for. Sent in the background; nobody ever waits for it.
 */
import { hostname } from 'node:os';
import { reasonOf } from '../error.ts';
import { PHASES } from '../metrics/phases.ts';
import type { Timeline } from '../sandbox/timeline.ts';
import type { Trace } from '../sandbox/trace.ts';
import { type Attributes, KIND, newSpanId, newTraceId, type Span } from './span.ts';

/** Spans that wait to be sent; more are dropped. */
export const MAX_SPANS = 512;
/** How long spans gather before they are sent, ms: what a start leads to comes close behind it. */
export const GATHER_MS = 250;
/** Phases that are containers' have spans of their own. */
const SANDBOX_PHASES = ['shim', 'host', 'vmm', 'guest_boot', 'agent'] as const;
/** Calls that wait for something to happen. */
const WAITING = new Set(['WaitProcess', 'GetOOMEvent', 'WriteStdin']);

export interface Pod {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
}

export interface TraceOptions {
  readonly sandboxId: string;
  /** containerd's. */
  readonly namespace: string;
  readonly pod: Pod | undefined;
  readonly version: string;
  readonly timeline: Timeline;
  /** What the VM is, known when the root ends. */
  readonly send: (batch: { traceId: string; resource: Attributes; version: string; spans: readonly Span[] }) => void;
}

interface Call {
  readonly name: string;
  readonly began: number;
  readonly ended: number;
  readonly failure: string | undefined;
}

export class PodTrace implements Trace {
  readonly traceId = newTraceId();
  readonly #root = newSpanId();
  readonly #options: TraceOptions;
  readonly #spans: Span[] = [];
  /** Of the sandbox's start, until it has ended: only then is known which phase they were made in. */
  readonly #calls: Call[] = [];
  /** Steps that are under way, by container. */
  readonly #steps = new Map<string, string>();
  #dropped = 0;
  #ended = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: TraceOptions) {
    this.#options = options;
  }

  async container<T>(id: string, step: 'create' | 'start', owner: boolean, act: () => Promise<T>): Promise<T> {
    const span = newSpanId();
    const began = performance.now();
    this.#steps.set(id, span);
    let failure: string | undefined;
    try {
      return await act();
    } catch (thrown) {
      failure = reasonOf(thrown);
      throw thrown;
    } finally {
      if (this.#steps.get(id) === span) this.#steps.delete(id);
      const { sandboxId: sandbox } = this.#options;
      const attributes = { 'container.id': id, 'kata.sandbox.id': sandbox };
      this.#add({ ...this.#ends(`container ${step}`, span, this.#root, began, failure), attributes });
      if (owner && (step === 'start' || failure !== undefined)) this.started(failure);
    }
  }

  call(name: string, container: string, began: number, failure: unknown): void {
    if (WAITING.has(name)) return;
    const parent = this.#steps.get(container);
    if (parent === undefined && this.#ended) return;
    const text = failure === undefined ? undefined : reasonOf(failure);
    if (parent === undefined) {
      this.#calls.push({ name, began, ended: performance.now(), failure: text });
      if (this.#calls.length > MAX_SPANS) this.#calls.shift();
    } else this.#add(callSpan({ name, began, ended: performance.now(), failure: text }, parent));
  }

  started(failure?: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    const moments = this.#options.timeline.fields();
    const phases = this.#phases(moments);
    for (const span of phases) this.#add(span);
    for (const call of this.#calls.splice(0)) {
      this.#add(callSpan(call, phaseOf(call, phases)?.id ?? this.#root));
    }
    this.#add({
      ...this.#ends('sandbox start', this.#root, '', 0, failure === undefined ? undefined : reasonOf(failure)),
      kind: KIND.server,
      events: Object.entries(moments).map(([name, at]) => ({ name, at })),
    });
  }

  #phases(moments: Readonly<Record<string, number>>): Span[] {
    return SANDBOX_PHASES.flatMap((phase) => {
      const [from, to] = PHASES[phase];
      const began = moments[from];
      const ended = moments[to];
      if (began === undefined || ended === undefined || ended < began) return [];
      return [{ id: newSpanId(), parent: this.#root, name: phase, kind: KIND.internal, began, ended }];
    });
  }

  #ends(name: string, id: string, parent: string, began: number, failure: string | undefined): Span {
    return { id, parent, name, kind: KIND.internal, began, ended: performance.now(), failure };
  }

  #add(span: Span): void {
    if (this.#spans.length >= MAX_SPANS) this.#dropped++;
    else this.#spans.push(span);
    this.#timer ??= setTimeout(() => this.#flush(), GATHER_MS).unref();
  }

  #flush(): void {
    this.#timer = undefined;
    const spans = this.#spans.splice(0);
    const dropped = this.#dropped;
    this.#dropped = 0;
    const { send, version } = this.#options;
    send({ traceId: this.traceId, resource: this.#resource(dropped), version, spans });
  }

  #resource(dropped: number): Attributes {
    const { sandboxId, namespace, pod, version } = this.#options;
    return {
      'service.name': 'kata',
      'service.version': version,
      'service.instance.id': sandboxId,
      'host.name': hostname(),
      'process.pid': process.pid,
      'kata.sandbox.id': sandboxId,
      'containerd.namespace': namespace,
      'k8s.pod.name': pod?.name,
      'k8s.namespace.name': pod?.namespace,
      'k8s.pod.uid': pod?.uid,
      'kata.dropped_spans': dropped > 0 ? dropped : undefined,
    };
  }
}

/** Where most of a call lies: phases meet at rounded moments, so its begin alone may lie in the one before. */
function phaseOf(call: Call, phases: readonly Span[]): Span | undefined {
  const shared = ({ began, ended }: Span): number => Math.min(ended, call.ended) - Math.max(began, call.began);
  const [most] = phases.filter((phase) => shared(phase) > 0).sort((one, other) => shared(other) - shared(one));
  return most;
}

function callSpan({ name, began, ended, failure }: Call, parent: string): Span {
  const attributes = { 'rpc.system': 'ttrpc', 'rpc.service': 'grpc.AgentService', 'rpc.method': name };
  return { id: newSpanId(), parent, name, kind: KIND.client, began, ended, failure, attributes };
}
