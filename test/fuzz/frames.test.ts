/** The WASM core's frames and output: see share.ts. */
import { runShare } from './share.ts';

runShare('frames', { scan: 800_000, write: 500_000, output: 500_000 });
