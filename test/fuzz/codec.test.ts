/** The table codec: see share.ts. */
import { runShare } from './share.ts';

runShare('codec', { codec: 300_000 });
