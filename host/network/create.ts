/** Chooses the network of a sandbox by the configuration. */
import { KataError } from '../error.ts';
import { DirectNetwork } from './dan.ts';
import { macvtap } from './macvtap.ts';
import { MODELS, type ModelName } from './model.ts';
import type { Network } from './network.ts';
import { NoNetwork } from './no-network.ts';
import { type NetworkOptions, PodNetwork } from './pod-network.ts';
import { tcFilter } from './tcfilter.ts';

/**
 * A sandbox's network. A namespace of its own is made at once: the VMM starts in it.
 * @param model `internetworking_model`
 * @param direct path of the file that describes a directly attachable network; undefined: there is none
 * @throws KataError `failed_precondition` for the host's namespace, `not_found` for one that does not exist
 */
export function createNetwork(model: ModelName, options: NetworkOptions, direct?: string): Network {
  if (model === 'none') return new NoNetwork(options);
  if (options.namespace.path === '') {
    throw new KataError(
      'failed_precondition',
      `disable_new_netns needs internetworking_model = "none", which is "${model}"`,
    );
  }
  if (direct !== undefined) return new DirectNetwork(direct, options);
  return new PodNetwork(model === 'macvtap' ? macvtap : tcFilter, options);
}

/** @throws KataError `failed_precondition` for an unknown model */
export function modelOf(name: string): ModelName {
  const model = MODELS.find((known) => known === name);
  if (model) return model;
  throw new KataError(
    'failed_precondition',
    `runtime.internetworking_model: "${name}" is not supported; use ${MODELS.join(', ')}`,
  );
}
