// A process of one variant, which translates a document over and over: says `ready`, then answers each line with microseconds of
// processor time of one translation: of all threads, so that collecting garbage counts. Arguments: module, document.
'use strict';
const { readFileSync } = require('node:fs');
const { createInterface } = require('node:readline');
const [, , path, document] = process.argv;
/** Translations before the first measurement, and of one measurement. */
const WARM_UP = 4000;
const TURN = 2000;

const json = readFileSync(document);
const { translate } = require(path);
let bytes = 0;
for (let i = 0; i < WARM_UP; i++) bytes += translate(json).length;
process.stdout.write('ready\n');
createInterface({ input: process.stdin }).on('line', () => {
  const since = process.cpuUsage();
  for (let i = 0; i < TURN; i++) bytes += translate(json).length;
  const { user, system } = process.cpuUsage(since);
  process.stdout.write(`${(user + system) / TURN}\n`);
});
process.on('exit', () => {
  if (bytes === 0) process.exitCode = 1;
});
