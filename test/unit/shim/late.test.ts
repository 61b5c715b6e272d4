/** What most pods never use is not loaded with the shim: it is reached by `import()` alone. */
import { build } from 'esbuild';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ROOT } from '../../../setup/paths.ts';

const late = suite('what is loaded late');

/** Files that are loaded with an entry point, and modules of Node's. */
async function loadedWith(entry: string): Promise<Set<string>> {
  const { metafile } = await build({
    entryPoints: [entry],
    absWorkingDir: ROOT,
    bundle: true,
    write: false,
    metafile: true,
    platform: 'node',
    format: 'cjs',
    logLevel: 'silent',
    define: { 'import.meta.url': '""' },
  });
  const found = new Set<string>();
  const waiting = [entry];
  for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
    if (found.has(file)) continue;
    found.add(file);
    for (const { path, kind } of metafile.inputs[file]?.imports ?? []) {
      if (kind === 'import-statement' || kind === 'require-call') waiting.push(path);
    }
  }
  return found;
}

late('the debug console, traces, journal and syslog, and HTTP', async () => {
  const loaded = await loadedWith('host/bin/serve.ts');
  assert.ok(loaded.has('host/shim/log.ts'), 'the graph is read');
  const files = [...loaded].filter((file) => file.startsWith('host/tracing/'));
  assert.equal(files, []);
  for (const file of [
    'host/management/debug-console.ts',
    'host/management/agent-console.ts',
    'host/management/dialled-console.ts',
    'host/management/server.ts',
    'host/shim/datagram-log.ts',
    'node:http',
    'node:https',
  ]) {
    assert.not.ok(loaded.has(file), file);
  }
});

late('for the help text of exec: neither its client nor HTTP', async () => {
  const loaded = await loadedWith('host/bin/runtime.ts');
  for (const file of ['host/cli/console-client.ts', 'host/sandbox/census.ts', 'node:http']) {
    assert.not.ok(loaded.has(file), file);
  }
});

late.run();
