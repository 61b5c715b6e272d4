/** Calls of crun: one process each, its messages from a log file so that they do not mix with the container's output. */
import { AgentError } from './error.ts';
import { attempt, readTextIfAny } from './files.ts';
import { type Loop, POLLIN } from './loop-interface.ts';
import type { ContainerOptions } from './options.ts';
import type { Stdio } from './process.ts';
import type { Sys } from './sys.ts';

/** Longest one call may take, ms. It takes 0.1 to 0.5 s where the processor is emulated. */
export const CRUN_TIMEOUT_MS = 60_000;
/** How long after crun's success the terminal's descriptor may still be on its way, ms. */
export const CONSOLE_TIMEOUT_MS = 5000;
/** Most characters of crun's messages in an error. */
const MAX_MESSAGE_CHARS = 2048;

const SIGKILL = 9;
const ENVIRONMENT = ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'];

/** Names begin with a dot, which no container id does: bundles lie beside them. */
let serial = 0;

/**
 * Runs crun to its end with /dev/null as stdio.
 * @throws AgentError internal with crun's own words, deadline_exceeded after CRUN_TIMEOUT_MS
 */
export function crun(sys: Sys, loop: Loop, options: ContainerOptions, args: readonly string[]): Promise<void> {
  return call(sys, loop, options, args, [-1, -1, -1]);
}

/**
 * Runs `crun create` or `crun exec -d` and gives back our ends of the new process's stdio and its pid.
 * @param process the process's part of the specification
 * @param build the arguments, given the path of the pid file and further options (the console's socket)
 * @throws as `crun`; nothing is left open then
 */
export async function crunProcess(
  sys: Sys,
  loop: Loop,
  options: ContainerOptions,
  process: { readonly Args: readonly string[]; readonly Terminal: boolean } | undefined,
  build: (pidFile: string, extra: readonly string[]) => string[],
): Promise<{ pid: number; stdio: Stdio }> {
  const program = process?.Args[0] ?? '';
  const pidFile = `${options.runDir}/.pid-${++serial}`;
  try {
    const stdio = process?.Terminal
      ? await withConsole(sys, loop, options, (socket) =>
          call(sys, loop, options, build(pidFile, ['--console-socket', socket]), [-1, -1, -1], program),
        )
      : await withPipes(sys, (fds) => call(sys, loop, options, build(pidFile, []), fds, program));
    const pid = Number.parseInt(readTextIfAny(sys, pidFile) ?? '', 10);
    if (!(pid > 1)) {
      closeStdio(sys, stdio);
      throw new AgentError('internal', 'crun succeeded but wrote no pid');
    }
    return { pid, stdio };
  } finally {
    attempt(() => sys.unlink(pidFile));
  }
}

async function call(
  sys: Sys,
  loop: Loop,
  options: ContainerOptions,
  args: readonly string[],
  stdio: readonly [number, number, number],
  program = '',
): Promise<void> {
  const log = `${options.runDir}/.crun-${++serial}.log`;
  const common = ['--cgroup-manager=cgroupfs', '--root', options.crunRoot, '--log', log, '--log-format', 'json'];
  try {
    const pid = sys.spawn({ argv: [options.crun, ...common, ...args], env: ENVIRONMENT, stdio });
    const status = await Promise.race([loop.exited(pid), loop.sleep(CRUN_TIMEOUT_MS)]);
    if (status === undefined) {
      attempt(() => sys.kill(pid, SIGKILL));
      throw new AgentError('deadline_exceeded', `crun ${verb(args)} has not ended after ${CRUN_TIMEOUT_MS / 1000} s`);
    }
    if (status !== 0) throw new AgentError('internal', reason(readTextIfAny(sys, log), args, status, program));
  } finally {
    attempt(() => sys.unlink(log));
  }
}

function verb(args: readonly string[]): string {
  return args[0] ?? '';
}

/** crun's messages: the log's lines are JSON objects with `msg` and `level`. */
function reason(log: string | undefined, args: readonly string[], status: number, program: string): string {
  const messages: string[] = [];
  for (const line of (log ?? '').split('\n')) {
    if (line === '') continue;
    try {
      messages.push(String((JSON.parse(line) as { msg?: unknown }).msg));
    } catch {
      messages.push(line);
    }
  }
  const text = worded(messages.join('; '), program).slice(0, MAX_MESSAGE_CHARS);
  return text === '' ? `crun ${verb(args)} ended with status ${status} and no message` : text;
}

