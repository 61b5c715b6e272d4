/**
 * Single Debian packages, fetched and unpacked without installing them.
 *
 * apt-get does the work (mirror, signatures, hashes, retries) with a configuration of its own: one private root per
 * suite and architecture, so that neither the machine's package lists nor its installed packages are touched. The mirror
 * and its keys are the machine's own. What has been fetched once is never asked of the network again.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { KataError, reasonOf } from '../host/error.ts';
import { type AptSource, machineSources } from './apt-sources.ts';

/** Most bytes kept of what a failing command wrote. */
const MAX_ERROR_BYTES = 4096;
/** Largest list of package names or versions read from apt, bytes. */
const MAX_LISTING_BYTES = 64 * 1024 * 1024;
/** Seconds to wait for another set-up that uses the same private root. */
const LOCK_SECONDS = 600;

export type Suite = 'bookworm' | 'trixie' | 'sid';
export type DebianArch = 'amd64' | 'arm64';

export interface PackageSpec {
  readonly suite: Suite;
  /** A package's name; may hold `*`: then the matching package with the highest version is meant. */
  readonly name: string;
  /** An exact version, or one that ends in `*`. Absent: the suite's newest. */
  readonly version?: string;
  /** Absent: the machine's own. */
  readonly arch?: DebianArch;
}

export interface Package {
  /** The real name, where the spec had a pattern. */
  readonly name: string;
  readonly version: string;
  readonly arch: DebianArch;
  /** Absolute path of the .deb. */
  readonly file: string;
  readonly sha256: string;
}

/** Called with one line per step that takes long. */
export type Progress = (line: string) => void;

/**
 * Fetches .deb files into `destination`, in the order of `specs`. Those fetched before are taken from there, unchanged
 * by newer versions in the suite, and need no network.
 * @param destination directory that keeps the files, their index and the private apt roots; made if missing
 * @param sources where the mirror and its keys are taken from; absent: the machine's own
 * @throws KataError `not_found` for a package the suite does not have, `unavailable` when the mirror cannot be reached
 */
export async function fetchPackages(
  specs: readonly PackageSpec[],
  destination: string,
  progress: Progress,
  sources?: readonly AptSource[],
): Promise<Package[]> {
  const directory = resolve(destination);
  await mkdir(directory, { recursive: true });
  const roots = new Map<string, Promise<AptRoot>>();
  const found: Package[] = [];
  for (const spec of specs) {
    const arch = spec.arch ?? machineArch();
    const known = await cached(directory, recordOf(directory, spec, arch));
    if (known) {
      found.push(known);
      continue;
    }
    const rootKey = `${spec.suite}-${arch}`;
    const root = roots.get(rootKey) ?? updatedRoot(directory, spec.suite, arch, progress, sources);
    roots.set(rootKey, root);
    found.push(await download(directory, await root, spec, arch, progress));
  }
  return found;
}

/**
 * Unpacks a .deb's files (not its scripts) below `directory`, which is made if missing.
 * @throws KataError `internal`
 */
export async function unpack(file: string, directory: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  await run(['dpkg-deb', '-x', file, directory]);
}

/**
 * The machine's architecture, as Debian calls it.
 * @throws KataError `unimplemented` for any other than amd64 and arm64
 */
export function machineArch(): DebianArch {
  if (process.arch === 'x64') return 'amd64';
  if (process.arch === 'arm64') return 'arm64';
  throw new KataError('unimplemented', `the ${process.arch} architecture is not supported; use amd64 or arm64`);
}

// ---- the index: what is here already ----

interface IndexEntry {
  readonly name: string;
  readonly version: string;
  readonly arch: DebianArch;
  /** Relative to the directory. */
  readonly file: string;
  readonly sha256: string;
}

/** One file an entry: two set-ups at once cannot lose each other's. A package's name has no slash. */
function recordOf(directory: string, spec: PackageSpec, arch: DebianArch): string {
  const name = `${spec.suite}_${arch}_${spec.name}${spec.version ? `=${spec.version}` : ''}`;
  return join(directory, 'index', `${name.replaceAll('/', '_')}.json`);
}

