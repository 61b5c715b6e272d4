/** Defines a suite once and runs it with every containerd: daemon first, then the tests, then proof that nothing stays. */
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { suite, type Test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Containerd, startContainerd } from '../../setup/containerd.ts';
import { CONTAINERD_VERSIONS, type ContainerdVersion, containerdPrograms } from '../../setup/containerd-packages.ts';
import { buildImage } from '../../setup/image.ts';
import { CONTAINERD, DEBIAN_CACHE, IMAGES, SHIM } from '../../setup/paths.ts';
import { Containers } from './containers.ts';
import './orderly-end.ts';

/** What containers run with. Another runtime than ours shows that it is not the tests that are wrong. */
export const RUNTIME = process.env.KATA_TEST_RUNTIME ?? 'io.containerd.kata.v2';

/** Whether the runtime under test is ours; a few tests look at virtual machines. */
export const IS_KATA = RUNTIME.includes('kata');

/** What a shim other than ours leaves when it is killed. */
const OF_OTHERS = /^file \/run\/containerd\/(s|fifo)\//;

/** containerd namespaces that have the image. */
export const NAMESPACES = ['default', 'other'];

/** A daemon and what tests do with it. */
export interface Bench {
  readonly version: ContainerdVersion;
  readonly daemon: Containerd;
  readonly containers: Containers;
}

/** A test's body; the daemon is running when it is called. */
export type Body = (bench: Bench) => Promise<void>;

/** Adds a test to the suite of every containerd version. */
export type Define = (name: string, body: Body) => void;

/** Versions to test: KATA_TEST_CONTAINERD is a list like `1.6,2.1`; absent: all. */
export function testedVersions(): ContainerdVersion[] {
  const wanted = process.env.KATA_TEST_CONTAINERD?.split(',');
  const versions = CONTAINERD_VERSIONS.filter((version) => wanted?.includes(version) ?? true);
  if (versions.length === 0) {
    throw new Error(
      `KATA_TEST_CONTAINERD=${process.env.KATA_TEST_CONTAINERD}: use some of ${CONTAINERD_VERSIONS.join(',')}`,
    );
  }
  return versions;
}

/**
 * Runs `define` once per containerd version. The suite's last test asserts that no process, mount, file, socket, FIFO or
 * cgroup has been left behind.
 */
export function eachContainerd(title: string, define: (test: Define) => void, versions = testedVersions()): void {
  for (const version of versions) oneContainerd(title, version, define);
}

function oneContainerd(title: string, version: ContainerdVersion, define: (test: Define) => void): void {
  const test = suite(`${title}, containerd ${version}`);
  let bench: Bench | undefined;
  // A test rather than a hook: a hook that fails ends the whole run without a word about the others.
  test('the daemon starts', async () => {
    bench = await startBench(version);
  });
  define((name, body) =>
    test(name, async () => {
      assert.ok(bench, 'the daemon did not start');
      await body(bench);
    }));
  lastTest(test, () => bench);
  test.run();
}

function lastTest(test: Test, get: () => Bench | undefined): void {
  test('nothing is left behind', async () => {
    const bench = get();
    assert.ok(bench, 'the daemon did not start');
    const left = await bench.containers.removeAll().then(
      () => bench.daemon.stop(),
      (error: unknown) => bench.daemon.stop().then((found) => [String(error), ...found]),
    );
    assert.equal(IS_KATA ? left : left.filter((line) => !OF_OTHERS.test(line)), []);
  });
}

async function startBench(version: ContainerdVersion): Promise<Bench> {
  const programs = await containerdPrograms(version, CONTAINERD, DEBIAN_CACHE, () => {});
  const image = await buildImage(IMAGES);
  const daemon = await startContainerd({ programs, shimDirectory: linkedShim(), image, namespaces: NAMESPACES });
  return { version, daemon, containers: new Containers(daemon, RUNTIME) };
}

/** What an installation is: a directory in PATH with a link to the launcher. */
export function linkedShim(): string {
  const directory = mkdtempSync('/tmp/ke-bin-');
  symlinkSync(SHIM, `${directory}/containerd-shim-kata-v2`);
  process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
  return directory;
}
