/** Runs a program on a terminal of its own (util-linux's `script`), types into it and reads what it shows. */
import { spawn } from 'node:child_process';
import type { Finished } from '../../setup/command.ts';
import { PATIENCE_MS } from './containers.ts';

export interface TerminalOptions {
  readonly env: Readonly<Record<string, string>>;
  readonly rows?: number;
  readonly columns?: number;
  /** What to type once something has been shown. */
  readonly answer?: { readonly after: string; readonly type: string };
}

/** Runs `argv` on a terminal to its end; stdout and stderr are one. */
export function inTerminal(argv: readonly string[], options: TerminalOptions): Promise<Finished> {
  const { rows = 24, columns = 80, answer } = options;
  const command = `stty rows ${rows} cols ${columns}; exec ${argv.map(quote).join(' ')}`;
  return new Promise((resolve, reject) => {
    const since = performance.now();
    const child = spawn('script', ['--quiet', '--return', '--command', command, '/dev/null'], {
      env: { ...options.env, SHELL: '/bin/sh', TERM: 'xterm' },
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    let shown = '';
    let answered = false;
    const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
    child.stdout.on('data', (chunk: Buffer) => {
      shown += chunk.toString();
      if (answer === undefined || answered || !shown.includes(answer.after)) return;
      answered = true;
      child.stdin.write(answer.type);
    });
    child.stdin.on('error', () => {});
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      const ms = performance.now() - since;
      const timedOut = signal === 'SIGKILL';
      resolve({ code: code ?? undefined, signal: signal ?? undefined, timedOut, stdout: shown, stderr: '', ms });
    });
  });
}

function quote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
