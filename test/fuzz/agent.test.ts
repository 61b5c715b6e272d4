/** The guest's agent: its server and its config.json; see share.ts. */
import { runShare } from './share.ts';

runShare('agent', { agent: 150_000, config: 50_000 });
