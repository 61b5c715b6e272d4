/**
 * The program's first file, read at every start: it binds the socket and prints the address, and only then loads the
 * rest. Whatever it imports is paid for before containerd has its answer.
 */
import { closeSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { KataError, reasonOf } from '../error.ts';
import { identify } from '../sandbox/identity.ts';
import { answer, readBootstrap, readStdin } from '../shim/bootstrap.ts';
import { type CommandLine, parseCommandLine, USAGE } from '../shim/command-line.ts';
import { listen, socketPath } from '../shim/listen.ts';
import { loadCompiled } from './compiled.ts';
import type * as Rest from './serve.ts';

declare const __dirname: string;

/** Everything else, from the bundle beside this one. */
function rest(): typeof Rest {
  return loadCompiled(__dirname, 'serve.cjs', require) as typeof Rest;
}

process.umask(0o077);
main().catch((thrown: unknown) => {
  writeSync(2, `${reasonOf(thrown)}\n`);
  process.exit(1);
});

async function main(): Promise<void> {
  const line = parseCommandLine(process.argv.slice(2));
  switch (line.action) {
    case 'version':
      writeSync(1, `${rest().version()}\n`);
      return;
    case 'help':
      writeSync(1, USAGE);
      return;
    case 'info':
      readStdin();
      writeSync(1, rest().info());
      return;
    case 'delete':
      writeSync(1, await rest().remove(line));
      return;
    case 'start':
    case 'serve':
      await start(line);
  }
}

/** Serves; with `start` in the background, after the address is printed. */
async function start(line: CommandLine): Promise<void> {
  const identity = identify(line.address, line.namespace, line.id);
  if (line.address === '') throw new KataError('invalid_argument', "-address must name containerd's socket");
  const background = line.action === 'start';
  const bootstrap = readBootstrap(background ? readStdin() : new Uint8Array(0), line.namespace, line.id);
  const path = socketPath(line.socket, bootstrap.socketDirectory, identity.hash);
  const address = `unix://${path}`;
  const server = await listen(path);
  const bundle = resolve(line.bundle);
  writeFileSync(join(bundle, 'address'), address);
  if (server) writeFileSync(join(bundle, 'shim.pid'), `${process.pid}`);
  if (background) {
    writeSync(1, answer(bootstrap, address));
    // Another shim serves this id: its address is the answer, and nothing is left to be done.
    if (!server) return;
    detach();
  } else if (!server) {
    throw new KataError('already_exists', `another process serves ${address}`);
  }
  const { ttrpcAddress, options: startOptions } = bootstrap;
  rest().serve({ server, socket: path, identity, bundle, line, ttrpcAddress, startOptions, lib: __dirname });
}

/** Closes 0, 1 and 2, for whose end containerd waits, and keeps their numbers taken. */
function detach(): void {
  for (const fd of [0, 1, 2]) closeSync(fd);
  for (let fd = 0; fd < 3; fd++) openSync('/dev/null', 'r+');
}
