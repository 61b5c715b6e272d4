/** Frames written and output found: see share.ts. */
import { runShare } from './share.ts';

runShare('frames', { write: 400_000, output: 500_000 });