async function cached(directory: string, record: string): Promise<Package | undefined> {
  let entry: IndexEntry;
  try {
    entry = JSON.parse(await readFile(record, 'utf8')) as IndexEntry;
  } catch {
    // Missing or damaged: what it named is simply fetched again.
    return undefined;
  }
  const file = join(directory, basename(entry.file));
  const exists = await stat(file).catch(() => undefined);
  if (!exists || (await sha256Of(file)) !== entry.sha256) return undefined;
  return { ...entry, file };
}

async function write(record: string, found: Package): Promise<void> {
  await mkdir(dirname(record), { recursive: true });
  const next = `${record}.${process.pid}`;
  await writeFile(next, `${JSON.stringify({ ...found, file: basename(found.file) }, null, 2)}\n`);
  await rename(next, record);
}

async function sha256Of(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

// ---- apt ----

/** A private apt: its configuration file is all it takes. */
interface AptRoot {
  readonly suite: Suite;
  readonly config: string;
  readonly lock: string;
}

async function updatedRoot(
  directory: string,
  suite: Suite,
  arch: DebianArch,
  progress: Progress,
  sources: readonly AptSource[] | undefined,
): Promise<AptRoot> {
  const base = join(directory, 'apt', `${suite}-${arch}`);
  for (const part of ['state/lists/partial', 'cache/archives/partial', 'parts']) {
    await mkdir(join(base, part), { recursive: true });
  }
  await writeFile(join(base, 'status'), '');
  await writeFile(join(base, 'sources.list'), sourceLines(sources ?? (await machineSources()), suite));
  await writeFile(join(base, 'apt.conf'), aptConfig(base, arch, await run(['apt-config', 'dump', 'Acquire'])));
  const root = { suite, config: join(base, 'apt.conf'), lock: join(base, 'lock') };
  progress(`reading the package list of Debian ${suite} (${arch})`);
  try {
    await apt(root, ['apt-get', '-q', 'update']);
  } catch (error) {
    throw new KataError(
      'unavailable',
      `cannot read the package list of Debian ${suite}: ${reasonOf(error)}; check the network and the machine's apt sources`,
    );
  }
  return root;
}

/** Lines of a sources.list for one suite, on the mirror (and with the keys) the machine itself uses. */
export function sourceLines(sources: readonly AptSource[], suite: Suite): string {
  const security = sources.find((source) => source.suite.endsWith('-security'));
  // A Debian machine's main mirror is the one with a suite that stands alone, e.g. `bookworm`, `stable` or `sid`.
  const main = sources.find((source) => /^[a-z]+$/.test(source.suite) && source.debian);
  if (!main) {
    throw new KataError(
      'failed_precondition',
      'no Debian mirror in /etc/apt/sources.list or /etc/apt/sources.list.d; add one (see sources.list(5))',
    );
  }
  const line = (source: AptSource, name: string) => {
    const options = [
      ...(source.signedBy ? [`signed-by=${source.signedBy}`] : []),
      ...(source.trusted ? ['trusted=yes'] : []),
    ];
    return `deb ${options.length > 0 ? `[${options.join(' ')}] ` : ''}${source.uri} ${name} main\n`;
  };
  // sid has no security suite: fixes land in it directly.
  return line(main, suite) + (security && suite !== 'sid' ? line(security, `${suite}-security`) : '');
}

/** `acquire`: the machine's own download settings (proxies, retries), as `apt-config dump` prints them. */
function aptConfig(base: string, arch: DebianArch, acquire: string): string {
  return `${acquire}
Dir::State "${base}/state";
Dir::State::status "${base}/status";
Dir::Cache "${base}/cache";
Dir::Etc::sourcelist "${base}/sources.list";
Dir::Etc::sourceparts "${base}/parts";
Dir::Etc::main "/dev/null";
Dir::Etc::parts "${base}/parts";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "${base}/parts";
APT::Architecture "${arch}";
APT::Architectures { "${arch}"; };
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "3";
`;
}

function apt(root: AptRoot, command: readonly string[], cwd?: string): Promise<string> {
  const lock = ['flock', '--timeout', String(LOCK_SECONDS), root.lock];
  return run([...lock, ...command], { cwd, env: { ...process.env, APT_CONFIG: root.config, LC_ALL: 'C' } });
}

async function download(
  directory: string,
  root: AptRoot,
  spec: PackageSpec,
  arch: DebianArch,
  progress: Progress,
): Promise<Package> {
  const chosen = await choose(root, spec);
  // A place of its own, since the file's name is apt's choice (it escapes the version's colon).
  const place = await mkdtemp(join(directory, 'fetching-'));
  try {
    progress(`fetching ${chosen.name} ${chosen.version} (${arch})`);
    await apt(root, ['apt-get', '-q', 'download', `${chosen.name}=${chosen.version}`], place).catch(
      (error: unknown) => {
        throw new KataError('unavailable', `cannot fetch ${chosen.name} ${chosen.version}: ${reasonOf(error)}`);
      },
    );
    const name = (await readdir(place)).find((entry) => entry.endsWith('.deb'));
    if (!name) throw new KataError('internal', `apt-get download left no file for ${chosen.name} ${chosen.version}`);
    const file = join(directory, name);
    await rename(join(place, name), file);
    const found = { ...chosen, arch, file, sha256: await sha256Of(file) };
    await write(recordOf(directory, spec, arch), found);
    return found;
  } finally {
    await rm(place, { recursive: true, force: true });
  }
}

/** The package and version a spec means, by what the suite holds now. */
async function choose(root: AptRoot, spec: PackageSpec): Promise<{ name: string; version: string }> {
  const names = spec.name.includes('*')
    ? (await apt(root, ['apt-cache', 'pkgnames'])).split('\n').filter(matcher(spec.name))
    : [spec.name];
  const versionFits = matcher(spec.version ?? '*');
  const candidates: { name: string; version: string }[] = [];
  // `apt-cache madison`: `name | version | source`, newest version first.
  const listing = names.length === 0 ? '' : await apt(root, ['apt-cache', 'madison', ...names]);
  for (const line of listing.split('\n')) {
    const [name, version] = line.split('|').map((part) => part.trim());
    if (name && version && versionFits(version)) candidates.push({ name, version });
  }
  let best: { name: string; version: string } | undefined;
  for (const candidate of candidates) {
    if (!best || (await newer(candidate.version, best.version))) best = candidate;
  }
  if (best) return best;
  throw new KataError(
    'not_found',
    `Debian ${spec.suite} has no package ${spec.name}${spec.version ? ` in version ${spec.version}` : ''}`,
  );
}

/** A test against a pattern whose only special character is `*`. */
function matcher(pattern: string): (text: string) => boolean {
  const source = pattern.split('*').map((part) => part.replace(/[.+?^$()[\]{}|\\]/g, '\\$&'));
  const expression = new RegExp(`^${source.join('.*')}$`);
  return (text) => expression.test(text);
}

async function newer(version: string, than: string): Promise<boolean> {
  return run(['dpkg', '--compare-versions', version, 'gt', than]).then(
    () => true,
    () => false,
  );
}

/** Runs a command; its standard output. Throws with the end of its standard error. */
function run(
  command: readonly string[],
  options: { cwd?: string | undefined; env?: NodeJS.ProcessEnv } = {},
): Promise<string> {
  const [program = '', ...rest] = command;
  return new Promise((done, fail) => {
    const child = spawn(program, rest, { ...options, cwd: options.cwd, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    let errors = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (output.length < MAX_LISTING_BYTES) output += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      errors = (errors + text).slice(-MAX_ERROR_BYTES);
    });
    child.on('error', (error) => fail(new KataError('internal', `cannot run ${program}: ${error.message}`)));
    child.on('close', (code, signal) => {
      if (code === 0) done(output);
      else fail(new KataError('internal', `${program} ended with ${signal ?? `status ${code}`}: ${errors.trim()}`));
    });
  });
}
