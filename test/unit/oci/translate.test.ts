import { deepStrictEqual } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { OCI_OUTPUT_BASE } from '../../../assembly/layout.ts';
import { EXPECTED_VALUE } from '../../../assembly/oci/errors.ts';
import type { KataError } from '../../../host/error.ts';
import type { Document } from '../../../host/oci/fault.ts';
import { translate, translateProcess, translateResources, translateSpec } from '../../../host/oci/translate.ts';
import type { OciExports } from '../../../host/oci/translate-wasm.ts';
import { BUILDS } from './builds.ts';
import { oracle, oracleType, reading } from './oracle.ts';

const FIXTURES = new URL('../../fixtures/oci/', import.meta.url);
const EVERY_FIELD = readFileSync(new URL('every-field.json', FIXTURES));

/** Fields of oci.proto that OCI JSON has no name for. */
const NAMELESS = new Set(['Windows.dummy', 'Solaris.dummy']);

function agrees(document: Document, json: string): void {
  const expected = oracle(document, json);
  for (const { name, translate } of BUILDS) {
    const encoded = translate(document, Buffer.from(json));
    deepStrictEqual(reading(document, encoded), reading(document, expected), name);
    // As short as the canonical form: no field occurs twice, no varint is padded, no default is written.
    assert.is(encoded.length, expected.length, name);
  }
}

const fixtures = suite('OCI fixtures');

