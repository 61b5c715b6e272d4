/**
 * `npm run package [-- --arch amd64|arm64] [--version X] [--output DIR] [--image] [--fast]`: what is installed on a node, in
 * build/package: a .deb, a .tar.gz of the same files, and on request an OCI archive for a DaemonSet.
 */
import { mkdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { reasonOf } from '../host/error.ts';
import { finish } from './command.ts';
import { type DebianArch, machineArch } from './debian.ts';
import { packArchive, packDeb } from './package-deb.ts';
import { packImage } from './package-image.ts';
import { buildTree } from './package-tree.ts';
import { BUILD, ROOT } from './paths.ts';
import { step } from './step.mjs';

const MB = 1e6;

interface Wanted {
  arch: DebianArch;
  version: string;
  output: string;
  image: boolean;
  fast: boolean;
}

try {
  await main(wantedBy(process.argv.slice(2)));
} catch (error) {
  process.stderr.write(`${reasonOf(error)}\n`);
  process.exitCode = 1;
}

async function main({ arch, version, output, image, fast }: Wanted): Promise<void> {
  mkdirSync(output, { recursive: true });
  const options = { output, epoch: await sourceDate(), fast };
  const tree = await step(`tree for ${arch}`, () => buildTree(join(output, `tree-${arch}`), version, arch));
  const files = [
    await step('.deb', () => packDeb(tree, options)),
    await step('.tar.gz', () => packArchive(tree, options)),
  ];
  if (image) files.push(await step('OCI archive', () => packImage(tree, options)));
  for (const file of files) {
    process.stdout.write(`${relative(process.cwd(), file)} ${(statSync(file).size / MB).toFixed(1)} MB\n`);
  }
}

/** SOURCE_DATE_EPOCH, or the commit's time: seconds since 1970; 0 where neither is known. */
async function sourceDate(): Promise<number> {
  const said = process.env.SOURCE_DATE_EPOCH ?? (await commitTime());
  const seconds = Number(said.trim());
  if (!Number.isSafeInteger(seconds) || seconds < 0)
    throw new Error(`SOURCE_DATE_EPOCH=${said} is not a number of seconds`);
  return seconds;
}

/** Outside of a checkout, or without git, there is none. */
async function commitTime(): Promise<string> {
  const done = await finish(['git', '-C', ROOT, 'log', '-1', '--format=%ct']).catch(() => undefined);
  return done?.code === 0 ? done.stdout : '0';
}

function wantedBy(words: readonly string[]): Wanted {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
  const wanted: Wanted = { arch: machineArch(), version, output: join(BUILD, 'package'), image: false, fast: false };
  const rest = [...words];
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    if (word === '--image') wanted.image = true;
    else if (word === '--fast') wanted.fast = true;
    else if (word === '--arch') wanted.arch = architecture(rest.shift());
    else if (word === '--version') wanted.version = debianVersion(rest.shift());
    else if (word === '--output') wanted.output = resolve(rest.shift() ?? '');
    else
      throw new Error(
        `npm run package: there is no option ${word}; there are --arch, --version, --output, --image, --fast`,
      );
  }
  return wanted;
}

function architecture(word: string | undefined): DebianArch {
  if (word === 'amd64' || word === 'arm64') return word;
  throw new Error(`--arch ${word ?? ''}: use amd64 or arm64`);
}

/** https://www.debian.org/doc/debian-policy/ch-controlfields.html#version, without epoch. */
function debianVersion(word: string | undefined): string {
  if (word !== undefined && /^\d[A-Za-z0-9.+~-]*$/.test(word)) return word;
  throw new Error(`--version ${word ?? ''}: a version begins with a digit and has letters, digits and . + ~ - only`);
}
