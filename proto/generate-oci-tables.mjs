/**
 * Makes the tables by which config.json becomes grpc.Spec: assembly/oci/tables.ts for the WASM core and
 * host/oci/{fields,names}.ts for its JavaScript twin. Numbers and types come from proto/oci.proto, the JSON names from
 * the map below. Run by `node proto/generate-oci-tables.mjs`; the result is committed, and a test rebuilds and compares it.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import protobuf from 'protobufjs';

const HERE = dirname(fileURLToPath(import.meta.url));
export const WASM_TABLES = join(HERE, '..', 'assembly', 'oci', 'tables.ts');
export const HOST_FIELDS = join(HERE, '..', 'host', 'oci', 'fields.ts');
export const HOST_NAMES = join(HERE, '..', 'host', 'oci', 'names.ts');

/** The documents containerd sends: config.json, the spec of an exec, the resources of an update. */
const ROOTS = ['Spec', 'Process', 'LinuxResources'];

/**
 * Names in the OCI runtime specification, in the order of each message's fields; `-` for a field that it does not have.
 * https://github.com/opencontainers/runtime-spec/blob/main/specs-go/config.go
 */
const JSON_NAMES = {
  Spec: 'ociVersion process root hostname mounts hooks annotations linux solaris windows domainname',
  Process:
    'terminal consoleSize user args env cwd capabilities rlimits noNewPrivileges apparmorProfile oomScoreAdj selinuxLabel',
  Box: 'height width',
  User: 'uid gid additionalGids username umask',
  LinuxCapabilities: 'bounding effective inheritable permitted ambient',
  POSIXRlimit: 'type hard soft',
  Mount: 'destination source type options',
  Root: 'path readonly',
  Hooks: 'prestart poststart poststop createRuntime createContainer startContainer',
  Hook: 'path args env timeout',
  Linux:
    'uidMappings gidMappings sysctl resources cgroupsPath namespaces devices seccomp rootfsPropagation maskedPaths readonlyPaths mountLabel intelRdt personality',
  Windows: '-',
  Solaris: '-',
  LinuxIDMapping: 'hostID containerID size',
  LinuxNamespace: 'type path',
  LinuxDevice: 'path type major minor fileMode uid gid',
  LinuxResources: 'devices memory cpu pids blockIO hugepageLimits network unified',
  LinuxMemory: 'limit reservation swap kernel kernelTCP swappiness disableOOMKiller',
  LinuxCPU: 'shares quota period realtimeRuntime realtimePeriod cpus mems burst idle',
  LinuxWeightDevice: 'major minor weight leafWeight',
  LinuxThrottleDevice: 'major minor rate',
  LinuxBlockIO:
    'weight leafWeight weightDevice throttleReadBpsDevice throttleWriteBpsDevice throttleReadIOPSDevice throttleWriteIOPSDevice',
  LinuxPids: 'limit',
  LinuxDeviceCgroup: 'allow type major minor access',
  LinuxNetwork: 'classID priorities',
  LinuxHugepageLimit: 'pageSize limit',
  LinuxInterfacePriority: 'name priority',
  LinuxSeccomp: 'defaultAction architectures flags syscalls defaultErrnoRet',
  LinuxSeccompArg: 'index value valueTwo op',
  LinuxSyscall: 'names action errnoRet args',
  LinuxIntelRdt: 'l3CacheSchema',
  LinuxPersonality: 'domain flags',
};

/** As assembly/oci/translate.ts reads them. */
const KINDS = { string: 1, bool: 2, int64: 3, uint64: 4, uint32: 5, message: 6, map: 7 };
const KIND_MASK = 15;
const REPEATED = 16;
const PRESENCE = 32;
const WIRE_BYTES = 2;
/** A field's number is a byte of its row. */
const MAX_FIELD_NUMBER = 255;
/** Slots that assembly/oci/translate.ts keeps a message. */
const MAX_FIELDS = 16;
/** Bytes of a name's place in FIELDS. */
const NAME_BYTES = 24;
/** Bytes of a key that are hashed, slots a message, and the bits of the product that are not its slot's number. */
const PREFIX = 4;
const SLOTS = 32;
const HASH_SHIFT = 27;
/** Longest key that is compared, with the quote and colon behind it, as 16 bytes at once. */
const MAX_SLOT_KEY = 14;
/** Stands for a slot without a row. */
const NO_ROW = 255;

