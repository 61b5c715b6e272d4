/**
 * `node compile-bundle.mjs BUNDLE`: what V8 makes of a bundle goes to BUNDLE.v8, after the name of the build, which is the
 * bundle's last line; see host/bin/compiled.ts.
 */
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Script } from 'node:vm';

/** As in host/bin/compiled.ts. */
const ID_LENGTH = 64;

const CONFIGURATION = `# a comment
[hypervisor.qemu]
default_memory = 256
default_vcpus = 1.0
enable_annotations = ["default_memory"]
seccompsandbox = ""
shared_fs = "virtio-fs"
virtio_fs_extra_args = ["--thread-pool-size=1"]
virtio_fs_daemon = "/usr/libexec/virtiofsd"
msize_9p = 8192
block_device_aio = "io_uring"
block_device_cache_set = false
hot_plug_vfio = "no-port"
cold_plug_vfio = "no-port"
entropy_source = "/dev/urandom"
pcie_root_port = 0
confidential_guest = false
no_such_key = 1
[agent.kata]
dial_timeout = 45
[agent.kata.mem_agent]
compact_force_times = 9223372036854775807
[runtime]
internetworking_model = "tcfilter"
emptydir_mode = "shared-fs"
`;

const path = process.argv[2];
const source = readFileSync(path, 'latin1');
const script = new Script(source, { filename: path });
const module = { exports: {} };
script.runInThisContext()(module.exports, createRequire(path), module, path, dirname(path));
// The functions that write messages.
module.exports.info();
// Those that read a configuration: a file has keys of every type, of those that every file of Kata's has.
const directory = mkdtempSync(join(tmpdir(), 'kata-rehearsal-'));
try {
  mkdirSync(join(directory, 'config.d'));
  writeFileSync(join(directory, 'config.d', '10'), '[runtime]\nenable_debug = false\n');
  const file = join(directory, 'configuration.toml');
  writeFileSync(file, CONFIGURATION);
  await module.exports.rehearse(file);
} finally {
  rmSync(directory, { recursive: true });
}
const id = Buffer.from(source.slice(-1 - ID_LENGTH, -1), 'latin1');
const fresh = `${path}.${process.pid}`;
writeFileSync(fresh, Buffer.concat([id, script.createCachedData()]));
renameSync(fresh, `${path}.v8`);
