/** How a guest is joined to its pod's network. */
import { REMOTE, show, type Values } from './values.ts';

export const NETWORK_MODELS = ['tcfilter', 'macvtap', 'none'] as const;
export type NetworkModel = (typeof NETWORK_MODELS)[number];

export interface Networking {
  readonly networkModel: NetworkModel;
  /** disable_new_netns: the VMM runs in the host's network namespace, without a network of the guest's. */
  readonly disableNewNetns: boolean;
  /** Directory of descriptions of directly attachable networks; empty: none. */
  readonly danConf: string;
}

/** @throws KataError `invalid_argument` naming file, key and the choices */
export function networkingOf(values: Values): Networking {
  if (values.hypervisor === REMOTE) return remoteNetworking(values);
  const networkModel = values.choice('runtime', 'internetworking_model', NETWORK_MODELS, 'tcfilter');
  const disableNewNetns = values.boolean('runtime', 'disable_new_netns', false);
  if (disableNewNetns && networkModel !== 'none') {
    throw values.invalid(
      'runtime',
      'disable_new_netns',
      `is true, but internetworking_model is ${show(networkModel)}; without a namespace it must be "none"`,
    );
  }
  return { networkModel, disableNewNetns, danConf: values.path('runtime', 'dan_conf', '') };
}

/**
 * The peer joins its machine to the pod's namespace; one that only the shim could see would be of no use to it. What
 * `disable_new_netns` says does not matter: Kata's Go file has true there, its Rust file false.
 */
function remoteNetworking(values: Values): Networking {
  return {
    networkModel: values.choice('runtime', 'internetworking_model', ['none'] as const, 'none'),
    disableNewNetns: true,
    danConf: '',
  };
}
