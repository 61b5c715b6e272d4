/** The frames of a debug console: see share.ts. */
import { runShare } from './share.ts';

runShare('console', { console: 50_000 });
