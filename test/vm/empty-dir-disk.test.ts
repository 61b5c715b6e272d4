/** emptyDirs as disks of the guest: what one sandbox writes is there for the next, and the host never mounts it. */
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { eachContainerd, IS_KATA, testedVersions } from '../harness/containerd.ts';

if (IS_KATA) {
  const directory = mkdtempSync('/tmp/ke-empty-disk-');
  process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
  const config = `${directory}/configuration.toml`;
  writeFileSync(config, '[runtime]\nemptydir_mode = "block-plain"\n');
  const volume = `${directory}/volumes/kubernetes.io~empty-dir/cache`;
  mkdirSync(volume, { recursive: true });
  chmodSync(volume, 0o777);
  const flags = ['--runtime-config-path', config, '--mount', `type=bind,src=${volume},dst=/cache,options=rbind:rw`];

  eachContainerd(
    'emptyDirs as disks',
    (test) => {
      test('are written to, and keep it', async ({ containers }) => {
        const script = 'grep " /cache " /proc/mounts; stat -c %a /cache; echo kept > /cache/file; ls /cache';
        const first = await containers.run(['sh', '-c', script], { flags });
        assert.is(first.code, 0, first.stderr);
        assert.match(first.stdout, /^\/dev\/vd. \/cache ext4 rw/);
        assert.match(first.stdout, /\n777\nfile\n$/);
        assert.equal(readdirSync(volume), ['disk.img']);
        const second = await containers.run(['cat', '/cache/file'], { flags });
        assert.is(second.stdout, 'kept\n', second.stderr);
      });
    },
    testedVersions().slice(-1),
  );
}
