/** `GET /metrics`: what Prometheus is told. */
import { setFlagsFromString } from 'node:v8';
import { Collector } from '../metrics/collect.ts';
import { CONTENT_TYPE } from '../metrics/family.ts';
import { sourceOf } from '../metrics/source.ts';
import type { Managed } from '../shim/boot.ts';
import type { Route } from './route.ts';

/**
 * A shim that is scraped makes half a megabyte of short-lived strings each time, for which V8 would make its young generation grow to
 * 16 MiB. Kept as small as it begins, sixty scrapes cost a pod 2 MiB of private memory instead of 9.
 */
const KEEP_YOUNG_GENERATION = '--semi-space-growth-factor=1';

export function metricsRoute({ sandbox, calls }: Managed): Route {
  setFlagsFromString(KEEP_YOUNG_GENERATION);
  const collector = new Collector(sourceOf(sandbox, calls));
  return {
    method: 'GET',
    path: '/metrics',
    what: 'metrics of the shim, QEMU, virtiofsd, the guest and its agent, for Prometheus',
    act: async () => ({ type: CONTENT_TYPE, body: await collector.collect() }),
  };
}
