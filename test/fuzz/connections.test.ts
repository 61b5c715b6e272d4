/** Live servers and clients, and the agent's own: see share.ts. */
import { runShare } from './share.ts';

runShare('connections', { server: 20_000, client: 10_000, agent: 200_000 });
