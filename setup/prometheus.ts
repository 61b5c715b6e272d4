/** Prometheus' own judge of metrics, rules and configurations, from Debian's package unpacked beside the system. */
import { join } from 'node:path';
import { unpacked } from './containerd-packages.ts';
import type { Progress } from './debian.ts';
import { BUILD, DEBIAN_CACHE } from './paths.ts';

/**
 * Unpacks the package if it is not there yet; after that no network is needed.
 * @returns path of promtool
 * @throws KataError when the package cannot be had
 */
export async function promtool(progress: Progress = () => {}): Promise<string> {
  const root = await unpacked('prometheus', 'bookworm', join(BUILD, 'prometheus'), DEBIAN_CACHE, progress);
  return join(root, 'usr/bin/promtool');
}
