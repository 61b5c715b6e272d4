/** The configuration of a private containerd: nothing of it is outside its directory, and no plugin that tests do not use. */
export interface ConfigOptions {
  /** Root, state, sockets: everything is below it. */
  readonly directory: string;
  readonly level: 'info' | 'debug';
}

/** Snapshotters that need devices or tools, and the CRI plugins, which `ctr` does not use. Unknown names do no harm. */
const DISABLED = [
  'io.containerd.cri.v1.images',
  'io.containerd.cri.v1.runtime',
  'io.containerd.grpc.v1.cri',
  'io.containerd.internal.v1.tracing',
  'io.containerd.nri.v1.nri',
  'io.containerd.podsandbox.controller.v1.podsandbox',
  'io.containerd.snapshotter.v1.aufs',
  'io.containerd.snapshotter.v1.blockfile',
  'io.containerd.snapshotter.v1.btrfs',
  'io.containerd.snapshotter.v1.devmapper',
  'io.containerd.snapshotter.v1.erofs',
  'io.containerd.snapshotter.v1.zfs',
  'io.containerd.tracing.processor.v1.otlp',
];

/** config.toml, in the form (version 2) that containerd 1.6 to 2.x all read. */
export function containerdConfig(options: ConfigOptions): string {
  const { directory } = options;
  return `version = 2
root = "${directory}/root"
state = "${directory}/state"
disabled_plugins = [${DISABLED.map((name) => `"${name}"`).join(', ')}]

[grpc]
  address = "${directory}/c.sock"

[debug]
  level = "${options.level}"

# Adds its bin directory to PATH; the default is /opt/containerd, which is the machine's.
[plugins."io.containerd.internal.v1.opt"]
  path = "${directory}/opt"
`;
}
