/** What is found of containerd: over its socket, in its files, in every distribution's places. */
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { createServer, type Http2Server, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import { dirname } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { containerd, handlersOf, PLACES, shimInPath } from '../../../host/cli/check/containerd.ts';
import { askCri, CRI_MS, MAX_ANSWER_BYTES } from '../../../host/cli/check/cri.ts';
import type { Finding } from '../../../host/cli/check/finding.ts';
import { CONTAINERD, type Fake, goodMachine, SHIM_SAYS } from './fake-machine.ts';

const test = suite('containerd as check finds it');
const SOCKET = '/run/containerd/containerd.sock';
const servers: Http2Server[] = [];
const sessions = new Set<ServerHttp2Session>();

test.after(() => {
  for (const session of sessions) session.destroy();
  for (const server of servers) server.close();
});

type Answer = (method: string, stream: ServerHttp2Stream) => void;

/** A CRI server that answers a call by hand. */
async function serve(fake: Fake, answer: Answer): Promise<string> {
  const path = fake.machine.root + SOCKET;
  mkdirSync(dirname(path), { recursive: true });
  const server = createServer();
  servers.push(server);
  server.on('session', (session) => sessions.add(session));
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    answer(`${headers[':path']}`, stream);
  });
  server.listen(path);
  await once(server, 'listening');
  return path;
}

/** A gRPC answer with its trailers. */
function reply(stream: ServerHttp2Stream, message: Buffer, status = '0', text = ''): void {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': status, 'grpc-message': text }));
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  stream.end(Buffer.concat([head, message]));
}

function field(number: number, value: Buffer | string): Buffer {
  const bytes = Buffer.from(value);
  const length: number[] = [];
  for (let left = bytes.length; ; left >>>= 7) {
    length.push(left > 127 ? (left & 127) | 128 : left);
    if (left <= 127) break;
  }
  return Buffer.concat([Buffer.from([(number << 3) | 2, ...length]), bytes]);
}

const VERSION = Buffer.concat([field(1, '0.1.0'), field(2, 'containerd'), field(3, '1.7.24'), field(4, 'v1')]);

/** StatusResponse with a configuration. */
function statusOf(config: unknown): Buffer {
  const entry = Buffer.concat([field(1, 'config'), field(2, JSON.stringify(config))]);
  return Buffer.concat([
    field(1, field(1, '')),
    field(2, entry),
    field(2, Buffer.concat([field(1, 'golang'), field(2, '"go1"')])),
  ]);
}

const good =
  (config: unknown): Answer =>
  (method, stream) =>
    reply(stream, method.endsWith('/Version') ? VERSION : statusOf(config));

/** As 1.7 and 2.x give it. */
const CONFIG = {
  containerd: {
    snapshotter: 'overlayfs',
    runtimes: {
      runc: { runtimeType: 'io.containerd.runc.v2' },
      kata: {
        runtimeType: 'io.containerd.kata.v2',
        privileged_without_host_devices: true,
        PodAnnotations: ['io.katacontainers.*'],
      },
      'kata-two': { runtimeType: 'io.containerd.kata.v2', privileged_without_host_devices: true, PodAnnotations: null },
    },
  },
};

async function find(fake: Fake): Promise<readonly Finding[]> {
  const found = await containerd.run(fake.situation());
  return Array.isArray(found) ? found : [found as Finding];
}

async function told(fake: Fake): Promise<string> {
  return (await find(fake)).map(({ status, found }) => `${status}: ${found}`).join(' | ');
}

test('a containerd that runs is asked, whatever its files say', async () => {
  const fake = goodMachine();
  fake.write('/etc/containerd/config.toml', 'version = 2\n');
  await serve(fake, good(CONFIG));
  assert.is(
    await told(fake),
    `ok: containerd 1.7.24 (${SOCKET}): runtime kata, kata-two; annotations io.katacontainers.* of pods are not passed on (pod_annotations)`,
  );
});

test('one that is elsewhere, and one that is not there', async () => {
  const fake = goodMachine();
  await serve(fake, good(CONFIG));
  const at = (containerdSocket: string): Fake => ({
    ...fake,
    situation: () => ({ ...fake.situation(), machine: { ...fake.machine, containerdSocket } }),
  });
  assert.match(await told(at(SOCKET)), 'ok: containerd 1.7.24');
  assert.match(await told(at('/elsewhere.sock')), 'warning: there is no /elsewhere.sock');
});

test('one that runs without the runtime', async () => {
  const fake = goodMachine();
  await serve(fake, good({ containerd: { runtimes: { runc: { runtimeType: 'io.containerd.runc.v2' } } } }));
  assert.match(await told(fake), /^warning: containerd 1.7.24 .*: no runtime of type io.containerd.kata.v2/);
});

