/** The machine's apt sources in both forms, and what is made of them. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type AptSource, machineSources, parseDeb822, parseOneLine } from '../../../setup/apt-sources.ts';
import { sourceLines } from '../../../setup/debian.ts';

const sources = suite('apt sources');

sources('one-line form', () => {
  const found = parseOneLine(`
# deb http://off.example/debian bookworm main
deb http://mirror.example/debian bookworm main contrib # the rest is a comment
deb-src http://mirror.example/debian bookworm main
deb [arch=amd64 signed-by=/keys/a.gpg] https://other.example/debian/ bookworm-security main
deb http://vendor.example/apt stable-tools main
deb
`);
  assert.equal(found, [
    { uri: 'http://mirror.example/debian', suite: 'bookworm', debian: true },
    { uri: 'https://other.example/debian/', suite: 'bookworm-security', debian: true, signedBy: '/keys/a.gpg' },
    { uri: 'http://vendor.example/apt', suite: 'stable-tools', debian: false },
  ]);
});

sources('deb822 form', () => {
  const found = parseDeb822(`# first
Types: deb deb-src
URIs: http://mirror.example/debian
Suites: trixie
 trixie-updates
Components: main
Signed-By: /keys/debian.gpg

Types: deb
Enabled: no
URIs: http://off.example/debian
Suites: trixie
Components: main
\t
Types: deb-src
URIs: http://source.example/debian
Suites: trixie
Components: main

Types: deb
URIs: http://inline.example/debian
Suites: sid
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abcd
`);
  assert.equal(
    found.map(({ uri, suite: name, signedBy }) => [uri, name, signedBy]),
    [
      ['http://mirror.example/debian', 'trixie', '/keys/debian.gpg'],
      ['http://mirror.example/debian', 'trixie-updates', '/keys/debian.gpg'],
      ['http://inline.example/debian', 'sid', undefined],
    ],
  );
});

sources('are read from apt’s directory', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'kata-apt-'));
  try {
    mkdirSync(join(directory, 'sources.list.d'));
    writeFileSync(join(directory, 'sources.list'), 'deb http://a.example/debian bookworm main\n');
    writeFileSync(
      join(directory, 'sources.list.d/b.sources'),
      'Types: deb\nURIs: http://b.example\nSuites: sid\nComponents: main\n',
    );
    writeFileSync(join(directory, 'sources.list.d/c.list.disabled'), 'deb http://c.example bookworm main\n');
    assert.equal(
      (await machineSources(directory)).map(({ uri }) => uri),
      ['http://a.example/debian', 'http://b.example'],
    );
    assert.equal(await machineSources(join(directory, 'none')), []);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

sources('another suite comes from the same mirrors with the same keys', () => {
  const main: AptSource = { uri: 'http://m.example/debian', suite: 'bookworm', debian: true, signedBy: '/k.gpg' };
  const security: AptSource = { uri: 'http://s.example/sec', suite: 'bookworm-security', debian: true };
  const vendor: AptSource = { uri: 'http://v.example', suite: 'bookworm', debian: false };
  const updates: AptSource = { uri: 'http://u.example/debian', suite: 'bookworm-updates', debian: true };
  const all = [vendor, updates, security, main];
  assert.is(
    sourceLines(all, 'trixie'),
    'deb [signed-by=/k.gpg] http://m.example/debian trixie main\ndeb http://s.example/sec trixie-security main\n',
  );
  assert.is(sourceLines(all, 'sid'), 'deb [signed-by=/k.gpg] http://m.example/debian sid main\n');
  assert.throws(() => sourceLines([vendor, security], 'sid'), /no Debian mirror/);
});

sources.run();
