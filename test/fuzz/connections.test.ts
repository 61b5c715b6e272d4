/** Live servers and clients: see share.ts. */
import { runShare } from './share.ts';

runShare('connections', { server: 12_000, client: 8_000 });
