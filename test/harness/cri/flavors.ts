/** The ways in which CRI is tested: a containerd version, and who runs the pod's sandbox. */
import { CONTAINERD_VERSIONS, type ContainerdVersion } from '../../../setup/containerd-packages.ts';
import type { Handler } from '../../../setup/cri-config.ts';

const KATA = 'io.containerd.kata.v2';
/** Handler under test; `runc` shows that it is not the tests that are wrong. */
export const HANDLER = process.env.KATA_TEST_HANDLER ?? 'kata';
/** Whether pods are in virtual machines. */
export const IS_KATA = HANDLER.includes('kata');

export interface Flavor {
  /** `1.7`, or `1.7-shim` where the shim serves the Sandbox API. */
  readonly name: string;
  readonly version: ContainerdVersion;
  /** Whether kata's handlers have the shim serve the Sandbox API. */
  readonly sandboxer: boolean;
}

/** 1.6 has no Sandbox API. */
export const FLAVORS: readonly Flavor[] = CONTAINERD_VERSIONS.flatMap((version) => [
  { name: version, version, sandboxer: false },
  ...(version === '1.6' ? [] : [{ name: `${version}-shim`, version, sandboxer: true }]),
]);

const DEFAULT_FLAVOR = '1.7';

/** KATA_TEST_CRI: `all`, or a list like `1.6,2.1-shim`; absent: one. */
export function testedFlavors(): Flavor[] {
  const wanted = (process.env.KATA_TEST_CRI ?? DEFAULT_FLAVOR).split(',');
  const found = FLAVORS.filter(({ name }) => wanted.includes(name) || wanted.includes('all'));
  if (found.length > 0) return found;
  throw new Error(`KATA_TEST_CRI=${wanted}: use all or some of ${FLAVORS.map(({ name }) => name).join(',')}`);
}

/** containerd 1.7 has the Sandbox API only with this. */
export function environmentOf(flavor: Flavor): Record<string, string> {
  return flavor.sandboxer && flavor.version === '1.7' ? { ENABLE_CRI_SANDBOXES: '1' } : {};
}

/** In 1.7 the pod's directories are removed by what the shim replaces as the pod's sandbox, and then by nobody. */
export function forgivenOf(flavor: Flavor): RegExp | undefined {
  return flavor.sandboxer && flavor.version === '1.7'
    ? /\/(root|state)\/io\.containerd\.grpc\.v1\.cri\/sandboxes\//
    : undefined;
}

/** The configuration.toml of handler `kata-config`, in the daemon's directory. */
export const CONFIG_PATH = 'configuration.toml';

/** Runtime handlers of every daemon. */
export function handlersOf({ sandboxer }: Flavor): Handler[] {
  const kata = { type: KATA, sandboxer };
  return [
    { name: 'runc', type: 'io.containerd.runc.v2' },
    { name: 'kata', ...kata },
    // With options, 2.1 cannot have the shim serve the Sandbox API.
    { name: 'kata-config', type: KATA, configPath: CONFIG_PATH },
    { name: 'kata-ipv4', ...kata, cniDirectory: 'ipv4' },
    { name: 'kata-two', ...kata, cniDirectory: 'two', networks: 2 },
    { name: 'kata-no-addresses', ...kata, cniDirectory: 'no-addresses' },
    { name: 'untrusted', type: KATA },
    { name: 'runc-two', type: 'io.containerd.runc.v2', cniDirectory: 'two', networks: 2 },
    { name: 'runc-no-addresses', type: 'io.containerd.runc.v2', cniDirectory: 'no-addresses' },
  ];
}