/** runc's words for a program that cannot be run, since that is what those above look for. */
function worded(text: string, program: string): string {
  // crun opens it first, and does not say which; the answer for a directory is EPERM.
  const refused = /^(?:open executable|exec): ([A-Z][a-z ]+)$/.exec(text)?.[1]?.toLowerCase();
  if (refused !== undefined && program !== '') {
    return `exec: ${JSON.stringify(program)}: ${refused === 'operation not permitted' ? 'permission denied' : refused}`;
  }
  const missing = /^executable file `(.*)` not found in \$PATH/s.exec(text)?.[1];
  if (missing === undefined) return text;
  const why = missing.includes('/')
    ? `stat ${missing}: no such file or directory`
    : 'executable file not found in $PATH';
  return `exec: ${JSON.stringify(missing)}: ${why}`;
}

/** Gives `run` a process's ends of three pipes, and the caller ours; a failure closes all. */
export async function withPipes(
  sys: Sys,
  run: (fds: readonly [number, number, number]) => Promise<void>,
): Promise<Stdio> {
  const opened: number[] = [];
  const pipe = () => {
    const ends = sys.pipe();
    opened.push(...ends);
    return ends;
  };
  try {
    const stdin = pipe();
    const stdout = pipe();
    const stderr = pipe();
    const theirs = [stdin[0], stdout[1], stderr[1]] as const;
    for (const fd of theirs) sys.setNonBlocking(fd, false);
    const running = run(theirs);
    // crun holds them now; ours would keep the container's end of file from us.
    for (const fd of theirs) {
      sys.close(fd);
      opened.splice(opened.indexOf(fd), 1);
    }
    await running;
    return { terminal: false, stdin: stdin[1], stdout: stdout[0], stderr: stderr[0] };
  } catch (thrown) {
    for (const fd of opened) sys.close(fd);
    throw thrown;
  }
}

async function withConsole(
  sys: Sys,
  loop: Loop,
  options: ContainerOptions,
  run: (socket: string) => Promise<void>,
): Promise<Stdio> {
  const path = `${options.runDir}/.tty-${++serial}.sock`;
  const console = receiver(sys, loop, path);
  try {
    await run(path);
    const master = await Promise.race([console.master, loop.sleep(CONSOLE_TIMEOUT_MS)]);
    if (master === undefined) throw new AgentError('internal', 'crun sent no terminal over its console socket');
    sys.setNonBlocking(master, true);
    return { terminal: true, master };
  } catch (thrown) {
    console.discard();
    throw thrown;
  } finally {
    console.close();
    attempt(() => sys.unlink(path));
  }
}

/** Waits on a unix socket for one descriptor. */
function receiver(sys: Sys, loop: Loop, path: string) {
  const listener = sys.listenUnix(path);
  const open = new Set([listener]);
  const watches: (() => void)[] = [];
  let received: number | undefined;
  const master = new Promise<number>((resolve, reject) => {
    const guarded = (action: () => void) => () => {
      try {
        action();
      } catch (thrown) {
        for (const end of watches.splice(0)) end();
        reject(thrown as Error);
      }
    };
    watches.push(
      loop.watch(
        listener,
        POLLIN,
        guarded(() => {
          const connection = sys.accept(listener);
          if (connection === null) return;
          open.add(connection);
          const receive = guarded(() => {
            const fd = sys.receiveFd(connection);
            if (fd === null || received !== undefined) return;
            received = fd;
            resolve(fd);
            for (const end of watches.splice(0)) end();
          });
          watches.push(loop.watch(connection, POLLIN, receive));
        }),
      ),
    );
  });
  // Looked at only after crun has ended.
  master.catch(() => {});
  return {
    master,
    close(): void {
      for (const end of watches.splice(0)) end();
      for (const fd of open) sys.close(fd);
      open.clear();
    },
    /** The terminal is not wanted any more. */
    discard(): void {
      if (received !== undefined) sys.close(received);
    },
  };
}

function closeStdio(sys: Sys, stdio: Stdio): void {
  for (const fd of stdio.terminal ? [stdio.master] : [stdio.stdin, stdio.stdout, stdio.stderr]) sys.close(fd);
}
