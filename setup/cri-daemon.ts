/** What a private containerd with CRI has below its directory: networks, handlers, and a snapshotter that works there. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { cniDirectory, NETWORKS, type NetworkName, writeNetworks } from './cni.ts';
import type { ContainerdVersion } from './containerd-packages.ts';
import type { CriConfig, Handler } from './cri-config.ts';
import type { CriPackages } from './cri-packages.ts';
import { PAUSE_IMAGE_NAME } from './image.ts';

export interface CriOptions {
  readonly version: ContainerdVersion;
  readonly packages: CriPackages;
  /** `cniDirectory` is a NetworkName, `configPath` a path in the daemon's directory. */
  readonly handlers: readonly Handler[];
  readonly defaultHandler: string;
  /** Absent: `dual`. */
  readonly network?: NetworkName;
}

/**
 * Writes the networks' configuration.
 * @param directory the daemon's
 * @param runc path of the program
 * @returns the CRI part of the daemon's own configuration
 * @throws Error for a handler with an unknown network
 */
export function criDaemonConfig(options: CriOptions, directory: string, runc: string): CriConfig {
  writeNetworks(directory);
  return {
    version: options.version,
    snapshotter: hasOverlay(directory) ? 'overlayfs' : 'native',
    sandboxImage: PAUSE_IMAGE_NAME,
    cniBin: options.packages.cniBin,
    cniDirectory: cniDirectory(directory, options.network ?? 'dual'),
    runc,
    handlers: options.handlers.map((handler) => placed(handler, directory)),
    defaultHandler: options.defaultHandler,
  };
}

/** Whether overlay file systems can be below `directory`; not where it is on one itself. */
function hasOverlay(directory: string): boolean {
  const place = mkdtempSync(`${directory}/overlay-`);
  for (const name of ['lower', 'upper', 'work', 'merged']) mkdirSync(`${place}/${name}`);
  const layers = `lowerdir=${place}/lower,upperdir=${place}/upper,workdir=${place}/work`;
  const done = spawnSync('mount', ['-t', 'overlay', '-o', layers, 'overlay', `${place}/merged`]);
  if (done.status === 0) spawnSync('umount', [`${place}/merged`]);
  rmSync(place, { recursive: true, force: true });
  return done.status === 0;
}

/** A handler with the daemon's own paths. */
function placed(handler: Handler, directory: string): Handler {
  const { cniDirectory: network, configPath } = handler;
  if (network !== undefined && !isNetwork(network))
    throw new Error(`no network ${network}: use ${NETWORKS.join(', ')}`);
  return {
    ...handler,
    ...(network === undefined ? {} : { cniDirectory: cniDirectory(directory, network) }),
    ...(configPath === undefined ? {} : { configPath: `${directory}/${configPath}` }),
  };
}

function isNetwork(name: string): name is NetworkName {
  return (NETWORKS as readonly string[]).includes(name);
}
