/** The guest's packet filter rules, where the guest has the programs for them. */
import { AgentError } from './error.ts';
import { InputStream } from './input.ts';
import { POLLHUP, POLLIN } from './loop-interface.ts';
import { type Guest, programPath } from './options.ts';
import { SharedFd } from './stream.ts';

/** Most bytes of rules. A frame takes 4 MiB. */
export const MAX_RULES_BYTES = 3 * 1024 * 1024;
/** Longest a program may take, ms. */
const TIMEOUT_MS = 30_000;
/** Seconds the program waits for the kernel's lock. */
const LOCK_WAIT_S = '5';
const SIGKILL = 9;
const READ_BYTES = 64 * 1024;

/** The rules as iptables-save writes them. @throws AgentError unimplemented without the program, internal if it fails */
export function getIpTables(guest: Guest, ipv6: boolean): Promise<Uint8Array> {
  return run(guest, [program(guest, `${ipv6 ? 'ip6' : 'ip'}tables-save`)], new Uint8Array(0));
}

/** Sets the rules from such text; what the program says. @throws as getIpTables */
export function setIpTables(guest: Guest, ipv6: boolean, rules: Uint8Array): Promise<Uint8Array> {
  const restore = program(guest, `${ipv6 ? 'ip6' : 'ip'}tables-restore`);
  return run(guest, [restore, '--wait', LOCK_WAIT_S], rules);
}

function program(guest: Guest, name: string): string {
  const found = programPath(guest, name);
  if (!found) throw new AgentError('unimplemented', `this guest has no ${name}`);
  return found;
}

async function run({ sys, loop }: Guest, argv: readonly string[], input: Uint8Array): Promise<Uint8Array> {
  const stdin = sys.pipe();
  const stdout = sys.pipe();
  sys.setNonBlocking(stdin[0], false);
  sys.setNonBlocking(stdout[1], false);
  const writer = new InputStream(sys, loop, new SharedFd(sys, stdin[1], 1), false);
  let pid: number;
  try {
    pid = sys.spawn({ argv, env: [], stdio: [stdin[0], stdout[1], stdout[1]] });
  } catch (thrown) {
    writer.abort('not started');
    sys.close(stdout[0]);
    throw thrown;
  } finally {
    sys.close(stdin[0]);
    sys.close(stdout[1]);
  }
  if (input.length > 0) writer.write(input).catch(() => {});
  writer.close();
  const chunks: Uint8Array[] = [];
  let total = 0;
  const output = new Promise<void>((resolve) => {
    const unwatch = loop.watch(stdout[0], POLLIN | POLLHUP, () => {
      const data = sys.read(stdout[0], READ_BYTES);
      if (data === null) return;
      total += data.length;
      if (data.length > 0 && total <= MAX_RULES_BYTES) {
        chunks.push(data);
        return;
      }
      unwatch();
      sys.close(stdout[0]);
      resolve();
    });
  });
  const ended = Promise.all([output, loop.exited(pid)]).then(([, status]) => status);
  const status = await Promise.race([ended, loop.sleep(TIMEOUT_MS)]);
  writer.abort('ended');
  if (status === undefined) sys.kill(pid, SIGKILL);
  // Before the status: a program that is cut off fails, too.
  if (total > MAX_RULES_BYTES) {
    throw new AgentError('resource_exhausted', `more than ${MAX_RULES_BYTES} bytes of rules`);
  }
  const text = new TextDecoder().decode(joined(chunks).subarray(0, 1000));
  if (status !== 0) throw new AgentError('internal', `${argv[0]} ended with ${status ?? 'a timeout'}: ${text}`);
  return joined(chunks);
}

function joined(chunks: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    out.set(chunk, at);
    at += chunk.length;
  }
  return out;
}
