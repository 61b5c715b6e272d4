/**
 * `node compile-bundle.mjs BUNDLE`: what V8 makes of a bundle goes to BUNDLE.v8, after the name of the build, which is the
 * bundle's last line; see host/bin/compiled.ts.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { Script } from 'node:vm';

/** As in host/bin/compiled.ts. */
const ID_LENGTH = 64;

const path = process.argv[2];
const source = readFileSync(path, 'latin1');
const script = new Script(source, { filename: path });
const module = { exports: {} };
script.runInThisContext()(module.exports, createRequire(path), module, path, dirname(path));
// The functions that write messages.
module.exports.info();
const id = Buffer.from(source.slice(-1 - ID_LENGTH, -1), 'latin1');
const fresh = `${path}.${process.pid}`;
writeFileSync(fresh, Buffer.concat([id, script.createCachedData()]));
renameSync(fresh, `${path}.v8`);
