/**
 * A process of its own that joins real cgroups: `PATH SANDBOX_ID ONLY STEP`. Prints where it, a child and its threads are, as JSON.
 * STEP `remove` then removes them, `leave` leaves them behind as a crash would, and prints its traces.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { chooseHostCgroup } from '../../../host/resources/choose-host-cgroup.ts';

const [cgroupsPath = '', sandboxId = '', only, step] = process.argv.slice(2);
const said: string[] = [];
const note = (message: string, fields: object = {}): void => {
  said.push(`${message} ${JSON.stringify(fields)}`);
};
const MIB = 1024 * 1024;

try {
  const cgroup = chooseHostCgroup({
    cgroupsPath,
    sandboxId,
    sandboxCgroupOnly: only === 'true',
    vmMemoryBytes: 256 * MIB,
    overheadBytes: 64 * MIB,
    log: { debug: note, info: note, warn: note, error: note },
  });
  await cgroup.enter();
  const child = execFileSync('cat', ['/proc/self/cgroup'], { encoding: 'utf8' });
  await cgroup.prepare();
  // Threads of this process stand in for those of a VMM.
  const tid = readdirSync('/proc/self/task')
    .map(Number)
    .find((one) => one !== process.pid);
  await cgroup.placeVmm(process.pid, tid === undefined ? [] : [tid]);
  await cgroup.update({ cpus: 1.5, memoryBytes: 400 * MIB, cpuset: '0' });
  const own = readFileSync('/proc/self/cgroup', 'utf8');
  const thread = readFileSync(`/proc/self/task/${tid}/cgroup`, 'utf8');
  if (step === 'remove') await cgroup.remove();
  process.stdout.write(JSON.stringify({ own, child, thread, traces: cgroup.traces, said }));
} catch (thrown) {
  process.stdout.write(JSON.stringify({ error: String(thrown), said }));
}
