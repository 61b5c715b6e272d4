/** `GET /metrics`: what Prometheus is told. */
import { Collector } from '../metrics/collect.ts';
import { CONTENT_TYPE } from '../metrics/family.ts';
import { sourceOf } from '../metrics/source.ts';
import type { Managed } from '../shim/boot.ts';
import type { Route } from './route.ts';

export function metricsRoute({ sandbox, calls }: Managed): Route {
  const collector = new Collector(sourceOf(sandbox, calls));
  return {
    method: 'GET',
    path: '/metrics',
    what: 'metrics of the shim, QEMU, virtiofsd, the guest and its agent, for Prometheus',
    act: async () => ({ type: CONTENT_TYPE, body: await collector.collect() }),
  };
}
