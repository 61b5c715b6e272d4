/**
 * What ends up among a program's arguments, or on a kernel's command line. A node's administrator has named such an annotation
 * letter by letter; even so a value is taken apart, and only what is known to stay within the guest is put together again.
 */
import { KataError } from '../error.ts';
import { refused } from './annotations-values.ts';

/** Longest list in one annotation, characters; kernel parameters share 2048 with those of the machine. */
export const MAX_ARGUMENTS_LENGTH = 1024;
/** Most entries of one list. */
export const MAX_ENTRIES = 64;

/** Of -machine: what neither names a file or another object, nor makes the machine less confined. Values are words. */
const MACHINE_PROPERTIES = [
  ...[
    'acpi',
    'gic-version',
    'graphics',
    'highmem',
    'hpet',
    'i8042',
    'its',
    'kernel-irqchip',
    'mem-merge',
    'nvdimm',
    'pit',
  ],
  ...['ras', 'sata', 'smbus', 'smm', 'usb', 'vmport'],
];
/** Options of virtiofsd about speed and consistency alone: nothing of what is shared, with whom, or how it is confined. */
const DAEMON_OPTIONS: Readonly<Record<string, RegExp>> = {
  'allow-direct-io': /^$/,
  'announce-submounts': /^$/,
  flock: /^$/,
  'killpriv-v2': /^$/,
  'log-level': /^(error|warn|info|debug|off|err)$/,
  'no-announce-submounts': /^$/,
  'no-flock': /^$/,
  'no-killpriv-v2': /^$/,
  'no-posix-lock': /^$/,
  'no-readdirplus': /^$/,
  'no-writeback': /^$/,
  'no-xattr': /^$/,
  'posix-lock': /^$/,
  'preserve-noatime': /^$/,
  readdirplus: /^$/,
  // Up to 64: they are threads of the host.
  'thread-pool-size': /^([0-9]|[1-5][0-9]|6[0-4])$/,
  timeout: /^[0-9]{1,5}(\.[0-9]{1,3})?$/,
  writeback: /^$/,
};
/**
 * Kernel parameters that choose what the guest runs or trusts, by name or, with a dot last, by what they begin with. Dashes stand
 * for underscores, as in the kernel.
 */
const KEPT_PARAMETERS = [
  // What the agent does, and the guest's init: the debug console, an address, a policy, a service.
  ...['agent.', 'kata.', 'debug-console', 'systemd.', 'rd.', 'udev.', 'single', 's', 'b', 'emergency', 'rescue'],
  // What is started first, and from where.
  ...['init', 'rdinit', 'initrd', 'noinitrd', 'initrdmem', 'root', 'rootflags', 'rootfstype', 'ro', 'rw', 'mount.'],
  ...['nfsroot', 'nfsaddrs', 'cifsroot', 'ip', 'resume', 'dm-mod.', 'dm-verity.', 'dm-crypt.', 'md', 'raid', 'luks.'],
  ...['memmap', 'bootconfig', 'acpi-rsdp', 'module.', 'modprobe.', 'initcall-blacklist', 'sysctl.'],
  // Who may look into the guest, or send it commands.
  ...[
    'console',
    'earlycon',
    'earlyprintk',
    'kgdboc',
    'kgdbwait',
    'kgdbcon',
    'kgdbdbgp',
    'ekgdboc',
    'kdb',
    'netconsole.',
  ],
  ...['sysrq-always-enabled', 'kprobe-event', 'trace-event', 'ftrace', 'dyndbg'],
  // What confines its containers and its modules.
  ...['lsm', 'security', 'selinux', 'enforcing', 'apparmor', 'lockdown', 'lockdown.'],
];
/** Of those, what Kata's own files set. */
const ALLOWED_PARAMETERS = ['systemd.unified-cgroup-hierarchy'];
const VERITY = {
  root_hash: /^[0-9a-fA-F]{32,128}$/,
  salt: /^[0-9a-fA-F]{1,512}$/,
  data_blocks: /^[1-9][0-9]{0,15}$/,
  data_block_size: /^[1-9][0-9]{0,7}$/,
  hash_block_size: /^[1-9][0-9]{0,7}$/,
} as const;

/**
 * `-machine`: properties by comma.
 * @throws KataError `invalid_argument` naming the one that is not taken; so do all of this file
 */
export function machineAccelerators(text: string, name: string): string {
  return list(text, name, ',')
    .map((entry) => {
      const [, property = '', value] = /^([a-z][a-z0-9_-]*)=([A-Za-z0-9._-]{1,32})$/.exec(entry) ?? [];
      if (value !== undefined && MACHINE_PROPERTIES.includes(property.replaceAll('_', '-'))) return entry;
      throw refused(name, entry, `must be name=value, where name is one of ${MACHINE_PROPERTIES.join(', ')}`);
    })
    .join(',');
}

/** `-cpu`: features by comma, each `name=value`, `+name`, `-name` or `name`. */
export function cpuFeatures(text: string, name: string): string {
  return list(text, name, ',')
    .map((entry) => {
      if (/^([+-][a-z0-9][a-z0-9._-]{0,63}|[a-z0-9][a-z0-9._-]{0,63}(=[A-Za-z0-9._-]{1,32})?)$/.test(entry))
        return entry;
      throw refused(name, entry, 'must be a feature as pmu=off, +name or -name');
    })
    .join(',');
}

