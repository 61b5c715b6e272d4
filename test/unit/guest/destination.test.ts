/** Destinations of mounts in an image full of links. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { MAX_LINKS, withDestinations } from '../../../guest/agent/destination.ts';
import { nodeSys } from './node-sys.ts';
import { refused } from './refused.ts';

const destinations = suite<{ directory: string; rootfs: string }>('destinations of mounts');

destinations.before.each((context) => {
  context.directory = fs.mkdtempSync(path.join(os.tmpdir(), 'destination-'));
  context.rootfs = `${context.directory}/rootfs`;
  fs.mkdirSync(`${context.rootfs}/real/sub`, { recursive: true });
  fs.mkdirSync(`${context.rootfs}/etc`);
  const links = {
    absolute: '/real',
    dangling: '/run/nothing',
    relative: 'missing/deep',
    upwards: '../../../../run/x',
    chain: 'dangling/more',
    'real/sub/up': '../../gone',
    loop: 'loop',
  };
  for (const [name, target] of Object.entries(links)) fs.symlinkSync(target, `${context.rootfs}/${name}`);
});
destinations.after.each(({ directory }) => fs.rmSync(directory, { recursive: true }));

for (const [given, expected] of [
  ['/plain/missing', '/plain/missing'],
  ['/real/sub', '/real/sub'],
  ['/absolute', '/absolute'],
  ['/absolute/sub/.', '/absolute/sub/.'],
  ['/absolute/new', '/real/new'],
  ['/dangling', '/run/nothing'],
  ['/dangling/below/it', '/run/nothing/below/it'],
  ['/relative', '/missing/deep'],
  ['/upwards', '/run/x'],
  ['/chain', '/run/nothing/more'],
  ['/real/sub/up/x', '/gone/x'],
  ['/../../dangling', '/run/nothing'],
] as const) {
  destinations(given, ({ directory, rootfs }) => {
    const mount = { destination: given, type: 'bind', source: directory, options: ['rbind'] };
    assert.equal(withDestinations(nodeSys(), rootfs, [mount]), [{ ...mount, destination: expected }]);
  });
}

destinations('files, other types and covered places stay', ({ directory, rootfs }) => {
  fs.writeFileSync(`${directory}/file`, '');
  const bind = { destination: '/dangling', type: 'bind', source: directory, options: [] };
  const tmpfs = { destination: '/run', type: 'tmpfs', source: 'tmpfs', options: [] };
  for (const mounts of [
    [{ ...bind, source: `${directory}/file` }],
    [{ ...bind, source: `${directory}/missing` }],
    [{ ...bind, type: 'tmpfs' }],
    [tmpfs, bind],
    [
      { ...tmpfs, destination: '/dangling/' },
      { ...bind, destination: '/dangling/x' },
    ],
  ]) {
    assert.equal(withDestinations(nodeSys(), rootfs, mounts), mounts);
  }
  const root = { ...tmpfs, destination: '/' };
  assert.equal(withDestinations(nodeSys(), rootfs, [root, bind]), [root, { ...bind, destination: '/run/nothing' }]);
});

destinations('links without end', async ({ directory, rootfs }) => {
  const mount = { destination: '/loop', type: 'bind', source: directory, options: [] };
  await refused(
    () => withDestinations(nodeSys(), rootfs, [mount]),
    'invalid_argument',
    new RegExp(`${MAX_LINKS} links`),
  );
});

destinations.run();
