/** The configuration of a private containerd: nothing of it is outside its directory, and no plugin that tests do not use. */
import { type CriConfig, criConfig } from './cri-config.ts';

export interface ConfigOptions {
  /** Root, state, sockets: everything is below it. */
  readonly directory: string;
  readonly level: 'info' | 'debug';
  /** Absent: only what `ctr` uses. */
  readonly cri?: CriConfig;
}

/** Snapshotters that need devices or tools, and what watches from outside. Unknown names do no harm. */
const DISABLED = [
  'io.containerd.internal.v1.tracing',
  'io.containerd.nri.v1.nri',
  'io.containerd.snapshotter.v1.aufs',
  'io.containerd.snapshotter.v1.blockfile',
  'io.containerd.snapshotter.v1.btrfs',
  'io.containerd.snapshotter.v1.devmapper',
  'io.containerd.snapshotter.v1.erofs',
  'io.containerd.snapshotter.v1.zfs',
  'io.containerd.tracing.processor.v1.otlp',
];

/** The CRI plugins, which `ctr` does not use. */
const CRI_PLUGINS = [
  'io.containerd.cri.v1.images',
  'io.containerd.cri.v1.runtime',
  'io.containerd.grpc.v1.cri',
  'io.containerd.podsandbox.controller.v1.podsandbox',
];

/** config.toml. Without CRI in the form (version 2) that containerd 1.6 to 2.x all read. */
export function containerdConfig(options: ConfigOptions): string {
  const { directory, cri } = options;
  const disabled = cri === undefined ? [...DISABLED, ...CRI_PLUGINS] : DISABLED;
  return `version = ${cri?.version === '2.1' ? 3 : 2}
root = "${directory}/root"
state = "${directory}/state"
disabled_plugins = [${disabled.map((name) => `"${name}"`).join(', ')}]

[grpc]
  address = "${directory}/c.sock"

[debug]
  level = "${options.level}"

# Adds its bin directory to PATH; the default is /opt/containerd, which is the machine's.
[plugins."io.containerd.internal.v1.opt"]
  path = "${directory}/opt"
${cri === undefined ? '' : criConfig(cri)}`;
}
