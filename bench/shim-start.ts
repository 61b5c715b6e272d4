/** A shim's `start` as containerd calls it: until it exits, and until the first call is answered. */
import { TaskService, TaskServiceName } from '../host/proto/messages/task_v2.ts';
import { TtrpcClient } from '../host/ttrpc/client.ts';
import { describe } from '../setup/command.ts';
import { kill, markedProcesses } from '../setup/processes.ts';
import { ShimPlace, socketPath } from '../test/harness/shim.ts';
import { RUNS } from './statistics.ts';

/** Milliseconds of quiet before the process's memory is taken. */
const IDLE_MS = 1500;

export interface ShimStart {
  /** Milliseconds from exec to exit. */
  readonly exit: number[];
  /** Milliseconds from exec to the answer of the first call. */
  readonly reply: number[];
}

/** Starts the shim RUNS times, without a container. */
export async function measureStart(program: string): Promise<ShimStart> {
  const result: ShimStart = { exit: [], reply: [] };
  const place = new ShimPlace(program);
  try {
    for (let run = -1; run < RUNS; run++) {
      const id = `start-${process.pid}-${run + 1}`;
      const bundle = place.bundle(id);
      const since = performance.now();
      const done = await place.command(id, bundle, ['start']);
      const exit = performance.now() - since;
      if (done.code !== 0) throw new Error(`${program} start: ${describe(done)}`);
      const client = await TtrpcClient.connect(socketPath(done.stdout));
      // An error is an answer as well: there is no such task yet.
      await client.call(TaskServiceName, 'State', TaskService.State, { id }).catch(() => {});
      const reply = performance.now() - since;
      client.close();
      if (run < 0) continue;
      result.exit.push(exit);
      result.reply.push(reply);
      await new Promise((resolve) => setTimeout(resolve, run === 0 ? IDLE_MS : 0));
      for (const process of markedProcesses(place.directory)) kill(process);
    }
    return result;
  } finally {
    for (const process of markedProcesses(place.directory)) kill(process);
    await place.remove();
  }
}
