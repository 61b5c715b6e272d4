/** guest/sys, the agent's system calls in C, called from QuickJS: probe.ts has the cases. */
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { finish } from '../../../setup/command.ts';
import { buildProgram } from './program.ts';

interface Line {
  readonly name?: string;
  readonly error?: string;
  readonly count?: number;
}

const sys = suite('guest/sys');
const program = await buildProgram(join(dirname(fileURLToPath(import.meta.url)), 'probe.ts'));
const files = join(program.directory, 'files');
await mkdir(files);
const { code, stdout, stderr } = await finish([program.path, files]);
await program.remove();
const lines = stdout
  .split('\n')
  .filter((line) => line !== '')
  .map((line) => JSON.parse(line) as Line);
const cases = lines.filter((line) => line.name !== undefined);

for (const { name = '', error } of cases) sys(name, () => assert.is(error, undefined));

sys('every case ran', () => {
  assert.is(code, 0, stderr);
  assert.is(lines.at(-1)?.count, cases.length, stderr);
  assert.ok(cases.length > 0);
});

sys.run();
