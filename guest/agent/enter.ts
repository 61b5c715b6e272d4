/**
 * A further process in a container without crun, whose start alone takes longer than most such processes run. Done where
 * the kernel's own calls are all it takes: no terminal, no seccomp filter, no user namespace, no label, no personality.
 */
import type { LinuxCapabilities, Process as ProcessSpec } from '../../host/proto/messages/oci.ts';
import type { Container } from './container.ts';
import { CRUN_TIMEOUT_MS, withPipes } from './crun.ts';
import { AgentError } from './error.ts';
import { attempt } from './files.ts';
import { POLLIN } from './loop-interface.ts';
import type { Guest } from './options.ts';
import { SIGKILL, type Stdio } from './process.ts';
import type { EnterOptions } from './sys.ts';

/** Of a record: two 32-bit numbers, the step and its value. */
const RECORD_BYTES = 8;
const MAX_REPORT_BYTES = 4096;
/** What a program finds where nobody says otherwise. */
const DEFAULT_UMASK = 0o022;
const MIN_OOM_SCORE = -1000;
const MAX_OOM_SCORE = 1000;

/** Steps of guest/sys/enter.c. All but the first are failures, their value an errno. */
const STEP = { pid: 0, join: 1, become: 2, directory: 3, find: 4, execute: 5 } as const;

const ERRNO_TEXTS: Readonly<Record<number, string>> = {
  1: 'operation not permitted',
  2: 'no such file or directory',
  7: 'argument list too long',
  8: 'exec format error',
  12: 'cannot allocate memory',
  13: 'permission denied',
  20: 'not a directory',
  21: 'is a directory',
  26: 'text file busy',
  36: 'file name too long',
  40: 'too many levels of symbolic links',
};
const ENOENT = 2;

/** By number. linux/capability.h */
const CAPABILITIES =
  'CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE'.split(
    ' ',
  );
/** By number. asm-generic/resource.h */
const RLIMITS =
  'CPU FSIZE DATA STACK CORE RSS NPROC NOFILE MEMLOCK AS LOCKS SIGPENDING MSGQUEUE NICE RTPRIO RTTIME'.split(' ');

type Report = Map<number, number>;

/** The set-up did not work: crun may know better. */
class NotEntered extends Error {}

/**
 * Starts a process in a running container.
 * @returns undefined where crun has to do it
 * @throws AgentError internal in runc's words where the program cannot be run, deadline_exceeded
 */
export async function enterContainer(
  guest: Guest,
  container: Container,
  spec: ProcessSpec,
  selinux: boolean,
): Promise<{ pid: number; stdio: Stdio } | undefined> {
  const { sys } = guest;
  const options = selinux ? undefined : entryOf(container, spec);
  if (!options || !sys.enter) return undefined;
  let pid = 0;
  try {
    const stdio = await withPipes(sys, async (fds) => {
      pid = await started(guest, sys.enter?.({ ...options, stdio: fds }) ?? -1, spec);
    });
    return { pid, stdio };
  } catch (thrown) {
    if (!(thrown instanceof NotEntered)) throw thrown;
    sys.log(`container ${container.id}: exec is left to crun: ${thrown.message}`);
    return undefined;
  }
}

