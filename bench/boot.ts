/**
 * Boots the default guest with a bare QEMU under TCG (1 vCPU, 256 MiB), again and again, and measures from QEMU's exec to
 * the answer of Health.Check. `node --import tsx bench/boot.ts [BOOTS]`. Ends with status 1 if a boot hangs.
 */
import { AgentClient } from '../host/agent/client.ts';
import { TtrpcClient } from '../host/ttrpc/client.ts';
import { hung, startGuest } from '../test/harness/bare-guest.ts';

const BOOTS = 7;

const boots = Number(process.argv[2] ?? BOOTS);
const times: number[] = [];
for (let i = 0; i < boots; i++) times.push(await boot());
times.sort((a, b) => a - b);
const at = (part: number) => `${((times[Math.floor((times.length - 1) * part)] as number) / 1000).toFixed(3)} s`;
process.stdout.write(`${boots} boots: min ${at(0)}, median ${at(0.5)}, max ${at(1)}\n`);

/** Milliseconds until Health.Check was answered. */
async function boot(): Promise<number> {
  const guest = await startGuest();
  try {
    const answered = guest.socket.then(async (socket) => {
      await new AgentClient(new TtrpcClient(socket)).check();
      return performance.now() - guest.since;
    });
    return await Promise.race([answered, hung(guest)]);
  } finally {
    await guest.stop();
  }
}
