/**
 * Builds the WASM core from assembly/: build/wasm/core.{debug,release}.wasm, the debug build's text, and
 * host/core/wasm-bytes.ts, which embeds the release build and is committed. A test rebuilds and compares it.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
const EMBEDDED = join(ROOT, 'host', 'core', 'wasm-bytes.ts');
/** Characters of base64 a line. */
const LINE = 110;

/**
 * Compiles both targets of asconfig.json.
 * @returns {Promise<{debug: Uint8Array, debugText: string, release: Uint8Array}>}
 * @throws Error with the compiler's messages
 */
export async function compile() {
  // The compiler takes its targets' paths as they are: keep them out of the tree while others may build too.
  const out = mkdtempSync(join(tmpdir(), 'kata-wasm-'));
  try {
    const debug = join(out, 'debug.wasm');
    const text = join(out, 'debug.wat');
    const release = join(out, 'release.wasm');
    await run(['--target', 'debug', '--outFile', debug, '--textFile', text]);
    await run(['--target', 'release', '--outFile', release]);
    return { debug: readFileSync(debug), debugText: readFileSync(text, 'utf8'), release: readFileSync(release) };
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}

/** The module that embeds `bytes`. */
export function embed(bytes) {
  const base64 = Buffer.from(bytes).toString('base64');
  const lines = base64.match(new RegExp(`.{1,${LINE}}`, 'g')) ?? [];
  return `// Generated from assembly/ by setup/build-wasm.mjs with assemblyscript ${asc.version}. Do not edit: run \`npm run wasm\`.

const BASE64 =
${lines.map((line) => `  '${line}'`).join(' +\n')};

/** The release build of the WASM core, ${bytes.length} bytes; decoded when called. */
export function wasmBytes(): Uint8Array {
  return Buffer.from(BASE64, 'base64');
}
`;
}

async function run(options) {
  const stderr = asc.createMemoryStream();
  const argv = ['--baseDir', ROOT, '--config', 'asconfig.json', ...options];
  const { error } = await asc.main(argv, { stdout: asc.createMemoryStream(), stderr });
  if (error) throw new Error(`asc ${argv.join(' ')}: ${error.message}\n${stderr.toString()}`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const built = await compile();
  const out = join(ROOT, 'build', 'wasm');
  mkdirSync(out, { recursive: true });
  writeFileSync(join(out, 'core.debug.wasm'), built.debug);
  writeFileSync(join(out, 'core.debug.wat'), built.debugText);
  writeFileSync(join(out, 'core.release.wasm'), built.release);
  writeFileSync(EMBEDDED, embed(built.release));
}