/** Undefined where more is wanted than can be done here. */
function entryOf(container: Container, spec: ProcessSpec): Omit<EnterOptions, 'stdio'> | undefined {
  const { Linux: linux } = container.spec;
  const { init } = container;
  const inUserNamespace = linux?.Namespaces.some(({ Type }) => Type === 'user') || linux?.UIDMappings.length;
  if (spec.Terminal || linux?.Seccomp || linux?.Personality || inUserNamespace) return undefined;
  if (!init || init.status !== undefined || !spec.Capabilities) return undefined;
  const capabilities = setsOf(spec.Capabilities);
  const rlimits = spec.Rlimits.map(
    ({ Type, Hard, Soft }) => `${RLIMITS.indexOf(Type.replace(/^RLIMIT_/, ''))} ${Soft} ${Hard}`,
  );
  if (!capabilities || rlimits.some((line) => line.startsWith('-'))) return undefined;
  return {
    pid: init.pid,
    cgroup: container.cgroup.directory,
    keyring: container.id,
    argv: spec.Args,
    env: spec.Env,
    cwd: spec.Cwd === '' ? '/' : spec.Cwd,
    uid: spec.User?.UID ?? 0,
    gid: spec.User?.GID ?? 0,
    groups: (spec.User?.AdditionalGids ?? []).map(String),
    umask: (spec.User?.Umask ?? DEFAULT_UMASK) & 0o777,
    rlimits,
    capabilities,
    oomScoreAdj: Math.min(Math.max(Number(spec.OOMScoreAdj), MIN_OOM_SCORE), MAX_OOM_SCORE),
    noNewPrivileges: spec.NoNewPrivileges ? 1 : 0,
  };
}

/** Undefined for a name that is not known here. */
function setsOf(all: LinuxCapabilities): string[] | undefined {
  const sets: string[] = [];
  for (const names of [all.Bounding, all.Effective, all.Inheritable, all.Permitted, all.Ambient]) {
    let set = 0n;
    for (const name of names) {
      const number = CAPABILITIES.indexOf(name.replace(/^CAP_/, ''));
      if (number < 0) return undefined;
      set |= 1n << BigInt(number);
    }
    sets.push(String(set));
  }
  return sets;
}

/** Its pid, once the program runs. */
async function started(guest: Guest, fd: number, spec: ProcessSpec): Promise<number> {
  const { loop, sys } = guest;
  const report: Report = new Map();
  const done = await Promise.race([reported(guest, fd, report), loop.sleep(CRUN_TIMEOUT_MS).then(() => false)]);
  const pid = report.get(STEP.pid) ?? 0;
  const failed = [...report].find(([step]) => step !== STEP.pid);
  if (done && pid > 1 && !failed) return pid;
  if (pid > 1) {
    attempt(() => sys.kill(pid, SIGKILL));
    // Its status is nobody's business.
    void loop.exited(pid);
  }
  if (!done) throw new AgentError('deadline_exceeded', `exec has not begun after ${CRUN_TIMEOUT_MS / 1000} s`);
  if (!failed) throw new AgentError('internal', 'the process was killed before its program was executed');
  throw failure(spec, failed[0], failed[1]);
}

/** Collects the records until the descriptor ends; closes it. */
function reported({ sys, loop }: Guest, fd: number, report: Report): Promise<boolean> {
  return new Promise((resolve) => {
    const end = loop.watch(fd, POLLIN, () => {
      const data = sys.read(fd, MAX_REPORT_BYTES);
      if (data === null) return;
      if (data.length === 0) {
        end();
        sys.close(fd);
        resolve(true);
        return;
      }
      // Each record is one write, far below what a pipe takes at once.
      const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
      for (let at = 0; at + RECORD_BYTES <= data.length; at += RECORD_BYTES) {
        report.set(view.getInt32(at, true), view.getInt32(at + 4, true));
      }
    });
  });
}

/** In runc's words. */
function failure(spec: ProcessSpec, step: number, errno: number): Error {
  const why = ERRNO_TEXTS[errno] ?? `errno ${errno}`;
  const program = spec.Args[0] ?? '';
  if (step === STEP.directory) {
    return new AgentError('internal', `chdir to cwd (${JSON.stringify(spec.Cwd)}) set in config.json failed: ${why}`);
  }
  if (step !== STEP.find && step !== STEP.execute) return new NotEntered(`step ${step}: ${why}`);
  const prefix = `exec: ${JSON.stringify(program)}: `;
  if (step === STEP.execute || errno !== ENOENT) return new AgentError('internal', prefix + why);
  return new AgentError(
    'internal',
    prefix + (program.includes('/') ? `stat ${program}: ${why}` : 'executable file not found in $PATH'),
  );
}