for (const [name, answer, expected] of [
  ['an error', (_method, stream) => reply(stream, Buffer.alloc(0), '13', 'broken'), /gRPC status 13 broken/],
  [
    'no gRPC',
    (_method, stream) => {
      stream.respond({ ':status': 404 });
      stream.end('not found');
    },
    /gRPC status missing/,
  ],
  ['bytes that are no message', (_method, stream) => reply(stream, Buffer.from([0x12, 0xff])), /./],
  [
    'a configuration that is no JSON',
    (method, stream) =>
      reply(
        stream,
        method.endsWith('/Version') ? VERSION : field(2, Buffer.concat([field(1, 'config'), field(2, '{')])),
      ),
    /JSON/,
  ],
  [
    'an answer without end',
    (_method, stream) => {
      stream.respond({ ':status': 200 });
      const more = (): void => {
        while (!stream.destroyed && stream.write(Buffer.alloc(65536)));
        stream.once('drain', more);
      };
      more();
    },
    /more than/,
  ],
  ['no answer', () => {}, /no answer to Version/],
  ['an end', (_method, stream) => stream.session?.destroy(), /./],
] as const satisfies readonly (readonly [string, Answer, RegExp])[]) {
  test(`one that gives ${name} is told, and its files are read`, async () => {
    const fake = goodMachine();
    await serve(fake, answer);
    const text = await told(fake);
    assert.match(text, /^warning: containerd does not answer: /);
    assert.match(text, expected);
    assert.match(text, 'runtime kata');
  });
}

test('one whose CRI is switched off', async () => {
  const fake = goodMachine();
  await serve(fake, (_method, stream) =>
    reply(stream, Buffer.alloc(0), '12', 'unknown service runtime.v1.RuntimeService'),
  );
  assert.match(await told(fake), /^skipped: containerd .* has its CRI plugin switched off/);
});

test('k3s and RKE2 share a socket, and are told once', async () => {
  const fake = goodMachine();
  fake.remove('/etc/containerd');
  fake.write('/run/k3s/containerd/containerd.sock', '');
  assert.is((await find(fake)).length, 1);
  fake.write('/var/lib/rancher/rke2/agent/etc/containerd/config.toml', CONTAINERD);
  assert.match(await told(fake), /^warning: rke2 does not run[^|]*runtime kata$/);
});

test("a shim that is Kata's, or does not run", async () => {
  const fake = goodMachine();
  const shim = async (): Promise<string> => {
    const { status, found } = (await shimInPath.run(fake.situation())) as Finding;
    return `${status}: ${found}`;
  };
  assert.match(await shim(), /^ok: .*kata-edge 0.1.0/);
  fake.says('/usr/bin/containerd-shim-kata-v2 -v', {
    code: 0,
    text: 'Kata Containers containerd shim (Golang): id: "io.containerd.kata.v2"\n',
  });
  assert.match(await shim(), /^warning: .* is another program: Kata Containers containerd shim/);
  fake.says('/usr/bin/containerd-shim-kata-v2 -v', { code: 126, text: 'node: not found' });
  assert.match(await shim(), /^warning: .* -v failed: node: not found/);
});

test('the limits of an answer', () => {
  assert.ok(CRI_MS <= 5000);
  assert.ok(MAX_ANSWER_BYTES <= 8 * 1024 * 1024);
});

test('nobody at a socket', async () => {
  const error = await askCri('/nonexistent/socket').catch((thrown: unknown) => thrown);
  assert.match(`${error}`, 'ENOENT');
});

for (const { name, files, directories } of PLACES) {
  for (const path of [...files, ...directories.map((directory) => `${directory}/20-kata.toml`)]) {
    test(`${name}: the runtime in ${path}`, async () => {
      const fake = goodMachine();
      fake.remove('/etc/containerd');
      const [main = ''] = files;
      fake.write(main, 'version = 2\n');
      fake.write(path, CONTAINERD);
      assert.match(await told(fake), `${name}'s files: runtime kata`);
    });
  }
}

test('version 3 of the file, and what is no TOML', async () => {
  const fake = goodMachine();
  fake.write(
    '/etc/containerd/config.toml',
    `version = 3\n[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.kata]\nruntime_type = "io.containerd.kata.v2"\nprivileged_without_host_devices = true\n`,
  );
  assert.match(await told(fake), 'runtime kata');
  fake.write('/etc/containerd/config.toml', '{{ template "base" . }}\n');
  assert.match(await told(fake), 'no runtime of type');
});

test('a shim that is named instead of being in PATH', async () => {
  const fake = goodMachine();
  fake.remove('/usr/bin/containerd-shim-kata-v2');
  fake.write(
    '/etc/containerd/config.toml',
    `${CONTAINERD}  runtime_path = "/opt/kata-edge/current/bin/containerd-shim-kata-v2"\n`,
  );
  assert.is(((await shimInPath.run(fake.situation())) as Finding).status, 'warning');
  fake.write('/opt/kata-edge/current/bin/containerd-shim-kata-v2', '');
  fake.says('/opt/kata-edge/current/bin/containerd-shim-kata-v2 -v', { code: 0, text: SHIM_SAYS });
  assert.match(((await shimInPath.run(fake.situation())) as Finding).found, 'runtime_path of kata');
});

test('hostile documents are walked to their end', () => {
  let deep: Record<string, unknown> = {};
  for (let at = 0; at < 100_000; at++) deep = { deep };
  assert.equal(handlersOf(deep), []);
  assert.equal(handlersOf({ runtimes: { kata: null, two: 'x', three: { runtime_type: 7 } } }), []);
  assert.equal(handlersOf(null), []);
});

test.run();
