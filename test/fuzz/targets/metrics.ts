/**
 * What a guest says of itself, and what a shim hands on of it: whatever the bytes, what comes out is strict Prometheus text of bounded
 * size, speaks of the guest and agent alone, and says the same when the monitor reads it again.
 */
import { ok, strictEqual } from 'node:assert/strict';
import { Families } from '../../../host/metrics/family.ts';
import { addGuestText } from '../../../host/metrics/guest.ts';
import { GUEST_LIMITS } from '../../../host/metrics/parse.ts';
import { addSandboxText, type SandboxName } from '../../../host/monitor/sandbox-text.ts';
import { mutate } from '../buffer.ts';
import type { Target } from '../target.ts';

const encoder = new TextEncoder();
const SAMPLES = [
  'kata_guest_load{item="load1"} 0.5\n',
  '# HELP kata_guest_meminfo Memory\n# TYPE kata_guest_meminfo gauge\nkata_guest_meminfo{item="mem_total"} 1.5e+08\n',
  'kata_guest_netdev_stat{interface="eth0",item="recv_bytes"} 12345 1700000000000\n',
  'kata_guest_filesystem_bytes{mount="/a \\"b\\" \\\\ \\n",device="vda",item="used"} NaN\n',
  'kata_agent_process_open_fds 7\nprocess_open_fds +Inf\ngo_gc_duration_seconds{quantile="0.5"} 1\n',
  'kata_shim_threads 5\nup{sandbox_id="x"} 1\n',
].map((text) => encoder.encode(text));
const TOKENS = [
  '{',
  '}',
  '"',
  '\\',
  '\\n',
  '\\"',
  ',',
  '=',
  ' ',
  '\t',
  '\n',
  '\r',
  '#',
  '# TYPE ',
  '# HELP ',
  'NaN',
  '+Inf',
]
  .concat(['kata_guest_', 'kata_agent_', 'kata_shim_', 'process_', 'sandbox_id', 'cri_name', '__name__', 'le', 'item'])
  .concat(['_bucket', '_sum', '_count', '\u001b[2J', '\u2028', '\ufeff', '1e999', '-0', '0x1', '1_0', '\u0000'])
  .map((text) => encoder.encode(text));
const LINE =
  /^kata_(agent|guest)_[a-z0-9_]+(\{([a-z]+="([^"\\\n]|\\[\\"n])*",?)+\})? (-?[0-9.]+(e[+-][0-9]+)?|NaN|[+-]Inf)$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
const CONTROLS = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u2029]/;
const SANDBOX: SandboxName = { id: 'sandbox', uid: 'uid', name: 'pod', namespace: 'default' };
const MAX_CHANGES = 12;

export function metricsTarget(): Target {
  return {
    name: 'metrics',
    room: 8 * 1024,
    generate(buffer, random) {
      for (let i = random.below(8); i >= 0; i--) buffer.append(random.pick(SAMPLES));
      for (let i = random.below(MAX_CHANGES); i > 0; i--) mutate(buffer, 0, random, SAMPLES, TOKENS);
    },
    check(input) {
      const families = new Families();
      addGuestText(families, Buffer.from(input).toString());
      const text = families.toString();
      const series = checkText(text);
      ok(series.size <= GUEST_LIMITS.series);
      const again = new Families();
      strictEqual(addSandboxText(again, text, SANDBOX), 0, 'the monitor takes every line of it');
      let samples = 0;
      for (const [, found] of again) {
        for (const { labels } of found)
          ok(labels.endsWith('sandbox_id="sandbox",cri_uid="uid",cri_name="pod",cri_namespace="default"'));
        samples += found.length;
      }
      strictEqual(samples, series.size);
    },
  };
}

/** @throws AssertionError for text that a strict reader would not take */
function checkText(text: string): Set<string> {
  ok(!CONTROLS.test(text), 'no control characters');
  const series = new Set<string>();
  const described = new Set<string>();
  let family = '';
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const [, what, name = ''] = /^# (HELP|TYPE) (\S+) /.exec(line) ?? [];
    if (what === 'HELP') {
      ok(!described.has(name), `${name} is described twice`);
      described.add(name);
      family = name;
      continue;
    }
    if (what === 'TYPE') continue;
    ok(LINE.test(line), line);
    const key = line.slice(0, line.lastIndexOf(' '));
    ok(!series.has(key), `${key} is there twice`);
    ok(key === family || key.startsWith(`${family}{`), `${key} stands among ${family}`);
    series.add(key);
  }
  return series;
}
