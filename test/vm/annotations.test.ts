/** A pod's annotations through containerd: what the guest sees of them, and what refuses the pod before anything runs. */
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import * as assert from 'uvu/assert';
import { BUILD } from '../../setup/paths.ts';
import { eachContainerd, IS_KATA, testedVersions } from '../harness/containerd.ts';

const ARM64 = process.arch === 'arm64';
const GUEST = `${BUILD}/share/guest/${ARM64 ? 'arm64' : 'amd64'}`;
const KERNEL = ARM64 ? 'Image' : 'vmlinux';
const PREFIX = 'io.katacontainers.config.';
const MEMORY_MIB = 192;

if (IS_KATA) {
  const directory = mkdtempSync('/tmp/ke-annotations-');
  process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
  const assets = `${directory}/assets`;
  mkdirSync(assets);
  copyFileSync(`${GUEST}/${KERNEL}`, `${assets}/${KERNEL}-1`);
  symlinkSync(`${KERNEL}-1`, `${assets}/${KERNEL}`);
  symlinkSync(`${GUEST}/${KERNEL}`, `${assets}/elsewhere`);
  const mark = `${directory}/was-run`;
  writeFileSync(`${directory}/hostile`, `#!/bin/sh\ntouch ${mark}\nexec sleep 1\n`, { mode: 0o755 });
  const config = `${directory}/configuration.toml`;
  writeFileSync(
    config,
    `[hypervisor.qemu]
kernel_params = "loglevel=3"
enable_annotations = ["default_memory", "kernel", "(kernel|initrd)_hash", "kernel_params", "path", "virtio_fs_.*"]
[agent.kata]
log_level = "warn"
[edge]
valid_asset_paths = ["${assets}/*"]
`,
  );
  const flags = (annotations: Record<string, string>): string[] => [
    '--runtime-config-path',
    config,
    ...Object.entries(annotations).flatMap(([name, text]) => ['--annotation', `${PREFIX}${name}=${text}`]),
  ];
  const sha512 = (path: string): string => createHash('sha512').update(readFileSync(path)).digest('hex');

  eachContainerd(
    'annotations',
    (test) => {
      test('what is enabled is what the guest has', async ({ containers }) => {
        const done = await containers.run(['sh', '-c', 'grep MemTotal /proc/meminfo; cat /proc/cmdline'], {
          flags: flags({
            'hypervisor.default_memory': `${MEMORY_MIB}MiB`,
            'hypervisor.kernel': `${assets}/../assets/${KERNEL}`,
            'hypervisor.kernel_hash': sha512(`${GUEST}/${KERNEL}`),
            'hypervisor.initrd_hash': sha512(`${GUEST}/initramfs.cpio.gz`),
            'hypervisor.kernel_params': 'loglevel=4 printk.devkmsg=off',
            'runtime.create_container_timeout': '90',
            // Nothing of a pod's is on our own guest's command line; that it has no effect is no error.
            'agent.enable_tracing': 'true',
          }),
        });
        assert.is(done.code, 0, done.stderr);
        const mebibytes = Number(/MemTotal: +(\d+) kB/.exec(done.stdout)?.[1]) / 1024;
        assert.ok(mebibytes > MEMORY_MIB / 2 && mebibytes < MEMORY_MIB, `${mebibytes} MiB`);
        assert.match(done.stdout, / agent\.log=warn loglevel=4 printk\.devkmsg=off\n/);
        assert.not.match(done.stdout, /loglevel=3|agent\.trace/);
      });

      const refused: [title: string, annotations: Record<string, string>, said: RegExp][] = [
        [
          'what is not enabled',
          { 'hypervisor.default_vcpus': '1' },
          /hypervisor\.default_vcpus.*is not enabled.*add "default_vcpus" to .*configuration\.toml:3: hypervisor\.qemu\.enable_annotations/,
        ],
        [
          'an argument that only an expression allows',
          { 'hypervisor.virtio_fs_extra_args': '["-o","source=/"]' },
          /virtio_fs_extra_args.*is not enabled.*"virtio_fs_extra_args" itself/,
        ],
        [
          'a link out of the list',
          { 'hypervisor.kernel': `${assets}/elsewhere` },
          /valid_asset_paths does not allow it/,
        ],
        [
          'a program where no list has any',
          { 'hypervisor.path': `${directory}/hostile` },
          /valid_hypervisor_paths in configuration\.toml is empty/,
        ],
        [
          'a kernel that is another',
          { 'hypervisor.kernel_hash': 'ab'.repeat(64) },
          /kernel_hash is abababababababab….*SHA-512 of .* is [0-9a-f]{16}…/,
        ],
        [
          'the debug console',
          { 'hypervisor.kernel_params': 'agent.debug_console' },
          /kernel_params: a pod may not set the kernel parameter agent\.debug_console/,
        ],
        ['a policy that nobody would follow', { 'agent.policy': 'cGFja2FnZSB4' }, /agent\.policy.*follows no policy/],
        ['more memory than the node has', { 'hypervisor.default_memory': '64TiB' }, /default_memory is "64TiB"/],
        ['directories of the node', { 'runtime.sandbox_bind_mounts': '/etc' }, /sandbox_bind_mounts.*not supported/],
      ];
      for (const [title, annotations, said] of refused) {
        test(`refused by name: ${title}`, async ({ containers }) => {
          const done = await containers.run(['true'], { flags: flags(annotations) });
          assert.is.not(done.code, 0);
          assert.match(done.stderr, said);
          assert.not.ok(existsSync(mark));
        });
      }
    },
    testedVersions().slice(-1),
  );
}
