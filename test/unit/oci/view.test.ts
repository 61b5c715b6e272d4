import { deepStrictEqual } from 'node:assert';
import { readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { KataError } from '../../../host/error.ts';
import { readSpec, type SpecView } from '../../../host/oci/rewrite.ts';
import { translateSpec } from '../../../host/oci/translate.ts';

type Values = Record<string, unknown>;

const EVERY_FIELD = readFileSync(new URL('../../fixtures/oci/every-field.json', import.meta.url));
const MINIMAL = { process: { args: ['sh'], cwd: '/' }, root: { path: 'rootfs' } };

function encoded(spec: object): Uint8Array {
  return translateSpec(Buffer.from(JSON.stringify(spec)));
}

function viewOf(spec: object): SpecView {
  return readSpec(encoded(spec));
}

function refuses(spec: object, message: string): void {
  try {
    readSpec(encoded(spec));
  } catch (thrown) {
    assert.instance(thrown, KataError);
    assert.is((thrown as KataError).code, 'invalid_argument');
    assert.is((thrown as KataError).message, message);
    return;
  }
  assert.unreachable(message);
}

const view = suite('readSpec');

view('container types and sandbox ids by annotation', () => {
  const cases: readonly [Record<string, string>, string, string | undefined][] = [
    [{}, 'single_container', undefined],
    [{ 'io.kubernetes.cri.container-type': 'sandbox', 'io.kubernetes.cri.sandbox-id': 's' }, 'pod_sandbox', undefined],
    [{ 'io.kubernetes.cri.container-type': 'container', 'io.kubernetes.cri.sandbox-id': 's' }, 'pod_container', 's'],
    [{ 'io.kubernetes.cri-o.ContainerType': 'sandbox' }, 'pod_sandbox', undefined],
    [{ 'io.kubernetes.cri-o.ContainerType': 'container', 'io.kubernetes.cri-o.SandboxID': 'o' }, 'pod_container', 'o'],
    [{ 'io.kubernetes.docker.type': 'podsandbox' }, 'pod_sandbox', undefined],
    [{ 'io.kubernetes.docker.type': 'container', 'io.kubernetes.sandbox.id': 'd' }, 'pod_container', 'd'],
    [
      { 'io.kubernetes.docker.type': 'nonsense', 'io.kubernetes.cri.container-type': 'sandbox' },
      'pod_sandbox',
      undefined,
    ],
    [{ 'io.kubernetes.cri.sandbox-id': 's' }, 'single_container', undefined],
  ];
  for (const [annotations, type, id] of cases) {
    const { containerType, sandboxId } = viewOf({ ...MINIMAL, annotations });
    deepStrictEqual([containerType, sandboxId], [type, id], JSON.stringify(annotations));
  }
});

view('annotations that make no sense', () => {
  for (const value of ['', 'podsandbox', 'constructor', '__proto__']) {
    refuses(
      { ...MINIMAL, annotations: { 'io.kubernetes.cri.container-type': value } },
      `config.json: annotation io.kubernetes.cri.container-type is "${value}"; it must be sandbox or container`,
    );
  }
  refuses(
    { ...MINIMAL, annotations: { 'io.kubernetes.cri.container-type': 'container' } },
    "config.json: a container of a pod without its sandbox's id; set the annotation io.kubernetes.cri.sandbox-id or io.kubernetes.cri-o.SandboxID or io.kubernetes.sandbox.id",
  );
});

view('what every container needs', () => {
  refuses({ root: { path: '/' } }, 'config.json: process is missing; the program to run stands in process.args');
  refuses(
    { process: { cwd: '/' }, root: { path: '/' } },
    'config.json: process.args is missing; name the program to run',
  );
  refuses({ process: { args: ['sh'] } }, 'config.json: root is missing; root.path names the root file system');
  refuses({ process: { args: ['sh'] }, root: {} }, 'config.json: root.path is missing; it names the root file system');
});

view('every field', () => {
  const spec = JSON.parse(EVERY_FIELD.toString());
  const seen = readSpec(translateSpec(EVERY_FIELD));
  assert.is(seen.containerType, 'single_container');
  deepStrictEqual(seen.args, spec.process.args);
  assert.is(seen.terminal, true);
  deepStrictEqual(seen.consoleSize, { Height: 40, Width: 132 });
  assert.is(seen.rootPath, 'rootfs');
  assert.is(seen.rootReadonly, true);
  assert.is(seen.hostname, 'every-field');
  deepStrictEqual(
    seen.mounts,
    spec.mounts.map(({ destination, source, type, options = [] }: Values) => ({ destination, source, type, options })),
  );
  deepStrictEqual(
    seen.namespaces,
    spec.linux.namespaces.map(({ type, path = '' }: Values) => ({ Type: type, Path: path })),
  );
  deepStrictEqual(
    seen.devices.map(({ Path }) => Path),
    ['/dev/fuse', '/dev/sda'],
  );
  deepStrictEqual(Object.entries(seen.annotations).sort(), Object.entries(spec.annotations).sort());
  assert.is(seen.cgroupsPath, '/kubepods/pod/every');
  deepStrictEqual(seen.resources, { memoryLimit: 536870912, cpuQuota: -1, cpuPeriod: 100000, cpuShares: 1024 });
  assert.is(seen.hooks?.Prestart[0]?.Path, '/bin/prestart');
  assert.is(seen.hooks?.Poststop[0]?.Timeout, 1);
});

view('absent fields', () => {
  const seen = viewOf(MINIMAL);
  deepStrictEqual(
    { ...seen, annotations: { ...seen.annotations } },
    {
      containerType: 'single_container',
      sandboxId: undefined,
      args: ['sh'],
      terminal: false,
      consoleSize: undefined,
      rootPath: 'rootfs',
      rootReadonly: false,
      hostname: '',
      mounts: [],
      namespaces: [],
      devices: [],
      annotations: {},
      cgroupsPath: '',
      resources: { memoryLimit: 0, cpuQuota: 0, cpuPeriod: 0, cpuShares: 0 },
      hooks: undefined,
    },
  );
});

view.run();
