/**
 * Spans, and how OTLP has them in JSON: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding, ids in hexadecimal,
 * 64-bit numbers as text.
 */
import { randomBytes } from 'node:crypto';
import { escapeText } from '../tail.ts';

/** Bytes of a trace's id, and of a span's. */
export const TRACE_ID_BYTES = 16;
export const SPAN_ID_BYTES = 8;
/** Longest text of an attribute or status, characters: some of it is the guest's. */
export const MAX_TEXT = 1024;

/** Numbers of opentelemetry.proto.trace.v1.Span.SpanKind. */
export const KIND = { internal: 1, server: 2, client: 3 } as const;
/** Number of opentelemetry.proto.trace.v1.Status.StatusCode. */
const STATUS_ERROR = 2;

export type Attributes = Readonly<Record<string, string | number | boolean | undefined>>;

export interface Span {
  readonly id: string;
  /** Empty: it is the root. */
  readonly parent: string;
  readonly name: string;
  readonly kind: (typeof KIND)[keyof typeof KIND];
  /** Milliseconds by performance.now(). */
  readonly began: number;
  readonly ended: number;
  readonly attributes?: Attributes;
  readonly events?: readonly { readonly name: string; readonly at: number }[];
  /** What went wrong; undefined: nothing. */
  readonly failure?: string | undefined;
}

export interface Batch {
  readonly traceId: string;
  readonly resource: Attributes;
  readonly version: string;
  readonly spans: readonly Span[];
}

export function newTraceId(): string {
  return randomBytes(TRACE_ID_BYTES).toString('hex');
}

export function newSpanId(): string {
  return randomBytes(SPAN_ID_BYTES).toString('hex');
}

/**
 * An ExportTraceServiceRequest.
 * @param origin milliseconds since the epoch at which performance.now() was 0
 */
export function exportRequest(batch: Batch, origin: number = performance.timeOrigin): string {
  const spans = batch.spans.map((span) => ({
    traceId: batch.traceId,
    spanId: span.id,
    ...(span.parent ? { parentSpanId: span.parent } : {}),
    name: text(span.name),
    kind: span.kind,
    startTimeUnixNano: nanoseconds(origin + span.began),
    endTimeUnixNano: nanoseconds(origin + Math.max(span.began, span.ended)),
    attributes: list(span.attributes ?? {}),
    ...(span.events
      ? { events: span.events.map(({ name, at }) => ({ timeUnixNano: nanoseconds(origin + at), name: text(name) })) }
      : {}),
    status: span.failure === undefined ? {} : { code: STATUS_ERROR, message: text(span.failure) },
  }));
  return JSON.stringify({
    resourceSpans: [
      {
        resource: { attributes: list(batch.resource) },
        scopeSpans: [{ scope: { name: 'kata-edge', version: batch.version }, spans }],
      },
    ],
  });
}

/** Microseconds are all a double has room for. */
function nanoseconds(milliseconds: number): string {
  return `${Math.round(milliseconds * 1000)}000`;
}

function list(attributes: Attributes): unknown[] {
  return Object.entries(attributes)
    .filter(([, value]) => value !== undefined && value !== '')
    .map(([key, value]) => ({ key, value: anyValue(value as string | number | boolean) }));
}

function anyValue(value: string | number | boolean): unknown {
  if (typeof value === 'string') return { stringValue: text(value) };
  if (typeof value === 'boolean') return { boolValue: value };
  return Number.isInteger(value) ? { intValue: String(value) } : { doubleValue: value };
}

function text(value: string): string {
  const escaped = escapeText(value.slice(0, MAX_TEXT));
  return escaped.length > MAX_TEXT ? escaped.slice(0, MAX_TEXT) : escaped;
}
