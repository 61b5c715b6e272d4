/** docs/metrics.md lists the metrics there are; and the names and labels that Kata's dashboard asks for are among them. */
import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { CATALOGUE } from '../../../host/metrics/catalogue.ts';
import { METRICS_DOCUMENT, withTables } from '../../../setup/metrics-reference.ts';
import { OF_MONITOR, OF_SANDBOX } from '../../harness/kata-dashboard.ts';

const all = Object.values(CATALOGUE).flat();

test('docs/metrics.md is up to date', () => {
  const document = readFileSync(METRICS_DOCUMENT, 'utf8');
  assert.is(document, withTables(document), 'run: node --import tsx setup/metrics-reference.ts');
});

test('what Kata’s dashboard asks for is told, with its labels', () => {
  for (const { name, labels = {} } of [...OF_MONITOR, ...OF_SANDBOX]) {
    const metric = all.find((each) => each.name === name);
    assert.ok(metric, name);
    assert.ok(metric.kata, name);
    for (const label of Object.keys(labels)) assert.ok(metric.labels.includes(label), `${name}{${label}}`);
  }
});

test('each name is there once, in words of one line', () => {
  assert.is(new Set(all.map(({ name }) => name)).size, all.length);
  for (const { name, help } of all) {
    assert.match(name, /^kata_[a-z0-9_]+$/);
    assert.match(help, /^[^\n]{5,200}$/, name);
  }
});

test.run();
