/** Live servers and clients, and the agent's own: see share.ts. */
import { runShare } from './share.ts';

runShare('connections', { server: 12_000, client: 8_000, agent: 150_000 });
