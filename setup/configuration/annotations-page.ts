/** docs/annotations.md, made from the table of annotations and the schema of keys. */
import { MAX_ANNOTATIONS, MAX_NAME_LENGTH, PREFIX, SGX } from '../../host/config/annotations.ts';
import { MAX_EXPRESSION_LENGTH, MAX_REPETITIONS } from '../../host/config/annotations-enabled.ts';
import { HYPERVISOR_ROWS, REMOTE_ROWS } from '../../host/config/annotations-hypervisor.ts';
import { type Gate, type Row, type Rows, schemaOf } from '../../host/config/annotations-row.ts';
import { OTHER_ROWS, RUNTIME_ROWS } from '../../host/config/annotations-runtime.ts';

const NEEDS: Readonly<Record<Gate, string>> = {
  enabled: 'an expression',
  listed: '**its own name**',
  free: 'nothing',
};

/** What a row comes to. */
type Outcome = 'works' | 'refused' | 'ignored';

/** @returns Markdown */
export function annotationsPage(): string {
  const runtime = ofPrefix('config.runtime.');
  const agent = ofPrefix('config.agent.');
  const rest = Object.fromEntries(Object.entries(RUNTIME_ROWS).filter(([name]) => !name.startsWith('config.')));
  const parts = [
    HEAD,
    section('Hypervisor: `io.katacontainers.config.hypervisor.`', HYPERVISOR_ROWS, true, false),
    section('Remote hypervisor: `io.katacontainers.config.hypervisor.`', REMOTE_ROWS, true, true),
    section('Runtime: `io.katacontainers.config.runtime.`', runtime, false, false),
    section('Agent: `io.katacontainers.config.agent.`', agent, false, false),
    section(`Others: \`${PREFIX}\`, and \`${SGX}\``, { ...rest, ...OTHER_ROWS }, false, false),
    FOOT,
  ];
  return `${parts.join('\n\n')}\n`;
}

const HEAD = `# Annotations

<!-- Made by \`npm run configuration\` from host/config/annotations-*.ts: change it there. -->

A pod may ask for a virtual machine of its own kind by annotations \`io.katacontainers.…\`, as with Kata Containers: the names and
values are Kata's, of its Go runtime and of runtime-rs. Each is a key of [configuration.toml](configuration.md) set otherwise for
one pod, and is checked with all others as if it stood in the file.

containerd hands them on only where its runtime entry says \`pod_annotations = ["io.katacontainers.*"]\`; CRI-O where its
\`allowed_annotations\` have them. Where the shim serves containerd's Sandbox API it gets all of them. Those of the **pod** count,
not those of a container in it; with \`ctr\`, \`nerdctl\` or docker those of the container that is run.

\`\`\`yaml
metadata:
  annotations:
    io.katacontainers.config.hypervisor.default_memory: "512"
\`\`\`

## What a pod may use

Whoever may make pods writes annotations, so the node's administrator decides:

| an annotation needs | in configuration.toml |
|---|---|
| an expression | \`enable_annotations\` of the hypervisor's table has a regular expression that matches the rest of the name **from end to end**: \`default_.*\` allows \`default_memory\`; \`image\` does not allow \`image_hash\` |
| its own name | \`enable_annotations\` has that name itself. It becomes arguments of a program or of the guest's kernel: no expression opens that, \`.*\` neither |
| nothing | every pod may use it; where it could lower what protects the node, it may only raise it |

Whatever names a file of the node needs a list of patterns in addition (\`valid_hypervisor_paths\`, \`valid_virtio_fs_daemon_paths\`,
\`valid_entropy_sources\`, \`valid_vhost_user_store_paths\`, and our own \`[edge] valid_asset_paths\` for kernel, image, initrd and
firmware). Patterns are those of a shell; \`*\` stops at a slash. Links and \`..\` are followed first, what they lead to has to
match, and is what is used. An empty list allows none.

\`\`\`toml
[hypervisor.qemu]
enable_annotations = ["default_(vcpus|memory)", "kernel", "kernel_hash"]
[edge]
valid_asset_paths = ["/opt/kernels/*"]
\`\`\`

Where it says true or false, \`1\`, \`t\`, \`T\`, \`TRUE\`, \`True\` and \`0\`, \`f\`, \`F\`, \`FALSE\`, \`False\` are taken as well.

An annotation that is not enabled, is not known, has a value that cannot be, or asks for what we do not have **refuses the pod**;
the message names it, and the key that would allow it. What has no effect is told in the shim's log. A pod may have ${MAX_ANNOTATIONS} of them,
with names of up to ${MAX_NAME_LENGTH} characters. Expressions may have ${MAX_EXPRESSION_LENGTH} characters and ${MAX_REPETITIONS} repetitions, and none in another:
matching such could take for ever.`;

