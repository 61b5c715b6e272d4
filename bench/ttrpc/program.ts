/** A program of a measurement: started, ready once it says so, asked line by line. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** Milliseconds until it is ready, and until it answers a line. */
const PATIENCE_MS = 30_000;

export class Program {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  private constructor(readonly argv: readonly string[]) {
    this.#child = spawn(argv[0] ?? '', argv.slice(1), { stdio: ['pipe', 'pipe', 'inherit'] });
    // What cannot be started says nothing either.
    this.#child.on('error', () => {});
    const { stdout } = this.#child;
    if (!stdout) throw new Error(`${argv.join(' ')} has no output`);
    this.#lines = createInterface({ input: stdout })[Symbol.asyncIterator]();
  }

  /** @throws Error when it does not say `ready` first */
  static async start(argv: readonly string[]): Promise<Program> {
    const program = new Program(argv);
    const first = await program.#next().catch((error: unknown) => {
      program.stop();
      throw error;
    });
    if (first === 'ready') return program;
    program.stop();
    throw new Error(`${argv.join(' ')} said ${first} where it was to be ready`);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** @returns the line it answers */
  ask(line: string): Promise<string> {
    this.#child.stdin?.write(`${line}\n`);
    return this.#next();
  }

  stop(): void {
    this.#child.kill('SIGKILL');
  }

  async #next(): Promise<string> {
    const name = this.argv.join(' ');
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`${name} said nothing for ${PATIENCE_MS} ms`)), PATIENCE_MS);
    });
    const { value, done } = await Promise.race([this.#lines.next(), late]).finally(() => clearTimeout(timer));
    if (done) throw new Error(`${name} has ended`);
    return value;
  }
}
