/** Manifests and the Helm chart: read by a YAML parser, rendered by Go's templates, as Kubernetes and Helm do. */
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parse, parseAllDocuments } from 'yaml';
import { HOST_OVERHEAD_MIB } from '../../host/resources/sizing.ts';
import { describe, type Finished, finish, succeed } from '../../setup/command.ts';
import { buildGo, goPackages } from '../../setup/go-packages.ts';
import { BUILD, DEBIAN_CACHE, GO, GO_CACHE, ROOT } from '../../setup/paths.ts';

const KUBERNETES = join(ROOT, 'deploy/kubernetes');
const CHART = join(ROOT, 'deploy/helm/kata-edge');
const RENDER = join(BUILD, 'test', 'helm-render');
const CERTIFICATE = join(ROOT, 'test/fixtures/tls/cert.pem');
const VERSION = (JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }).version;

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly labels?: Record<string, string> };
  // biome-ignore lint/suspicious/noExplicitAny: any manifest
  readonly [key: string]: any;
}

interface Values {
  readonly [key: string]: unknown;
}

const test = suite('kubernetes');

test.before(async () => {
  await buildGo(await goPackages(GO, DEBIAN_CACHE, () => {}), join(ROOT, 'test/deploy/helm'), RENDER, GO_CACHE);
});

