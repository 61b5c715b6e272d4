/** The frame scanner: see share.ts. */
import { runShare } from './share.ts';

runShare('scanner', { scan: 750_000 });
