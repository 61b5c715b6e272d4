/** The control that protobufjs makes: a static module (pbjs) of oci.proto, with the fields named as in config.json so that nothing has to be renamed. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import protobuf from 'protobufjs';
import { OCI_NAMES } from '../../host/oci/names.ts';
import { succeed } from '../../setup/command.ts';
import { CACHE, ROOT } from '../../setup/paths.ts';

/** The generator; protobufjs itself is the one the tests use. */
export const PBJS_VERSION = '2.7.1';
/** What a program that only encodes leaves out, so that its module is as small as can be. */
const LEAVE_OUT = 'create decode verify convert delimited typeurl comments service beautify'
  .split(' ')
  .map((word) => `--no-${word}`);

/**
 * Generates the module; pbjs is fetched at the first time.
 * @param directory where `oci-static.cjs` goes
 * @returns its path
 */
export async function generateStatic(directory: string): Promise<string> {
  const home = join(CACHE, `pbjs-${PBJS_VERSION}`);
  const pbjs = join(home, 'node_modules', 'protobufjs-cli', 'bin', 'pbjs');
  if (!existsSync(pbjs)) {
    mkdirSync(home, { recursive: true });
    writeFileSync(join(home, 'package.json'), '{"private":true}');
    const packages = [`protobufjs-cli@${PBJS_VERSION}`, `protobufjs@${protobufVersion()}`];
    await succeed(['npm', 'install', '--no-audit', '--no-fund', '--ignore-scripts', ...packages], { cwd: home });
  }
  const names = join(directory, 'oci-names.json');
  const path = join(directory, 'oci-static.cjs');
  writeFileSync(names, JSON.stringify(renamed()));
  await succeed([process.execPath, pbjs, '-t', 'static-module', '-w', 'commonjs', ...LEAVE_OUT, '-o', path, names]);
  return path;
}

export function protobufVersion(): string {
  const path = join(ROOT, 'node_modules', 'protobufjs', 'package.json');
  return (JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version;
}

/** oci.proto as protobufjs's JSON, with OCI's names. */
function renamed(): unknown {
  const source = readFileSync(join(ROOT, 'proto', 'oci.proto'), 'utf8');
  const { root } = protobuf.parse(source, new protobuf.Root(), { keepCase: true });
  const space = root.lookup('grpc') as protobuf.Namespace;
  const json = root.toJSON() as { nested: { grpc: { nested: Record<string, Described> } } };
  for (const type of space.nestedArray) {
    const names = Object.entries(OCI_NAMES[`grpc.${type.name}`] ?? {});
    const toJson = new Map(names.map(([key, field]) => [field, key]));
    const described = json.nested.grpc.nested[type.name] as Described;
    described.fields = Object.fromEntries(
      Object.entries(described.fields).map(([name, field]) => [toJson.get(name) ?? name, field]),
    );
    for (const oneof of Object.values(described.oneofs ?? {})) {
      oneof.oneof = oneof.oneof.map((name) => toJson.get(name) ?? name);
    }
  }
  return json;
}

interface Described {
  fields: Record<string, unknown>;
  oneofs?: Record<string, { oneof: string[] }>;
}
