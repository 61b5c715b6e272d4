/** A further process in a container: by the agent itself where it can, by crun where that takes more. */
import type { ExecProcessRequest } from '../../host/proto/messages/agent.ts';
import type { Process as ProcessSpec } from '../../host/proto/messages/oci.ts';
import type { Container } from './container.ts';
import { crunProcess } from './crun.ts';
import { enterContainer } from './enter.ts';
import { AgentError } from './error.ts';
import { attempt, exists } from './files.ts';
import { jsonText, processConfig } from './oci-config.ts';
import type { Guest } from './options.ts';
import { Process, SIGKILL, type Stdio } from './process.ts';
import { resolveUser, withHome } from './user.ts';

/** Longest exec id. */
export const MAX_EXEC_ID_CHARS = 1024;

let serial = 0;

/**
 * Starts a process in a running container.
 * @throws AgentError failed_precondition unless the container runs, already_exists for an id in use, invalid_argument, internal with crun's words
 */
export async function execProcess(guest: Guest, container: Container, request: ExecProcessRequest): Promise<void> {
  const { sys, loop, options } = guest;
  const { exec_id: id, process } = request;
  if (!process || process.Args.length === 0) {
    throw new AgentError('invalid_argument', `exec ${JSON.stringify(id)}: the process has no arguments`);
  }
  if (id.length > MAX_EXEC_ID_CHARS)
    throw new AgentError('invalid_argument', `exec_id longer than ${MAX_EXEC_ID_CHARS}`);
  // crun would join the frozen cgroup of a paused container and stop there.
  container.require('exec', 'running');
  const release = container.reserveExec(id);
  try {
    const user = request.string_user && resolveUser(guest, container, request.string_user);
    const spec = inherit(user ? { ...process, User: user } : process, container.spec.Process);
    const selinux = exists(sys, `${options.sysRoot}/fs/selinux/enforce`);
    const { pid, stdio } =
      (await enterContainer(guest, container, spec, selinux)) ?? (await execByCrun(guest, container, spec, selinux));
    const started = new Process(sys, loop, id, pid, stdio);
    started.beforeExit = () => container.oom?.settled();
    if (container.status === 'removing') {
      started.signal(SIGKILL);
      started.exited.then(() => started.close());
      throw new AgentError('failed_precondition', `container ${container.id} was removed meanwhile`);
    }
    container.execs.set(id, started);
  } finally {
    release();
  }
}

/** How it is done in any case. */
async function execByCrun(
  guest: Guest,
  container: Container,
  spec: ProcessSpec,
  selinux: boolean,
): Promise<{ pid: number; stdio: Stdio }> {
  const { sys, loop, options } = guest;
  const Env = withHome(guest, container, spec, container.spec.Mounts);
  const file = `${options.runDir}/.process-${++serial}.json`;
  try {
    sys.writeFile(file, jsonText(processConfig({ ...spec, Env }, selinux)), 0o600);
    return await crunProcess(sys, loop, options, spec, (pidFile, extra) => [
      'exec',
      '--detach',
      '--process',
      file,
      '--pid-file',
      pidFile,
      ...extra,
      container.id,
    ]);
  } finally {
    attempt(() => sys.unlink(file));
  }
}

/** Hosts may send less than the container has: no capabilities means the container's. */
function inherit(process: ProcessSpec, init: ProcessSpec | undefined): ProcessSpec {
  if (!init) return process;
  return {
    ...process,
    Capabilities: process.Capabilities ?? init.Capabilities,
    Rlimits: process.Rlimits.length > 0 ? process.Rlimits : init.Rlimits,
    NoNewPrivileges: process.NoNewPrivileges || init.NoNewPrivileges,
    OOMScoreAdj: process.OOMScoreAdj === 0 ? init.OOMScoreAdj : process.OOMScoreAdj,
  };
}
