/** A node for tests: sandboxes whose shims answer, hang or send rubbish on sockets of their own. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Places } from '../../../host/monitor/discover.ts';
import { identityOf } from '../../../host/process.ts';
import { identify } from '../../../host/sandbox/identity.ts';
import { monitorSocket } from '../../../host/sandbox/monitor-link.ts';
import { type SandboxDescription, STATE_VERSION, statePath } from '../../../host/sandbox/state-file.ts';

/** How long an answer takes, ms. */
const ANSWER_MS = 5;

/** What a shim answers: a path's body; undefined: nothing, ever. */
export type Answers = (path: string) => string | Buffer | undefined;

export const TIMELINE = {
  shim_start: 0,
  create: 30,
  vm_start: 50,
  guest_start: 150,
  agent_ready: 1550,
  sandbox_created: 1600,
  container_create: 1610,
  container_created: 1660,
  container_start: 1700,
  container_started: 1705,
};

export class FakeNode {
  readonly directory = mkdtempSync(join(tmpdir(), 'kata-node-'));
  readonly runtimeDirectory = join(this.directory, 'run');
  readonly kataDirectory = join(this.directory, 'sbs');
  /** Most requests that waited for their answer at a time; each waits a little. */
  most = 0;
  private waiting = 0;
  private readonly servers: Server[] = [];

  get places(): Places {
    return {
      runtimeDirectory: this.runtimeDirectory,
      kataDirectories: [this.kataDirectory, join(this.directory, 'no')],
    };
  }

  /** A sandbox of this project's. */
  async add(
    id: string,
    answers: Answers,
    description: SandboxDescription & Record<string, unknown> = {},
  ): Promise<string> {
    const { directory } = identify('/run/containerd.sock', 'k8s.io', id, this.runtimeDirectory);
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const state = {
      version: STATE_VERSION,
      id,
      namespace: 'k8s.io',
      address: '/run/containerd.sock',
      bundle: '/bundle',
      socket: '/socket',
      shim: { name: 'shim', ...identityOf(process.pid) },
      children: [],
      timeline: TIMELINE,
      ...description,
    };
    writeFileSync(statePath(directory), JSON.stringify(state));
    await this.listen(monitorSocket(directory), answers);
    return directory;
  }

  /** One of Kata's own. */
  async addKata(id: string, answers: Answers): Promise<void> {
    mkdirSync(join(this.kataDirectory, id), { recursive: true });
    await this.listen(join(this.kataDirectory, id, 'shim-monitor.sock'), answers);
  }

  /** The link that a sandbox of this project's has beside Kata's. */
  link(id: string, directory: string): void {
    mkdirSync(join(this.kataDirectory, id), { recursive: true });
    symlinkSync(monitorSocket(directory), join(this.kataDirectory, id, 'shim-monitor.sock'));
  }

  async close(): Promise<void> {
    await Promise.all(this.servers.map((server) => new Promise((resolve) => server.close(resolve))));
    rmSync(this.directory, { recursive: true, force: true });
  }

  private listen(path: string, answers: Answers): Promise<void> {
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', async (head) => {
        this.most = Math.max(this.most, ++this.waiting);
        await sleep(ANSWER_MS);
        this.waiting--;
        const [, target = ''] = head.toString().split(' ');
        const body = answers(target);
        if (body === undefined) return;
        const status = body === '' ? '404 Not Found' : '200 OK';
        socket.write(`HTTP/1.1 ${status}\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n`);
        socket.end(body);
      });
      closing.push(() => socket.destroy());
    });
    const closing: (() => void)[] = [];
    const close = server.close.bind(server);
    server.close = (done) => {
      for (const each of closing) each();
      return close(done);
    };
    this.servers.push(server);
    return new Promise((resolve) => server.listen(path, resolve));
  }
}

/** About what a shim of ours says. */
export function shimText(lines = 700): string {
  const many = Array.from({ length: lines }, (_, i) => `kata_guest_vm_stat{item="item_number_${i}"} ${i * 17}\n`).join(
    '',
  );
  return `# HELP kata_shim_threads Threads\n# TYPE kata_shim_threads gauge\nkata_shim_threads 9\n# TYPE kata_guest_vm_stat gauge\n${many}`;
}
