/** `npm run build`: everything, or the parts named as arguments (wasm, native, shim, guest). */
import { reasonOf } from '../host/error.ts';
import { BUILDS, build } from './builds.ts';

const names = process.argv.slice(2);
const unknown = names.filter((name) => !BUILDS.some((part) => part.name === name));
try {
  if (unknown.length > 0) {
    throw new Error(`no such part: ${unknown.join(', ')}; there are ${BUILDS.map((part) => part.name).join(', ')}`);
  }
  await build(names.length === 0 ? undefined : names);
} catch (error) {
  process.stderr.write(`${reasonOf(error)}\n`);
  process.exitCode = 1;
}
