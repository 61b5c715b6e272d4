// A fresh process: microseconds from before a variant's module is read to its first translation. Arguments: module, document.
'use strict';
const { readFileSync } = require('node:fs');
const [, , path, document] = process.argv;
const json = readFileSync(document);
const since = process.hrtime.bigint();
const { translate } = require(path);
const bytes = translate(json);
const micros = Number(process.hrtime.bigint() - since) / 1000;
if (bytes.length === 0) throw new Error('nothing was translated');
process.stdout.write(String(micros));