const FOOT = `## Protections behind the limits

| incident | what cannot be done |
|---|---|
| CVE-2020-27151: annotations named programs of the node | nothing outside the lists can be named, not by links nor by \`..\`, and whether a file outside them exists is not told |
| GHSA-rr59-xxvx-96qr: \`virtio_fs_extra_args\` shared the node's root, \`kernel_params\` opened the debug console | both need their own name; even then options of virtiofsd are an allow-list without what is shared or how the daemon is confined, and kernel parameters choose neither init nor root nor console, nor speak to the agent |
| CVE-2020-28914: a read-only volume could be written | no annotation changes how files are shared; \`sandbox_bind_mounts\` is refused |
| CVE-2026-24834: a guest wrote the image it had mapped | \`block_device_driver\` cannot be nvdimm |`;

function ofPrefix(prefix: string): Rows {
  const rows = Object.entries(RUNTIME_ROWS).filter(([name]) => name.startsWith(prefix));
  return Object.fromEntries(rows.map(([name, row]) => [name.slice(prefix.length), row]));
}

function section(title: string, rows: Rows, gated: boolean, remote: boolean): string {
  const entries = Object.entries(rows).map(([name, row]) => ({ name, row, ...outcomeOf(row, remote) }));
  const works = entries.filter(({ outcome }) => outcome === 'works');
  const others = entries.filter(({ outcome }) => outcome !== 'works');
  const head = gated
    ? ['| annotation | needs | takes | what it does |', '|---|---|---|---|']
    : ['| annotation | takes | what it does |', '|---|---|---|'];
  const lines = works.map(({ name, row, text }) =>
    line(gated ? [`\`${name}\``, NEEDS[row.gate], row.limits, text] : [`\`${name}\``, row.limits, text]),
  );
  const tables = [`## ${title}`, [...head, ...lines].join('\n')];
  if (others.length > 0) {
    const told = others.map(({ name, outcome, text }) => line([`\`${name}\``, outcome, text]));
    tables.push(['| without effect | | because |', '|---|---|---|', ...told].join('\n'));
  }
  return tables.join('\n\n');
}

function outcomeOf(row: Row, remote: boolean): { outcome: Outcome; text: string } {
  if (row.refused !== undefined) return { outcome: 'refused', text: row.refused };
  if (row.ignored !== undefined) return { outcome: 'ignored', text: row.ignored };
  const key = row.key === undefined ? undefined : schemaOf(row.key, remote);
  const works = { outcome: 'works', text: effectText(row, remote) } as const;
  if (key?.effect !== 'ignored') return works;
  const why = key.refused ?? key.why ?? '';
  return { outcome: row.relied || key.refused !== undefined ? 'refused' : 'ignored', text: why };
}

function effectText({ doc, key, alsoEnabledBy }: Row, remote: boolean): string {
  const also = alsoEnabledBy === undefined ? '' : ` An expression may match \`${alsoEnabledBy}\` instead.`;
  if (key === undefined) return doc;
  const name = key.slice(key.lastIndexOf('.') + 1);
  return `\`${name}\`: ${remote ? schemaOf(key, true).doc : doc}${also}`;
}

function line(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}
