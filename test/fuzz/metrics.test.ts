/** Metrics of guests and shims: see share.ts. */
import { runShare } from './share.ts';

runShare('metrics', { metrics: 40_000 });
