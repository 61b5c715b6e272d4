/** Texts of configurations: see share.ts. */
import { runShare } from './share.ts';

runShare('configuration', { toml: 10_000 });
