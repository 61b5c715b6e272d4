/** An agent of processes without containers: what ReadStdout, WriteStdin and Wait need of the true one, on QuickJS. */
import { serveConfigured } from '../../../guest/agent/channel.ts';
import { EventLoop } from '../../../guest/agent/loop.ts';
import { Process } from '../../../guest/agent/process.ts';
import { servicesOf } from '../../../guest/agent/service-table.ts';
import { type Sys, SysError } from '../../../guest/agent/sys.ts';

declare const sys: Sys & { errorPrototype(prototype: object): void };
declare const argv: readonly string[];

sys.errorPrototype(SysError.prototype);
const loop = new EventLoop(sys);
const processes = new Map<string, Process>();

function named({ exec_id: id }: { exec_id: string }): Process {
  const process = processes.get(id);
  if (!process) throw new Error(`no process ${id}`);
  return process;
}

const services = servicesOf(
  {},
  {},
  {},
  {},
  {
    ExecProcess: ({ exec_id: id, process }) => {
      const [stdin, stdout, stderr] = [sys.pipe(), sys.pipe(), sys.pipe()];
      const theirs = [stdin[0], stdout[1], stderr[1]] as const;
      for (const fd of theirs) sys.setNonBlocking(fd, false);
      const pid = sys.spawn({ argv: process?.Args ?? [], env: ['PATH=/usr/bin:/bin'], stdio: theirs });
      for (const fd of theirs) sys.close(fd);
      const ours = { terminal: false, stdin: stdin[1], stdout: stdout[0], stderr: stderr[0] } as const;
      processes.set(id, new Process(sys, loop, id, pid, ours));
      return {};
    },
    ReadStdout: async (request, call) => ({ data: await named(request).stdout.read(request.len, call) }),
    ReadStderr: async (request, call) => ({
      data: (await named(request).stderr?.read(request.len, call)) ?? new Uint8Array(0),
    }),
    WriteStdin: async (request) => {
      await named(request).stdin.write(request.data);
      return { len: request.data.length };
    },
    CloseStdin: (request) => {
      named(request).stdin.close();
      return {};
    },
    WaitProcess: async (request, call) => ({ status: await named(request).wait(call) }),
  },
);
serveConfigured(sys, loop, services, Promise.resolve(), argv[1]);

Object.assign(globalThis, {
  turn: (): boolean => {
    loop.turn();
    return true;
  },
});
