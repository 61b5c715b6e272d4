/** Bundles with what V8 made of them beside them. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Script } from 'node:vm';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { COMPILED_SUFFIX, ID_LENGTH, loadCompiled } from '../../../host/bin/compiled.ts';
import { ROOT } from '../../../setup/paths.ts';

const load = createRequire(import.meta.url);
const test = suite<{ directory: string }>('compiled bundles');

test.before.each((context) => {
  context.directory = mkdtempSync(join(tmpdir(), 'kata-compiled-'));
});
test.after.each(({ directory }) => rmSync(directory, { recursive: true }));

function bundle(body: string, id: string): string {
  return `(function(exports,require,module,__filename,__dirname){\n${body}\n})\n//${id.repeat(ID_LENGTH)}\n`;
}

/** What V8 makes of a text, under the name of a build. */
function compiled(text: string, id: string): Buffer {
  return Buffer.concat([Buffer.from(id.repeat(ID_LENGTH)), new Script(text).createCachedData()]);
}

test('a bundle gets what CommonJS gives a module', ({ directory }) => {
  writeFileSync(
    join(directory, 'a.cjs'),
    bundle('module.exports = { __filename, __dirname, sep: require("node:path").sep }', 'a'),
  );
  assert.equal(loadCompiled(directory, 'a.cjs', load), {
    __filename: join(directory, 'a.cjs'),
    __dirname: directory,
    sep: '/',
  });
});

test('what V8 made of the same build is used, of another build is not', ({ directory }) => {
  // Texts of one length: V8 by itself does not tell them apart.
  const old = bundle('module.exports = "old"', 'a');
  const now = bundle('module.exports = "new"', 'b');
  writeFileSync(join(directory, 'x.cjs'), now);
  writeFileSync(join(directory, `x.cjs${COMPILED_SUFFIX}`), compiled(old, 'b'));
  assert.is(loadCompiled(directory, 'x.cjs', load), 'old', 'the compiled code was not used');
  writeFileSync(join(directory, `x.cjs${COMPILED_SUFFIX}`), compiled(old, 'a'));
  assert.is(loadCompiled(directory, 'x.cjs', load), 'new');
});

test('what V8 does not take is not missed', ({ directory }) => {
  const text = bundle('exports.works = true', 'a');
  writeFileSync(join(directory, 'x.cjs'), text);
  for (const bytes of ['', 'a', 'a'.repeat(ID_LENGTH), `${'a'.repeat(ID_LENGTH)}${'\0'.repeat(4096)}`]) {
    writeFileSync(join(directory, `x.cjs${COMPILED_SUFFIX}`), bytes);
    assert.equal({ ...(loadCompiled(directory, 'x.cjs', load) as object) }, { works: true });
  }
});

test('the build leaves what V8 made of the bundle it left', () => {
  const path = join(ROOT, 'build/lib/serve.cjs');
  const source = readFileSync(path, 'latin1');
  assert.not.match(source, /[^\0-\x7f]/, 'the bundle is not ASCII');
  const bytes = readFileSync(path + COMPILED_SUFFIX);
  assert.is(bytes.toString('latin1', 0, ID_LENGTH), source.slice(-1 - ID_LENGTH, -1));
  assert.not.ok(new Script(source, { cachedData: bytes.subarray(ID_LENGTH) }).cachedDataRejected);
});

test.run();
