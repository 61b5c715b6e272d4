import { parse } from 'smol-toml';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { containerdConfig } from '../../../setup/containerd-config.ts';
import { CONTAINERD_VERSIONS, type ContainerdVersion } from '../../../setup/containerd-packages.ts';
import type { Handler } from '../../../setup/cri-config.ts';

type Table = { [key: string]: Table } & { [key: string]: unknown };

const HANDLERS: Handler[] = [
  { name: 'runc', type: 'io.containerd.runc.v2' },
  { name: 'kata', type: 'io.containerd.kata.v2', sandboxer: true, cniDirectory: '/d/cni/two', networks: 2 },
  { name: 'own', type: 'io.containerd.kata.v2', configPath: '/d/own.toml' },
  { name: 'untrusted', type: 'io.containerd.kata.v2' },
];

const test = suite('CRI configuration of containerd');

for (const version of CONTAINERD_VERSIONS) {
  test(`${version}: handlers, networks and the pause image are where this version looks for them`, () => {
    const config = parsed(version);
    const cri = plugin(config, version === '2.1' ? 'io.containerd.cri.v1.runtime' : 'io.containerd.grpc.v1.cri');
    const { runtimes } = cri.containerd as Table;
    assert.is(config.version, version === '2.1' ? 3 : 2);
    assert.equal(version === '2.1' ? cri.cni?.bin_dirs : cri.cni?.bin_dir, version === '2.1' ? ['/cni'] : '/cni');
    assert.is(cri.restrict_oom_score_adj, true);
    assert.is(cri.netns_mounts_under_state_dir, true);
    assert.is(runtimes?.runc?.options?.BinaryName, '/runc');
    assert.is(runtimes?.own?.options?.ConfigPath, '/d/own.toml');
    assert.equal(runtimes?.kata?.pod_annotations, ['io.katacontainers.*']);
    assert.is(runtimes?.kata?.[version === '2.1' ? 'sandboxer' : 'sandbox_mode'], 'shim');
    assert.is(runtimes?.kata?.cni_max_conf_num, 2);
    const untrusted = version === '1.6' ? cri.containerd?.untrusted_workload_runtime : runtimes?.untrusted;
    assert.is(untrusted?.runtime_type, 'io.containerd.kata.v2');
  });

  test(`${version}: the image plugin knows the pause image and the snapshotter`, () => {
    const config = parsed(version);
    const images = plugin(config, version === '2.1' ? 'io.containerd.cri.v1.images' : 'io.containerd.grpc.v1.cri');
    const pause = version === '2.1' ? images.pinned_images?.sandbox : images.sandbox_image;
    const snapshotter = version === '2.1' ? images.snapshotter : images.containerd?.snapshotter;
    assert.equal([pause, snapshotter], ['pause', 'native']);
  });
}

test('without CRI its plugins are disabled', () => {
  const config = parse(containerdConfig({ directory: '/d', level: 'info' })) as Table;
  assert.ok((config.disabled_plugins as unknown as string[]).includes('io.containerd.grpc.v1.cri'));
});

test.run();

function parsed(version: ContainerdVersion): Table {
  const cri = {
    version,
    snapshotter: 'native',
    sandboxImage: 'pause',
    cniBin: '/cni',
    cniDirectory: '/d/cni/dual',
    runc: '/runc',
    handlers: HANDLERS,
    defaultHandler: 'runc',
  };
  return parse(containerdConfig({ directory: '/d', level: 'info', cri })) as Table;
}

function plugin(config: Table, name: string): Table {
  const found = config.plugins?.[name];
  assert.ok(found, `no plugin ${name}`);
  return found;
}
