/**
 * What an exec costs in the shim alone: the calls containerd makes for an ExecSync, to a shim whose guest answers at once. Client,
 * shim and guest share one thread here, so that this is more than the shim's own part of it.
 */
import { TextEncoder } from 'node:util';
import { Harness } from '../test/unit/shim/harness.ts';

/** Execs before the measurement, until the compiler has seen the code, and in it. */
const WARM = 30;
const EXECS = 50;
const PROCESS = 'types.containerd.io/opencontainers/runtime-spec/1/Process';
const CONTAINER = 'exec-share';

/** @returns milliseconds of each exec, from Exec to the answer of Delete */
export async function measureExecShare(): Promise<number[]> {
  const shim = await Harness.start(CONTAINER);
  try {
    await shim.create(CONTAINER, ['sleep']);
    await shim.call('Start', { id: CONTAINER });
    const times: number[] = [];
    for (let run = -WARM; run < EXECS; run++) {
      const ms = await exec(shim, `e${run + WARM}`);
      if (run >= 0) times.push(ms);
    }
    return times;
  } finally {
    await shim.close();
  }
}

async function exec(shim: Harness, exec_id: string): Promise<number> {
  // containerd has made the FIFO by then.
  const stdout = shim.fifo(exec_id);
  const value = new TextEncoder().encode(JSON.stringify({ args: ['echo', 'x'], cwd: '/' }));
  const id = CONTAINER;
  const since = performance.now();
  await shim.call('Exec', { id, exec_id, stdout: stdout.path, spec: { type_url: PROCESS, value } });
  const ended = shim.call('Wait', { id, exec_id });
  await shim.call('Start', { id, exec_id });
  await ended;
  await shim.call('Delete', { id, exec_id });
  const ms = performance.now() - since;
  await stdout.text();
  return ms;
}
