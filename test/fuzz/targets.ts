/** All fuzz targets by name; each is made when it is asked for. */
import type { Target } from './target.ts';
import { ociTarget } from './targets/oci.ts';
import { outputTarget } from './targets/output.ts';
import { scanTarget } from './targets/scan.ts';
import { writeTarget } from './targets/write.ts';

export const TARGETS: Readonly<Record<string, () => Target>> = {
  scan: scanTarget,
  write: writeTarget,
  output: outputTarget,
  oci: ociTarget,
};
