/** Newer releases: versions compared, and servers of all kinds. */
import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Call } from '../../../host/cli/call.ts';
import {
  compareVersions,
  MAX_LIST_BYTES,
  MAX_RELEASES,
  releases,
  releasesOf,
} from '../../../host/cli/check/releases.ts';
import type { Output } from '../../../host/cli/output.ts';

const test = suite('releases');
const servers: Server[] = [];

test.after(() => {
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
});

const LIST = [
  { tag_name: '0.1.0', published_at: '2026-01-01', html_url: 'https://x/0.1.0' },
  { tag_name: 'v0.10.0', published_at: '2026-03-01', html_url: 'https://x/0.10.0' },
  { tag_name: '0.9.0', published_at: '2026-02-01', html_url: 'https://x/\x1b[2J0.9.0' },
  { tag_name: '1.0.0-rc1', published_at: '2026-04-01', html_url: 'https://x/rc', prerelease: true },
  { tag_name: '2.0.0', draft: true },
  { tag_name: 'nightly' },
  null,
  7,
];

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  servers.push(server);
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/releases`;
}

/** What is said, and the exit status. */
async function ask(
  address: string | undefined,
  wish = { list: false, all: false },
): Promise<{ said: string[]; status: number }> {
  const said: string[] = [];
  const output = {
    line: (text: string) => said.push(text),
    error: (text: string) => said.push(`error: ${text}`),
  } as unknown as Output;
  const environment = address === undefined ? {} : { KATA_RELEASE_URL: address };
  const call = new Call('kata-runtime', { version: '0.1.0', revision: '' }, [], new Map(), [], [], output, environment);
  return { status: await releases(call, wish), said };
}

const json =
  (value: unknown): RequestListener =>
  (_request, response) =>
    void response.end(JSON.stringify(value));

test('versions, oldest first', () => {
  const sorted = [
    '0.1.0',
    '0.9.0',
    '0.10.0',
    '1.0.0-1',
    '1.0.0-2',
    '1.0.0-alpha',
    '1.0.0-alpha.1',
    '1.0.0-rc1',
    '1.0.0',
    '10.0.0',
  ];
  for (const [at, version] of sorted.entries()) {
    assert.is(compareVersions(version, version), 0);
    for (const later of sorted.slice(at + 1)) {
      assert.ok(compareVersions(version, later) < 0, `${version} < ${later}`);
      assert.ok(compareVersions(later, version) > 0, `${later} > ${version}`);
    }
  }
  assert.ok(compareVersions('unbuilt', '0.0.1') < 0);
  assert.is(compareVersions('1.0.0+build1', '1.0.0+build2'), 0);
});

test('without an address nobody is asked, and the way is told', async () => {
  const { status, said } = await ask(undefined);
  assert.is(status, 1);
  assert.match(said.join(), /^error: .*KATA_RELEASE_URL/);
});

test('the newest, and the list, with and without pre-releases', async () => {
  const address = await serve(json(LIST));
  assert.equal(await ask(address), {
    status: 0,
    said: ['Newer release available: 0.10.0 (2026-03-01): https://x/0.10.0; this is 0.1.0'],
  });
  assert.equal((await ask(address, { list: true, all: false })).said, [
    '0.10.0;2026-03-01;https://x/0.10.0',
    '0.9.0;2026-02-01;https://x/\x1b[2J0.9.0',
  ]);
  assert.is((await ask(address, { list: true, all: true })).said[0], '1.0.0-rc1;2026-04-01;https://x/rc');
});

test('none that is newer', async () => {
  const address = await serve(json(LIST.slice(0, 1)));
  assert.equal(await ask(address), { status: 0, said: ['No newer release available (this is 0.1.0)'] });
});

for (const [name, listener, expected] of [
  ['no JSON', (_request, response) => void response.end('<html>'), /JSON/],
  ['no list', json({ message: 'rate limit' }), /no list of releases/],
  ['an error', (_request, response) => void response.writeHead(403).end(), /HTTP status 403/],
  [
    'an answer that breaks off',
    (_request, response) =>
      void response.writeHead(200, { 'content-length': 100 }).write('[', () => response.destroy()),
    /error/,
  ],
  ['too much', (_request, response) => void response.end('['.repeat(MAX_LIST_BYTES + 1)), /more than/],
] as const satisfies readonly (readonly [string, RequestListener, RegExp])[]) {
  test(`a server with ${name}`, async () => {
    const { status, said } = await ask(await serve(listener));
    assert.is(status, 1);
    assert.match(said.join(), expected);
  });
}

test('no server, and what is no address of one', async () => {
  for (const address of ['http://127.0.0.1:1/', 'file:///etc/passwd', 'nonsense']) {
    const { status, said } = await ask(address);
    assert.is(status, 1, address);
    assert.match(said.join(), /^error: no releases from/);
  }
});

test('a list is read up to its limit', () => {
  const many = Array.from({ length: MAX_RELEASES + 1 }, (_, at) => ({ tag_name: `1.0.${at}` }));
  assert.is(releasesOf(many).length, MAX_RELEASES);
});

test.run();
