/** The agent as one static program: TypeScript bundled, compiled to byte code, linked with QuickJS and guest/sys. */
import { createHash } from 'node:crypto';
import { access, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'esbuild';
import { succeed } from '../../setup/command.ts';
import { CACHE, ROOT } from '../../setup/paths.ts';
import type { Architecture } from './recipe.ts';
import { buildMachine, compilerFor, GUEST_DIRECTORY, SYS_DIRECTORY } from './toolchain.ts';

/** quickjs-libc is not needed: guest/sys takes its place. */
const QUICKJS_SOURCES = ['quickjs.c', 'libregexp.c', 'libunicode.c', 'dtoa.c'];
/** The agent itself. */
export const AGENT_ENTRY = join(GUEST_DIRECTORY, 'agent', 'main.ts');
/** Where the package qjs-src has its files. */
export const QUICKJS_DIRECTORY = 'usr/src/quickjs-ng';
/** -Os would be half as fast. */
const QUICKJS_FLAGS = ['-O2', '-D_GNU_SOURCE', '-w', '-ffunction-sections', '-fdata-sections'];
const SYS_FLAGS = ['-O2', '-std=gnu11', '-D_GNU_SOURCE', '-Wall', '-Wextra', '-Werror', '-ffunction-sections'];
const LINK_FLAGS = ['-s', '-Wl,--gc-sections', '-Wl,--build-id=none', '-lm'];
const COMPILE_TIMEOUT_MS = 10 * 60_000;
/** The byte code compiler's source; everything else in guest/sys is the agent's. */
const COMPILER_SOURCE = 'compile.c';

/**
 * Builds the agent; returns its path.
 * @param entry the TypeScript to run; tests have their own
 * @param quickjs directory of the QuickJS source
 * @param key names this QuickJS source; its objects are kept under that name
 * @param work scratch directory
 * @throws Error with the compiler's words
 */
export async function buildAgent(
  entry: string,
  target: Architecture,
  quickjs: string,
  key: string,
  work: string,
): Promise<string> {
  const own = buildMachine();
  const objects = await quickjsObjects(target, quickjs, key);
  const compiler = await bytecodeCompiler(own, await quickjsObjects(own, quickjs, key), quickjs, work);
  const bytecode = join(work, 'bytecode.c');
  await succeed([compiler, await bundle(entry, work), bytecode]);
  const sources = (await readdir(SYS_DIRECTORY)).filter((name) => name.endsWith('.c') && name !== COMPILER_SOURCE);
  const output = join(work, 'agent');
  await succeed(
    [
      ...compilerFor(target).static,
      ...SYS_FLAGS,
      ...['-isystem', quickjs, '-I', SYS_DIRECTORY, '-o', output],
      ...sources.sort().map((name) => join(SYS_DIRECTORY, name)),
      ...[bytecode, ...objects, ...LINK_FLAGS],
    ],
    { timeoutMs: COMPILE_TIMEOUT_MS },
  );
  return output;
}

/** One script without imports: guest/sys/main.c gives it `sys`. */
async function bundle(entry: string, work: string): Promise<string> {
  const outfile = join(work, 'agent.js');
  const { version } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as { version: string };
  await build({
    entryPoints: [entry],
    outfile,
    bundle: true,
    format: 'iife',
    target: 'es2023',
    platform: 'neutral',
    define: { AGENT_VERSION: JSON.stringify(version) },
    logLevel: 'silent',
  });
  return outfile;
}

async function bytecodeCompiler(
  own: Architecture,
  objects: readonly string[],
  quickjs: string,
  work: string,
): Promise<string> {
  const output = join(work, 'compile');
  const source = join(SYS_DIRECTORY, COMPILER_SOURCE);
  await succeed([
    ...compilerFor(own).static,
    ...SYS_FLAGS,
    '-isystem',
    quickjs,
    '-o',
    output,
    source,
    ...objects,
    '-lm',
  ]);
  return output;
}

/** QuickJS takes half a minute to compile, so its objects are kept by source, compiler and options. */
async function quickjsObjects(target: Architecture, quickjs: string, key: string): Promise<string[]> {
  const compiler = compilerFor(target).static;
  const version = await succeed([compiler[0] as string, '-dumpfullversion', '-dumpmachine']);
  const hash = createHash('sha256').update(JSON.stringify([key, version, compiler, QUICKJS_FLAGS]));
  const directory = join(CACHE, 'quickjs', `${target.arch}-${hash.digest('hex').slice(0, 16)}`);
  const objects = QUICKJS_SOURCES.map((name) => join(directory, name.replace(/c$/, 'o')));
  const done = join(directory, 'done');
  if (
    await access(done).then(
      () => true,
      () => false,
    )
  )
    return objects;
  const next = `${directory}.${process.pid}`;
  await rm(next, { recursive: true, force: true });
  await mkdir(next, { recursive: true });
  for (const name of QUICKJS_SOURCES) {
    const object = join(next, name.replace(/c$/, 'o'));
    await succeed(
      [...compiler, ...QUICKJS_FLAGS, `-ffile-prefix-map=${quickjs}=quickjs`, '-c', join(quickjs, name), '-o', object],
      {
        timeoutMs: COMPILE_TIMEOUT_MS,
      },
    );
  }
  await writeFile(join(next, 'done'), '');
  await rm(directory, { recursive: true, force: true });
  await rename(next, directory);
  return objects;
}
