// A fresh process: microseconds of processor time, of all threads, from before a variant's bundle is read to its first translation.
// Arguments: bundle, document, and one of
//   plain      the bundle is required as it is
//   compile    not measured: leaves what V8 has made of the bundle and used beside it
//   compiled   that is used, as the shim uses it for its own
'use strict';
const { readFileSync, writeFileSync } = require('node:fs');
const { Script } = require('node:vm');
const [, , path, document, how] = process.argv;

const json = readFileSync(document);
const since = process.cpuUsage();
const { script, translate } = how === 'plain' ? require(path) : load();
const bytes = translate(json);
const { user, system } = process.cpuUsage(since);
if (bytes.length === 0) throw new Error('nothing was translated');
if (script?.cachedDataRejected) throw new Error(`${path}: compiled by another V8`);
if (how === 'compile') writeFileSync(`${path}.v8`, script.createCachedData());
process.stdout.write(String(user + system));

function load() {
  const source = `(function(exports,require,module){${readFileSync(path, 'latin1')}\n})`;
  const cachedData = how === 'compiled' ? readFileSync(`${path}.v8`) : undefined;
  const script = new Script(source, { filename: path, cachedData });
  const module = { exports: {} };
  script.runInThisContext()(module.exports, require, module);
  return { script, translate: module.exports.translate };
}
