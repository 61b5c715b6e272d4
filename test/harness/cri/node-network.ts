/** The node's network as the daemon and the pods' peers see it: a network namespace that this program is not in. */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Server, Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { inNetworkNamespace } from '../../../setup/network-namespace.ts';

const CONNECTOR = fileURLToPath(new URL('connector.mjs', import.meta.url));

interface Answer {
  readonly id: number;
  readonly error?: string;
}

interface Waiting {
  resolve(handle: Socket | Server): void;
  reject(error: Error): void;
}

export class NodeNetwork {
  #child: ChildProcess | undefined;
  #next = 0;
  readonly #waiting = new Map<number, Waiting>();

  /** @param file what holds the namespace */
  constructor(readonly file: string) {}

  /** A connection from the node, paused. @throws Error when it is refused */
  connect(host: string, port: number): Promise<Socket> {
    return this.#ask('connect', host, port) as Promise<Socket>;
  }

  /** A listener on the node. @param port 0: any free one */
  listen(host: string, port = 0): Promise<Server> {
    return this.#ask('listen', host, port) as Promise<Server>;
  }

  /** The command line that runs `argv` on the node. */
  command(argv: readonly string[]): string[] {
    return inNetworkNamespace(this.file, argv);
  }

  /** Ends the helper process, which keeps this program alive; connections stay. */
  close(): void {
    this.#child?.disconnect();
    this.#child = undefined;
  }

  #ask(what: 'connect' | 'listen', host: string, port: number): Promise<Socket | Server> {
    this.#child ??= this.#start();
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#child?.send({ id, what, host, port });
    });
  }

  #start(): ChildProcess {
    const [program = '', ...args] = inNetworkNamespace(this.file, [process.execPath, CONNECTOR]);
    const child = spawn(program, args, { env: {}, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    child.on('message', (answer: Answer, handle) => {
      const waiting = this.#waiting.get(answer.id);
      this.#waiting.delete(answer.id);
      if (answer.error === undefined && handle) waiting?.resolve(handle as Socket | Server);
      else waiting?.reject(new Error(answer.error ?? 'no connection came'));
    });
    child.on('exit', (code) => {
      for (const { reject } of this.#waiting.values()) reject(new Error(`${CONNECTOR} ended with ${code}`));
      this.#waiting.clear();
    });
    return child;
  }
}