/** @returns {Map<string, string>} path to text */
export function generate() {
  const source = readFileSync(join(HERE, 'oci.proto'), 'utf8');
  const space = protobuf.parse(source, new protobuf.Root(), { keepCase: true }).root.lookup('grpc');
  const messages = space.nestedArray.filter((item) => item instanceof protobuf.Type).map(describe);
  const missing = Object.keys(JSON_NAMES).filter((name) => !messages.some((message) => message.name === name));
  if (missing.length) throw new Error(`oci.proto has no message ${missing.join(', ')}`);
  return new Map([
    [WASM_TABLES, wasmTables(messages)],
    [HOST_FIELDS, hostFields(messages)],
    [HOST_NAMES, hostNames(messages)],
  ]);
}

function describe(type) {
  const keys = JSON_NAMES[type.name]?.split(' ');
  if (keys?.length !== type.fieldsArray.length) throw new Error(`${type.name}: name its fields in JSON_NAMES`);
  if (keys.length > MAX_FIELDS) throw new Error(`${type.name}: more than ${MAX_FIELDS} fields`);
  const fields = type.fieldsArray.map((field, i) => ({
    key: keys[i],
    number: field.id,
    name: field.name,
    ...kindOf(field),
  }));
  return { name: type.name, fields: fields.filter((field) => field.key !== '-') };
}

function kindOf(field) {
  if (field.id > MAX_FIELD_NUMBER) throw new Error(`${field.fullName}: at most ${MAX_FIELD_NUMBER}`);
  if (field.map) {
    if (field.type !== 'string' || field.keyType !== 'string')
      throw new Error(`${field.fullName}: not a map of strings`);
    return { kind: KINDS.map };
  }
  const scalar = KINDS[field.type];
  const flags = (field.repeated ? REPEATED : 0) | (field.partOf ? PRESENCE : 0);
  if (field.repeated && scalar && field.type !== 'string' && field.type !== 'uint32') {
    throw new Error(`${field.fullName}: a list of ${field.type} is not written`);
  }
  return scalar ? { kind: scalar | flags } : { kind: KINDS.message | flags, message: field.type };
}

/** Levels of messages below and including `name`. */
function nesting(messages, name) {
  const { fields } = messages.find((message) => message.name === name);
  return 1 + Math.max(0, ...fields.map((field) => (field.message ? nesting(messages, field.message) : 0)));
}

function wasmTables(messages) {
  const rows = [];
  const index = [];
  const slots = [];
  for (const { name, fields } of messages) {
    const first = rows.length;
    const { multiplier, slot } = perfectHash(fields.map(({ key }) => key));
    index.push(`  ${first}, ${fields.length}, 0, 0, ${bytesOf(multiplier, 4)}, // ${name}`);
    slots.push(`  ${slot.map((row) => (row === undefined ? NO_ROW : first + row)).join(', ')}, // ${name}`);
    for (const { key, number, kind, message } of fields) {
      const sub = message ? messages.findIndex((other) => other.name === message) : 0;
      rows.push(
        `  ${nameBytes(key)}, ${key.length}, ${number}, ${kind}, ${sub}, ${tagByte(number, kind)}, 0, 0, 0, // ${name}.${key}`,
      );
    }
  }
  if (rows.length > NO_ROW) throw new Error('more fields than a byte can count');
  return [
    '// Generated from proto/oci.proto by proto/generate-oci-tables.mjs. Do not edit: run `node proto/generate-oci-tables.mjs`.',
    '// biome-ignore-all format: tables, a row a line',
    '',
    `export const MESSAGE_COUNT: i32 = ${messages.length};`,
    '/** Levels of messages within a document, its own included. */',
    `export const MAX_NESTING: i32 = ${Math.max(...ROOTS.map((name) => nesting(messages, name)))};`,
    '',
    "/** Eight bytes a message: its first row in FIELDS, how many are its own, two free, multiplier of its keys' hash (u32). */",
    `export const MESSAGES: usize = memory.data<u8>([\n${index.join('\n')}\n]);`,
    '',
    `/** ${SLOTS} bytes a message: by the hash of a key's first ${PREFIX} bytes, the only row in FIELDS that may have it; ${NO_ROW}: none. */`,
    `export const SLOTS: usize = memory.data<u8>([\n${slots.join('\n')}\n]);`,
    '',
    `/** ${NAME_BYTES + 8} bytes a field: name in ${NAME_BYTES} bytes with quote and colon behind it, length of the name, number, kind, message, tag of a string (0: it takes two bytes), three free. */`,
    `export const FIELDS: usize = memory.data<u8>([\n${rows.join('\n')}\n]);`,
    '',
  ].join('\n');
}

