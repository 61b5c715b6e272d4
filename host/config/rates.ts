/** How fast a pod's network may be, and over how many queues. */
import { QEMU, type Values } from './values.ts';

/** Least limit, bit/s: below, not even a name is looked up before it is given up. */
export const MIN_RATE = 8000;
/** Most queues of a NIC. */
export const MAX_NETWORK_QUEUES = 256;

export interface Rates {
  /** What a guest may receive, bit/s; 0: not limited. */
  readonly rxRate: number;
  /** What it may send. */
  readonly txRate: number;
  /** Pairs of queues of each NIC. */
  readonly networkQueues: number;
}

/** @throws KataError `invalid_argument` naming file and key */
export function ratesOf(values: Values): Rates {
  const rxRate = rateOf(values, 'rx_rate_limiter_max_rate');
  const txRate = rateOf(values, 'tx_rate_limiter_max_rate');
  const networkQueues = Number(values.number(QEMU, 'network_queues', 0)) || 1;
  const several = networkQueues > 1 ? modelWithout(values) : undefined;
  if (several) {
    throw values.invalid(
      QEMU,
      'network_queues',
      `is ${networkQueues}, but runtime.internetworking_model is "${several}"; several queues are for "tcfilter" only`,
    );
  }
  if (networkQueues > MAX_NETWORK_QUEUES) {
    throw values.invalid(QEMU, 'network_queues', `is ${networkQueues}; it must be 0 to ${MAX_NETWORK_QUEUES}`);
  }
  return { rxRate, txRate, networkQueues };
}

/** Limits hang on the tap and on the interface beside it, which only one model has. */
function rateOf(values: Values, key: string): number {
  const rate = Number(values.number(QEMU, key, 0));
  if (rate === 0) return 0;
  if (rate < MIN_RATE) {
    throw values.invalid(QEMU, key, `is ${rate} bit/s; it must be 0 (no limit) or at least ${MIN_RATE}`);
  }
  const model = modelWithout(values);
  if (!model) return rate;
  throw values.invalid(
    QEMU,
    key,
    `is ${rate}, but runtime.internetworking_model is "${model}"; rates are limited with "tcfilter" only`,
  );
}

/** The model that is configured, where it has neither. */
function modelWithout(values: Values): string | undefined {
  const model = values.string('runtime', 'internetworking_model', '') || 'tcfilter';
  return model === 'tcfilter' ? undefined : model;
}
