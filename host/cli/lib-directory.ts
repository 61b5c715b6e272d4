/** Where the program's own files are. */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

declare const __dirname: string | undefined;

/** Directory of the bundles; run from source, where the build puts them. */
export function libDirectory(): string {
  return typeof __dirname === 'string' ? __dirname : join(dirname(fileURLToPath(import.meta.url)), '../../build/lib');
}