/**
 * A JSON list of options for virtiofsd, to be put behind the configured ones.
 * @returns options of one argument each, or `-o` and its value
 */
export function virtiofsdArguments(text: string, name: string): string[] {
  const entries = jsonList(text, name);
  const result: string[] = [];
  for (let at = 0; at < entries.length; at++) {
    const entry = entries[at] ?? '';
    if (entry === '-o') {
      const options = entries[++at] ?? '';
      for (const option of options.split(',')) checkDaemonOption(option, name);
      result.push('-o', options);
      continue;
    }
    if (!entry.startsWith('--')) throw refused(name, entry, 'must begin with "--", or follow an entry "-o"');
    checkDaemonOption(entry.slice(2), name);
    result.push(entry);
  }
  return result;
}

/**
 * Kernel parameters by space; one replaces a configured one of its name, as in Kata.
 * @param configured the configuration's
 * @returns all of them
 */
export function kernelParams(text: string, name: string, configured: string): string {
  const added = list(text, name, ' ');
  for (const entry of added) {
    // Names in capitals become the environment of the guest's init, and numbers its runlevel.
    if (!/^[a-z][a-z0-9_-]*(\.[A-Za-z0-9_.-]+)?(=[A-Za-z0-9_.,:/@+*%=-]*)?$/.test(entry)) {
      throw refused(name, entry, 'must be a kernel parameter, name or name=value, in small letters and without quotes');
    }
    const key = keyOf(entry).replaceAll('_', '-');
    const kept = KEPT_PARAMETERS.some((one) => key === one || (one.endsWith('.') && key.startsWith(one)));
    if (kept && !ALLOWED_PARAMETERS.includes(key)) {
      throw new KataError(
        'permission_denied',
        `annotation ${name}: a pod may not set the kernel parameter ${keyOf(entry)}, which decides what its guest runs or who may look into it`,
      );
    }
  }
  const keys = new Set(added.map(keyOf));
  const kept = configured.split(/\s+/).filter((entry) => entry !== '' && !keys.has(keyOf(entry)));
  return [...kept, ...added].join(' ');
}

/** dm-verity of the guest's image: all five values, each once. */
export function verityParams(text: string, name: string): string {
  const entries = list(text, name, ',').map((entry) => entry.split('='));
  const given = new Map(entries.map(([key = '', value = '']) => [key, value]));
  const known = Object.entries(VERITY);
  const complete = known.every(([key, syntax]) => syntax.test(given.get(key) ?? ''));
  const sizes = ['data_block_size', 'hash_block_size'].every((key) => Number(given.get(key)) % 512 === 0);
  const once = entries.length === known.length && entries.every((entry) => entry.length === 2);
  if (complete && sizes && once) return text;
  throw refused(
    name,
    text,
    `must be ${known.map(([key]) => `${key}=…`).join(',')}, with block sizes of whole 512 bytes`,
  );
}

/** Modules by semicolon, each a name and its parameters by space. */
export function kernelModules(text: string, name: string): string[] {
  return list(text, name, ';').map((entry) => {
    const line = entry.trim();
    // A name cannot begin with a dash: it would be an option of the program that loads it.
    if (/^[A-Za-z0-9_][A-Za-z0-9_-]{0,63}( +[A-Za-z0-9_.]{1,64}(=[A-Za-z0-9_.,:/@+-]*)?)*$/.test(line)) return line;
    throw refused(name, entry, 'must be a module name, and its parameters as name=value');
  });
}

/** Entries without what separates them. */
function list(text: string, name: string, separator: string): string[] {
  if (text.length > MAX_ARGUMENTS_LENGTH) {
    throw new KataError(
      'invalid_argument',
      `annotation ${name} has ${text.length} characters; at most ${MAX_ARGUMENTS_LENGTH} are taken`,
    );
  }
  const entries = text.split(separator).filter((entry) => entry !== '');
  if (entries.length <= MAX_ENTRIES) return entries;
  throw new KataError(
    'invalid_argument',
    `annotation ${name} has ${entries.length} entries; at most ${MAX_ENTRIES} are taken`,
  );
}

function jsonList(text: string, name: string): string[] {
  let entries: unknown;
  try {
    entries = text.length <= MAX_ARGUMENTS_LENGTH ? JSON.parse(text) : undefined;
  } catch {
    entries = undefined;
  }
  if (Array.isArray(entries) && entries.length <= MAX_ENTRIES && entries.every((entry) => typeof entry === 'string')) {
    return entries;
  }
  throw refused(
    name,
    text,
    `must be a JSON list of at most ${MAX_ENTRIES} strings and ${MAX_ARGUMENTS_LENGTH} characters`,
  );
}

function checkDaemonOption(option: string, name: string): void {
  const [, key = '', , value = ''] = /^([a-z][a-z0-9_-]*)(=(.*))?$/s.exec(option) ?? [];
  const known = key.replaceAll('_', '-');
  if (Object.hasOwn(DAEMON_OPTIONS, known) && DAEMON_OPTIONS[known]?.test(value)) return;
  throw new KataError(
    'permission_denied',
    `annotation ${name}: a pod may not give virtiofsd the option ${JSON.stringify(option.slice(0, 80))}; it may give ${Object.keys(DAEMON_OPTIONS).join(', ')}`,
  );
}

function keyOf(parameter: string): string {
  return parameter.split('=', 1)[0] ?? '';
}