for (const name of readdirSync(FIXTURES)) {
  const json = readFileSync(new URL(name, FIXTURES), 'utf8');
  fixtures(`${name} as protobufjs has it`, () => {
    agrees('Spec', json);
    // Also without white space.
    agrees('Spec', json.replace(/("(?:[^"\\]|\\.)*")|\s+/g, '$1'));
  });
}

fixtures('every-field.json sets every field of oci.proto', () => {
  const missing = new Set<string>();
  const met = new Set<string>();
  const visit = (name: string, value: Record<string, unknown>): void => {
    for (const field of oracleType(name).fieldsArray) {
      const id = `${name}.${field.name}`;
      const item = value[field.name];
      const type = field.resolve().resolvedType;
      if (item !== undefined) met.add(id);
      else missing.add(id);
      const below = [item ?? []].flat() as Record<string, unknown>[];
      if (type && !field.map) for (const element of below) visit(type.name, element);
    }
  };
  for (const { translate } of BUILDS) {
    visit('Spec', reading('Spec', translate('Spec', EVERY_FIELD)) as Record<string, unknown>);
    deepStrictEqual(new Set([...missing].filter((id) => !met.has(id))), NAMELESS);
  }
});

fixtures.run();

const documents = suite('OCI documents');

documents('the public functions translate a spec, a process and resources', () => {
  const rlimits = '{"rlimits":[{"type":"RLIMIT_NPROC","hard":18446744073709551615}],"args":["id"]}';
  const limits = '{"cpu":{"quota":-1},"pids":{"limit":7}}';
  deepStrictEqual(reading('Spec', translateSpec(EVERY_FIELD)), reading('Spec', oracle('Spec', EVERY_FIELD.toString())));
  deepStrictEqual(
    reading('Process', translateProcess(Buffer.from(rlimits))),
    reading('Process', oracle('Process', rlimits)),
  );
  deepStrictEqual(
    reading('LinuxResources', translateResources(Buffer.from(limits))),
    reading('LinuxResources', oracle('LinuxResources', limits)),
  );
});

documents('a translation is a copy that the next one leaves alone', () => {
  const first = translateSpec(Buffer.from('{"hostname":"first"}'));
  translateSpec(Buffer.from('{"hostname":"other"}'));
  assert.is(Buffer.from(first).toString(), '"\u0005first');
});

documents('an empty object is an empty message', () => {
  for (const document of ['Spec', 'Process', 'LinuxResources'] as const) agrees(document, ' {\r\n\t} ');
});

documents('null is an absent field, an empty value in a map, an empty element in a list', () => {
  agrees(
    'Spec',
    '{"root":null,"hostname":null,"mounts":null,"annotations":null,"process":{"terminal":null,"oomScoreAdj":null}}',
  );
  agrees(
    'Spec',
    '{"annotations":{"a":null,"":null},"mounts":[null,{"source":"x"},null],"process":{"args":["a",null]}}',
  );
  agrees('Process', '{"user":{"additionalGids":[null,1,null]}}');
});

documents('keys are compared whole, with their case, and unescaped', () => {
  const text = '{"Hostname":"A","hostnam":"B","hostnamee":"C","host\\u006eame":"yes","hostname\\u0000":"D"}';
  for (const { translate } of BUILDS)
    deepStrictEqual(reading('Spec', translate('Spec', Buffer.from(text))), { Hostname: 'yes' });
  const long = `{${JSON.stringify('hostname'.repeat(100))}:1,"":2,"hostname":"yes"}`;
  for (const { translate } of BUILDS)
    deepStrictEqual(reading('Spec', translate('Spec', Buffer.from(long))), { Hostname: 'yes' });
});

documents('escapes become the characters they stand for, half a surrogate pair U+FFFD', () => {
  const text = String.raw`"\"\\\/\b\f\n\r\t\u0001\u007f\u0080\u07ff\u0800\uffff\uFEFF\ud83d\ude00\uD800\udc00"`;
  agrees('Spec', `{"hostname":${text},"annotations":{${text}:${text}}}`);
  for (const half of ['\\ud800', '\\udfff', '\\ud800x', '\\ud800\\u0041', '\\udc00\\ud800', '\\ud800\\ud800\\udc00']) {
    agrees('Spec', `{"hostname":"${half}","process":{"args":["a${half}b"]}}`);
  }
});

documents('text of every length and kind keeps its bytes', () => {
  for (let length = 0; length < 70; length++) {
    for (const unit of ['a', 'é', '€', '😀', '\\n', '\ufeff'])
      agrees('Spec', `{"hostname":"${'x'.repeat(length)}${unit.repeat(length)}"}`);
  }
  for (const length of [127, 128, 16383, 16384, 2097151, 2097152]) {
    agrees('Spec', `{"root":{"path":"${'p'.repeat(length)}"},"annotations":{"k":"${'v'.repeat(length)}"}}`);
  }
});

documents('numbers keep all their bits', () => {
  const limits = [
    '0',
    '-0',
    '1',
    '-1',
    '127',
    '128',
    '9007199254740993',
    '9223372036854775807',
    '-9223372036854775808',
  ];
  for (const limit of limits) agrees('LinuxResources', `{"memory":{"limit":${limit}}}`);
  for (const hard of ['-0', '18446744073709551615', '9223372036854775808', '1000000000000000000']) {
    agrees('Process', `{"rlimits":[{"hard":${hard}}]}`);
  }
  for (const uid of ['0', '-0', '4294967295'])
    agrees('Process', `{"user":{"uid":${uid},"additionalGids":[${uid},${uid}]}}`);
});

documents('the last of equal keys replaces the others, whatever they held', () => {
  agrees('Spec', '{"hostname":"a","hostname":"b"}');
  agrees('Spec', '{"process":{"terminal":true,"terminal":false,"cwd":"/a","cwd":""}}');
  agrees('Spec', '{"process":{"args":["a","b"],"args":["c"]},"process":{"env":["d"]}}');
  agrees('Spec', '{"root":{"path":"a","readonly":true},"hostname":"h","root":{"path":"b"},"hostname":"i","root":{}}');
  agrees('Spec', '{"mounts":[{"source":"a"},{"source":"b"}],"ociVersion":"1","mounts":[],"hostname":"h"}');
  agrees('Spec', '{"mounts":[{"source":"a"}],"hostname":"h","mounts":null,"hostname":null}');
  agrees('Spec', '{"linux":{"seccomp":{"syscalls":[{"errnoRet":1,"names":["x"],"errnoRet":null,"names":["y"]}]}}}');
  agrees('Process', '{"user":{"additionalGids":[1,2],"uid":1,"additionalGids":[3],"uid":0}}');
  agrees(
    'Spec',
    `{"root":{"path":"${'a'.repeat(300)}"},"hostname":"h","linux":{"cgroupsPath":"/x"},"root":{"path":"b"}}`,
  );
  for (const { translate } of BUILDS) {
    const encoded = translate(
      'Spec',
      Buffer.from('{"annotations":{"a":"1","b":"2","a":"3"},"annotations":{"c":"4","c":null}}'),
    );
    deepStrictEqual(reading('Spec', encoded), { Annotations: { c: '' } });
  }
});

documents('unknown keys are skipped with all they hold', () => {
  const junk = '{"a":[1,-2.5e+10,0.1E-2,true,false,null,"s\\u0000\\n",{"b":{}},[]],"":[[[]]]}';
  agrees('Spec', `{"x":${junk},"process":{"x":${junk},"cwd":"/","user":{"y":${junk},"uid":1}},"hostname":"h","z":0}`);
});

documents('10 000 mounts and 5 000 seccomp rules', () => {
  const mounts = Array.from({ length: 10_000 }, (_, i) => ({
    destination: `/m/${i}`,
    type: 'bind',
    source: `/s/${i}`,
    options: ['rbind'],
  }));
  const syscalls = Array.from({ length: 5_000 }, (_, i) => ({
    names: Array.from({ length: (i % 40) + 1 }, (__, n) => `syscall_${i}_${n}`),
    action: 'SCMP_ACT_ERRNO',
    errnoRet: i % 3,
    args: [{ index: i % 6, value: i, op: 'SCMP_CMP_EQ' }],
  }));
  agrees('Spec', JSON.stringify({ mounts, linux: { seccomp: { defaultAction: 'SCMP_ACT_ALLOW', syscalls } } }));
});

documents('without WebAssembly the JavaScript twin translates', () => {
  const module = new URL('../../../host/oci/translate.ts', import.meta.url).href;
  const program = `
    const { translateSpec } = await import(${JSON.stringify(module)});
    delete globalThis.WebAssembly;
    process.stdout.write(translateSpec(Buffer.from('{"hostname":"twin"}')));
  `;
  const child = spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program], {
    encoding: 'utf8',
  });
  assert.is(child.stdout, '"\u0004twin', child.stderr);
});

documents('a WASM core that refuses what its twin translates is a fault of ours', () => {
  const broken: OciExports = {
    memory: { buffer: new ArrayBuffer(OCI_OUTPUT_BASE) },
    ociTranslate: () => -1,
    ociError: () => EXPECTED_VALUE,
    ociErrorOffset: () => 1,
  };
  assert.throws(
    () => translate(broken, 'Spec', Buffer.from('{}')),
    (thrown: KataError) => thrown.code === 'internal' && thrown.message.includes('fault 1 at byte 1'),
  );
});

documents.run();
