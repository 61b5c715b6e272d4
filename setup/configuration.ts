/** `npm run configuration`: docs/configuration.md and the configuration.toml that is installed, from the schema of keys. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { annotationsPage } from './configuration/annotations-page.ts';
import { defaultFile } from './configuration/default-file.ts';
import { reference } from './configuration/reference.ts';
import { ROOT } from './paths.ts';

const DEFAULTS = join(ROOT, 'build/share/defaults/kata-containers/configuration.toml');

mkdirSync(dirname(DEFAULTS), { recursive: true });
writeFileSync(DEFAULTS, defaultFile());
// `npm run build` makes what is below build/ alone.
if (process.argv[2] !== 'defaults') {
  writeFileSync(join(ROOT, 'docs/configuration.md'), reference());
  writeFileSync(join(ROOT, 'docs/annotations.md'), annotationsPage());
}