test('the RuntimeClass covers what a virtual machine takes beside its pod', () => {
  const [runtimeClass] = manifests(join(KUBERNETES, 'runtimeclass.yaml'));
  assert.is(runtimeClass?.kind, 'RuntimeClass');
  assert.is(runtimeClass?.handler, 'kata');
  const memory = Number(/^(\d+)Mi$/.exec(runtimeClass?.overhead.podFixed.memory)?.[1]);
  const defaults = readFileSync(join(BUILD, 'share/defaults/kata-containers/configuration.toml'), 'utf8');
  const guest = Number(/^#? ?overhead_memory = (\d+)$/m.exec(defaults)?.[1]);
  // A pod's cgroup has its limit and this; the shim refuses a limit that does not hold the machine.
  assert.ok(memory >= guest + HOST_OVERHEAD_MIB.kvm, `${memory} < ${guest} + ${HOST_OVERHEAD_MIB.kvm}`);
  assert.equal(runtimeClass?.scheduling.nodeSelector, { 'katacontainers.io/kata-runtime': 'true' });
});

test('the DaemonSet runs the image that npm run package makes', () => {
  const all = manifests(join(KUBERNETES, 'daemonset.yaml'));
  assert.equal(
    all.map(({ kind }) => kind),
    ['ServiceAccount', 'ClusterRole', 'ClusterRoleBinding', 'DaemonSet'],
  );
  const pod = all[3]?.spec.template.spec;
  assert.is(pod.containers[0].image, `localhost/kata-edge:${VERSION}`);
  assert.is(pod.hostPID, true, 'running shims are looked for');
  expectConsistent(all);
});

test('the chart, as it is', async () => {
  const all = await render({});
  assert.equal(all.map(({ kind }) => kind).sort(), [
    'ClusterRole',
    'ClusterRoleBinding',
    'DaemonSet',
    'RuntimeClass',
    'Service',
    'ServiceAccount',
  ]);
  expectConsistent(all);
  const [runtimeClass] = manifests(join(KUBERNETES, 'runtimeclass.yaml'));
  const rendered = all.find(({ kind }) => kind === 'RuntimeClass');
  assert.equal(rendered?.overhead, runtimeClass?.overhead);
  const [install, monitor] = all.find(({ kind }) => kind === 'DaemonSet')?.spec.template.spec.containers ?? [];
  assert.is(install.image, `localhost/kata-edge:${VERSION}`);
  assert.equal(environment(install), { HANDLER: 'kata', RESTART: 'yes', UNINSTALL: 'no' });
  assert.match(monitor.command[2], '--listen-address 0.0.0.0:8090');
});

test('the chart with everything else', async () => {
  const all = await render({
    image: { repository: 'registry.example/edge', tag: 'v9', pullPolicy: 'Always' },
    handler: 'kata-edge',
    runtimeClass: { create: true, name: 'vm', overhead: { memory: '320Mi', cpu: '1' } },
    restartContainerd: false,
    uninstallOnDelete: true,
    nodeSelector: { 'kubernetes.io/os': 'linux', pool: 'edge' },
    monitor: {
      enabled: true,
      port: 9999,
      serviceMonitor: { enabled: true, interval: '1m', labels: { release: 'prometheus' } },
    },
  });
  expectConsistent(all);
  const runtimeClass = all.find(({ kind }) => kind === 'RuntimeClass');
  assert.is(runtimeClass?.metadata.name, 'vm');
  assert.is(runtimeClass?.handler, 'kata-edge');
  const monitor = all.find(({ kind }) => kind === 'ServiceMonitor');
  assert.is(monitor?.metadata.labels?.release, 'prometheus');
  assert.is(monitor?.spec.endpoints[0].interval, '1m');
  const pod = all.find(({ kind }) => kind === 'DaemonSet')?.spec.template.spec;
  assert.is(pod.nodeSelector.pool, 'edge');
  assert.is(pod.containers[0].image, 'registry.example/edge:v9');
  assert.equal(environment(pod.containers[0]), { HANDLER: 'kata-edge', RESTART: 'no', UNINSTALL: 'yes' });
});

test('the chart without RuntimeClass and monitor', async () => {
  const all = await render({ runtimeClass: { create: false }, monitor: { enabled: false } });
  assert.equal(all.map(({ kind }) => kind).sort(), [
    'ClusterRole',
    'ClusterRoleBinding',
    'DaemonSet',
    'ServiceAccount',
  ]);
  assert.is(all.find(({ kind }) => kind === 'DaemonSet')?.spec.template.spec.containers.length, 1);
});

test('the values have a schema that knows each of them', () => {
  const schema = JSON.parse(readFileSync(join(CHART, 'values.schema.json'), 'utf8')) as Schema;
  const values = parse(readFileSync(join(CHART, 'values.yaml'), 'utf8')) as Values;
  const check = (at: string, part: Schema | undefined, value: unknown) => {
    assert.ok(part, `values.schema.json does not know ${at}`);
    if (part?.additionalProperties === false) {
      for (const [name, inner] of Object.entries(value as Values))
        check(`${at}.${name}`, part.properties?.[name], inner);
    } else if (part?.pattern !== undefined) assert.match(String(value), new RegExp(part.pattern));
  };
  check('values', schema, values);
});

test('a node gets its label, and loses it', async () => {
  const asked: string[] = [];
  const server = await apiServer((line, answer) => {
    asked.push(line);
    answer(200, '{}');
  });
  try {
    for (const value of ['true', '']) {
      const done = await label(server, 'a node', value);
      assert.is(done.code, 0, describe(done));
    }
  } finally {
    server.close();
  }
  const at = 'PATCH /api/v1/nodes/a%20node Bearer a-token application/merge-patch+json';
  assert.equal(asked, [
    `${at} {"metadata":{"labels":{"katacontainers.io/kata-runtime":"true"}}}`,
    `${at} {"metadata":{"labels":{"katacontainers.io/kata-runtime":null}}}`,
  ]);
});

test('a node that may not be labelled says why', async () => {
  const server = await apiServer((_, answer) => answer(403, 'nodes "n" is forbidden'));
  try {
    const done = await label(server, 'n', 'true');
    assert.is(done.code, 1);
    assert.match(done.stderr, /node n cannot be labelled.*403.*forbidden/);
  } finally {
    server.close();
  }
});

interface Schema {
  readonly additionalProperties?: unknown;
  readonly pattern?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
}

function manifests(file: string): Manifest[] {
  return documents(readFileSync(file, 'utf8'));
}

/** @throws Error for what is no YAML */
function documents(text: string): Manifest[] {
  return parseAllDocuments(text)
    .map((document) => {
      if (document.errors.length > 0) throw new Error(`${document.errors[0]?.message}\n${text}`);
      return document.toJS() as Manifest | null;
    })
    .filter((manifest) => manifest !== null);
}

/** What `helm template kata --namespace kube-system` would make. */
async function render(changes: Values): Promise<Manifest[]> {
  const values = overlaid(parse(readFileSync(join(CHART, 'values.yaml'), 'utf8')) as Values, changes);
  const { appVersion, name } = parse(readFileSync(join(CHART, 'Chart.yaml'), 'utf8')) as Record<string, string>;
  const release = { Name: 'kata', Namespace: 'kube-system', Service: 'Helm' };
  const context = { Values: values, Chart: { AppVersion: appVersion, Name: name }, Release: release };
  const files = JSON.parse(await succeed([RENDER, CHART], { stdin: JSON.stringify(context) })) as Record<
    string,
    string
  >;
  const { 'NOTES.txt': notes = '', ...rest } = files;
  assert.match(notes, 'runtimeClassName');
  return Object.values(rest).flatMap(documents);
}

function overlaid(base: Values, changes: Values): Values {
  const isTable = (value: unknown): value is Values =>
    typeof value === 'object' && value !== null && !Array.isArray(value);
  const entries = Object.entries(changes).map(([name, value]) => {
    const old = base[name];
    return [name, isTable(old) && isTable(value) ? overlaid(old, value) : value];
  });
  return { ...base, ...Object.fromEntries(entries) };
}

/** Names that refer to each other do. */
function expectConsistent(all: readonly Manifest[]): void {
  const one = (kind: string) => all.find((manifest) => manifest.kind === kind);
  const [account, role, binding, daemons] = ['ServiceAccount', 'ClusterRole', 'ClusterRoleBinding', 'DaemonSet'].map(
    one,
  );
  assert.is(binding?.roleRef.name, role?.metadata.name);
  assert.equal(binding?.subjects, [{ kind: 'ServiceAccount', ...pick(account) }]);
  const { selector, template } = daemons?.spec ?? {};
  assert.is(template.spec.serviceAccountName, account?.metadata.name);
  for (const [name, value] of Object.entries(selector.matchLabels)) assert.is(template.metadata.labels[name], value);
  const service = one('Service');
  for (const [name, value] of Object.entries(service?.spec.selector ?? {})) {
    assert.is(template.metadata.labels[name], value);
  }
  const monitor = one('ServiceMonitor');
  for (const [name, value] of Object.entries(monitor?.spec.selector.matchLabels ?? {})) {
    assert.is(service?.metadata.labels?.[name], value);
  }
}

function pick(manifest: Manifest | undefined): Record<string, unknown> {
  return { name: manifest?.metadata.name, namespace: manifest?.metadata.namespace };
}

function environment(container: { env: readonly { name: string; value?: string }[] }): Record<string, string> {
  return Object.fromEntries(container.env.flatMap(({ name, value }) => (value === undefined ? [] : [[name, value]])));
}

/** Answers each request; its line is method, path, authorization, type and body. */
async function apiServer(
  handle: (line: string, answer: (status: number, text: string) => void) => void,
): Promise<Server> {
  const tls = { key: readFileSync(join(ROOT, 'test/fixtures/tls/key.pem')), cert: readFileSync(CERTIFICATE) };
  const server = createServer(tls, (request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (part: string) => {
      body += part;
    });
    request.on('end', () => {
      const { authorization, 'content-type': type } = request.headers;
      handle(`${request.method} ${request.url} ${authorization} ${type} ${body}`, (status, text) =>
        response.writeHead(status).end(text),
      );
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

function label(server: Server, node: string, value: string): Promise<Finished> {
  const env = {
    NODE_NAME: node,
    TOKEN: 'a-token',
    CERTIFICATE: readFileSync(CERTIFICATE, 'utf8'),
    KUBERNETES_SERVICE_HOST: '127.0.0.1',
    KUBERNETES_SERVICE_PORT: String((server.address() as AddressInfo).port),
  };
  return finish([process.execPath, join(KUBERNETES, 'label.cjs'), 'katacontainers.io/kata-runtime', value], { env });
}

test.run();
