/**
 * Makes host/proto/messages/*.ts from proto/*.proto: one file per .proto, one table and one type per message.
 * Run by `npm run proto`; the result is committed, and the tests rebuild and compare it.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import protobuf from 'protobufjs';

const HERE = dirname(fileURLToPath(import.meta.url));
const OUT = join(HERE, '..', 'host', 'proto', 'messages');
const SCALARS = new Set(['string', 'bytes', 'bool', 'int32', 'uint32', 'int64', 'uint64', 'double']);
const TS = { string: 'string', bytes: 'Uint8Array', bool: 'boolean', int64: 'Int64', uint64: 'Int64' };

/** What protobufjs bundles of google.protobuf, as a file of ours. */
const GOOGLE = `syntax = "proto3";
package google.protobuf;
message Any { string type_url = 1; bytes value = 2; }
message Timestamp { int64 seconds = 1; int32 nanos = 2; }
message Empty {}
`;

/** @returns {Map<string, string>} file name to TypeScript */
export function generate() {
  const files = readdirSync(HERE)
    .filter((name) => name.endsWith('.proto'))
    .sort();
  const sources = new Map(files.map((name) => [name, readFileSync(join(HERE, name), 'utf8')]));
  sources.set('google.proto', GOOGLE);
  const home = new Map(); // full name of a message or enum -> [module, local name]
  const parsed = new Map();
  for (const [name, source] of sources) {
    const { root, package: pkg } = protobuf.parse(source, new protobuf.Root(), { keepCase: true });
    const space = root.lookup(pkg);
    parsed.set(name, { pkg, space });
    visit(space, (item, path) =>
      home.set(`${pkg}.${path}`, [basename(name, '.proto'), path.replaceAll('.', '_'), item]),
    );
  }
  const out = new Map();
  for (const [name, { pkg, space }] of parsed)
    out.set(`${basename(name, '.proto')}.ts`, fileOf(name, pkg, space, home));
  return out;
}

function visit(space, each, prefix = '') {
  for (const item of space.nestedArray) {
    if (item instanceof protobuf.Type || item instanceof protobuf.Enum) each(item, prefix + item.name);
    if (item instanceof protobuf.Type) visit(item, each, `${prefix}${item.name}.`);
  }
}

function fileOf(name, pkg, space, home) {
  const imports = new Map();
  const body = [];
  const here = basename(name, '.proto');
  const refer = (type, from) => {
    const [module, local, item] = find(type, from, pkg, home);
    // Enums travel as int32 and stand in no table.
    if (module !== here && item instanceof protobuf.Type) {
      const as = `${module}_${local}`;
      imports.set(as, `import { ${local} as ${as} } from './${module}.ts';`);
      return [as, item];
    }
    return [local, item];
  };
  visit(space, (item, path) => {
    const local = path.replaceAll('.', '_');
    if (item instanceof protobuf.Enum) body.push(enumOf(local, item));
    else body.push(messageOf(local, `${pkg}.${path}`, item, (type) => refer(type, path)));
  });
  for (const item of space.nestedArray) if (item instanceof protobuf.Service) body.push(serviceOf(item, pkg, refer));
  const text = body.join('\n');
  const codec = [];
  if (/\bInt64\b/.test(text)) codec.push('type Int64');
  if (/MessageType</.test(text)) codec.push('type MessageType');
  if (/\bmessage</.test(text)) codec.push('message');
  return [
    `// Generated from proto/${name} by proto/generate.mjs. Do not edit: run \`npm run proto\`.`,
    `import { ${codec.join(', ')} } from '../codec.ts';`,
    ...[...imports.values()].sort(),
    '',
    text,
  ].join('\n');
}

function find(type, from, pkg, home) {
  const scopes = [];
  const path = `${pkg}.${from}`.split('.');
  for (let n = path.length; n >= 0; n--) scopes.push([...path.slice(0, n), type].join('.'));
  for (const full of scopes) if (home.has(full)) return home.get(full);
  throw new Error(`${pkg}.${from}: no message or enum ${type}`);
}

function enumOf(local, item) {
  const rows = Object.entries(item.values).map(([key, value]) => `  ${key}: ${value},`);
  return `export const ${local} = {\n${rows.join('\n')}\n} as const;\n`;
}

function messageOf(local, full, item, refer) {
  const types = [];
  const rows = [];
  for (const field of item.fieldsArray) {
    const [ref, kind] = SCALARS.has(field.type) ? [`'${field.type}'`, undefined] : refer(field.type);
    const isEnum = kind instanceof protobuf.Enum;
    const table = isEnum ? `'int32'` : ref;
    const ts = kind === undefined ? (TS[field.type] ?? 'number') : isEnum ? 'number' : ref;
    const optional = field.options?.proto3_optional === true || (field.partOf && !isOneofOfMessages(field));
    if (field.map) {
      types.push(`  ${field.name}: Record<string, ${ts}>;`);
      rows.push(`  [${field.id}, '${field.name}', ${table}, 'map', '${field.keyType}'],`);
    } else if (field.repeated) {
      types.push(`  ${field.name}: ${ts}[];`);
      rows.push(`  [${field.id}, '${field.name}', ${table}, 'repeated'],`);
    } else if (optional) {
      types.push(`  ${field.name}: ${ts} | undefined;`);
      rows.push(`  [${field.id}, '${field.name}', ${table}, 'optional'],`);
    } else {
      types.push(`  ${field.name}: ${ts}${kind && !isEnum ? ' | undefined' : ''};`);
      rows.push(`  [${field.id}, '${field.name}', ${table}],`);
    }
  }
  const shape = types.length ? `{\n${types.join('\n')}\n}` : 'Record<string, never>';
  const decl = types.length ? `export interface ${local} ${shape}` : `export type ${local} = ${shape};`;
  const list = rows.length ? `[\n${rows.join('\n')}\n]` : '[]';
  return `${decl}\nexport const ${local}: MessageType<${local}> = /* @__PURE__ */ message<${local}>('${full}', () => ${list});\n`;
}

function isOneofOfMessages(field) {
  return !SCALARS.has(field.type);
}

function serviceOf(item, pkg, refer) {
  const rows = item.methodsArray.map((method) => {
    const [request] = refer(method.requestType, item.name);
    const [response] = refer(method.responseType, item.name);
    return `  ${method.name}: [${request}, ${response}],`;
  });
  return `/** Methods of ${pkg}.${item.name}: request and response. */\nexport const ${item.name}Service = {\n${rows.join('\n')}\n} as const;\nexport const ${item.name}ServiceName = '${pkg}.${item.name}';\n`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  mkdirSync(OUT, { recursive: true });
  for (const [name, text] of generate()) writeFileSync(join(OUT, name), text);
}