/**
 * Slots for keys by their first PREFIX bytes (the closing quote is one of them), none shared. Keys that begin alike, or are longer than
 * MAX_SLOT_KEY, have no slot: they are found by comparing all.
 */
function perfectHash(keys) {
  const prefixes = keys.map((key) => Buffer.from(`${key}"`).subarray(0, PREFIX).toString());
  const hashed = prefixes.map((prefix, row) => ({ prefix, row }));
  const kept = hashed.filter(
    ({ prefix, row }) =>
      prefix.length === PREFIX && keys[row].length <= MAX_SLOT_KEY && prefixes.indexOf(prefix) === row,
  );
  for (let multiplier = 0x9e3779b1; multiplier > 0; multiplier -= 2) {
    const slot = new Array(SLOTS).fill(undefined);
    const free = kept.every(({ prefix, row }) => {
      const at = Math.imul(Buffer.from(prefix).readUInt32LE(), multiplier) >>> HASH_SHIFT;
      if (slot[at] !== undefined) return false;
      slot[at] = row;
      return true;
    });
    if (free) return { multiplier, slot };
  }
  throw new Error(`no perfect hash for ${keys}`);
}

/** The tag of a string or list of strings; 0 where it takes more than a byte. */
function tagByte(number, kind) {
  return (kind & KIND_MASK) === KINDS.string && number < 16 ? number * 8 + WIRE_BYTES : 0;
}

function nameBytes(key) {
  const bytes = Buffer.alloc(NAME_BYTES);
  if (Buffer.byteLength(key) > NAME_BYTES) throw new Error(`${key}: at most ${NAME_BYTES} bytes`);
  bytes.write(`${key}":`);
  return [...bytes].join(', ');
}

/** Little endian. */
function bytesOf(value, count) {
  return Array.from({ length: count }, (_, i) => (value >>> (8 * i)) & 255).join(', ');
}

function hostFields(messages) {
  const rows = messages.map(({ name, fields }) => {
    const list = fields.map(({ key, number, kind, message }) => {
      const sub = message ? messages.findIndex((other) => other.name === message) : 0;
      return `['${key}', ${number}, ${kind}, ${sub}]`;
    });
    return `  [${list.join(', ')}], // ${name}`;
  });
  return [
    '// Generated from proto/oci.proto by proto/generate-oci-tables.mjs. Do not edit: run `node proto/generate-oci-tables.mjs`.',
    '// biome-ignore-all format: a table, a message a line',
    '',
    '/** A field: name in OCI JSON, number, kind, and message where it is one (its place in OCI_MESSAGES). */',
    'export type OciField = readonly [key: string, number: number, kind: number, message: number];',
    '',
    '/** The fields of each message, as assembly/oci/tables.ts has them. */',
    'export const OCI_MESSAGES: readonly (readonly OciField[])[] = [',
    ...rows,
    '];',
    '',
  ].join('\n');
}

function hostNames(messages) {
  const rows = messages.map(({ name, fields }) => {
    const pairs = fields.map(({ key, name: field }) => `${key}: '${field}'`);
    return `  'grpc.${name}': {${pairs.length ? ` ${pairs.join(', ')} ` : ''}},`;
  });
  return [
    '// Generated from proto/oci.proto by proto/generate-oci-tables.mjs. Do not edit: run `node proto/generate-oci-tables.mjs`.',
    '// biome-ignore-all format: a table, a message a line',
    '',
    '/** Of each message of proto/oci.proto: names in OCI JSON to names of its fields. */',
    'export const OCI_NAMES: Readonly<Record<string, Readonly<Record<string, string>>>> = {',
    ...rows,
    '};',
    '',
    '/** Of each document: its number for `ociTranslate`. */',
    'export const OCI_ROOTS = {',
    ...ROOTS.map((name) => `  ${name}: ${messages.findIndex((message) => message.name === name)},`),
    '} as const;',
    '',
  ].join('\n');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [path, text] of generate()) writeFileSync(path, text);
}
