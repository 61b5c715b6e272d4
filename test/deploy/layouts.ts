/** What the distributions put on a node, and where the handler has to go there. */
export const K3S = '/var/lib/rancher/k3s/agent/etc/containerd';
const RKE2 = '/var/lib/rancher/rke2/agent/etc/containerd';
const MICROK8S = '/var/snap/microk8s/current/args/containerd-template.toml';
export const PLAIN = '/etc/containerd/config.toml';
export const V2 = '[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.kata]';
export const V3 = "[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.kata]";

export interface Layout {
  readonly name: string;
  readonly files: Readonly<Record<string, string>>;
  readonly args?: readonly string[];
  /** The file that gets the handler, and its table. */
  readonly file: string;
  readonly table: string;
  /** What that file begins with. */
  readonly head?: string;
  readonly runtimePath: boolean;
}

export const LAYOUTS: readonly Layout[] = [
  {
    name: 'containerd 1.x',
    files: { [PLAIN]: 'version = 2\n' },
    file: PLAIN,
    table: V2,
    head: 'version = 2\n',
    runtimePath: false,
  },
  {
    name: 'containerd 2.x',
    files: { [PLAIN]: 'version = 3\n' },
    file: '/etc/containerd/conf.d/kata-edge.toml',
    table: V3,
    runtimePath: false,
  },
  {
    name: 'k3s with containerd 1.7',
    files: {
      [`${K3S}/config.toml`]: 'version = 2\n[plugins."io.containerd.grpc.v1.cri".containerd.runtimes."runc"]\n',
    },
    file: `${K3S}/config.toml.tmpl`,
    table: V2,
    head: '{{ template "base" . }}\n',
    runtimePath: true,
  },
  {
    name: 'k3s with a template of the operator',
    files: { [`${K3S}/config.toml`]: 'version = 2\n', [`${K3S}/config.toml.tmpl`]: '{{ template "base" . }}\n# mine' },
    file: `${K3S}/config.toml.tmpl`,
    table: V2,
    head: '{{ template "base" . }}\n# mine\n',
    runtimePath: true,
  },
  {
    name: 'k3s with containerd 2, before it had drop-ins',
    files: { [`${K3S}/config.toml`]: 'version = 3\n' },
    file: `${K3S}/config-v3.toml.tmpl`,
    table: V3,
    head: '{{ template "base" . }}\n',
    runtimePath: true,
  },
  {
    name: 'k3s with drop-ins',
    files: { [`${K3S}/config.toml`]: `version = 3\nimports = ["${K3S}/config-v3.toml.d/*.toml"]\n` },
    file: `${K3S}/config-v3.toml.d/kata-edge.toml`,
    table: V3,
    runtimePath: true,
  },
  {
    name: 'k3s that has never run',
    files: { [`${K3S}/.keep`]: '' },
    args: ['--config-version', '3'],
    file: `${K3S}/config-v3.toml.tmpl`,
    table: V3,
    runtimePath: true,
  },
  {
    name: 'RKE2 with drop-ins of version 2',
    files: { [`${RKE2}/config.toml`]: `version = 2\nimports = ["${RKE2}/config.toml.d/*.toml"]\n` },
    file: `${RKE2}/config.toml.d/kata-edge.toml`,
    table: V2,
    runtimePath: true,
  },
  {
    name: 'RKE2',
    files: { [`${RKE2}/config.toml`]: 'version = 3\n' },
    file: `${RKE2}/config-v3.toml.tmpl`,
    table: V3,
    runtimePath: true,
  },
  {
    name: 'k0s',
    files: { '/etc/k0s/containerd.toml': '# k0s_managed=true\nversion = 3\n' },
    file: '/etc/k0s/containerd.d/kata-edge.toml',
    table: V3,
    runtimePath: true,
  },
  {
    name: 'k0s that has never run',
    files: { '/var/lib/k0s/.keep': '' },
    args: ['--config-version=2'],
    file: '/etc/k0s/containerd.d/kata-edge.toml',
    table: V2,
    runtimePath: true,
  },
  {
    name: 'MicroK8s',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: MicroK8s's own
    files: { [MICROK8S]: 'version = 2\nroot = "${SNAP_COMMON}/containerd"\n' },
    file: MICROK8S,
    table: V2,
    runtimePath: true,
  },
  {
    name: 'a configuration elsewhere, in a path with spaces',
    files: { '/data/my containerd/main config.toml': 'version = 3\n' },
    args: ['--containerd-config', '/data/my containerd/main config.toml'],
    file: '/data/my containerd/conf.d/kata-edge.toml',
    table: V3,
    runtimePath: false,
  },
];
