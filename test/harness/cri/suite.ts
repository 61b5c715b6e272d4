/** Defines a suite of CRI tests once and runs it in every flavor: daemon first, then the tests, then proof that nothing stays. */
import { suite, type Test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Containerd, startContainerd } from '../../../setup/containerd.ts';
import { containerdPrograms } from '../../../setup/containerd-packages.ts';
import { criPackages } from '../../../setup/cri-packages.ts';
import { buildImage, buildPauseImage, IMAGE_NAME, PAUSE_IMAGE_NAME } from '../../../setup/image.ts';
import { CONTAINERD, DEBIAN_CACHE, IMAGES } from '../../../setup/paths.ts';
import { linkedShim } from '../containerd.ts';
import { environmentOf, type Flavor, forgivenOf, HANDLER, handlersOf, testedFlavors } from './flavors.ts';
import { Pods } from './pods.ts';

/** Whether each test's milliseconds are told on stderr. */
const SHOW_TIMES = process.env.KATA_TEST_TIMES !== undefined;

/** A daemon and what tests do with it. */
export interface CriBench {
  readonly flavor: Flavor;
  readonly daemon: Containerd;
  readonly pods: Pods;
}

/** A test's body; the daemon is running when it is called. */
export type CriBody = (bench: CriBench) => Promise<void>;

/** Adds a test to the suite of every flavor. */
export type DefineCri = (name: string, body: CriBody) => void;

export interface SuiteOptions {
  /** Of what was left behind, that which counts; absent: all. */
  ours?(left: readonly string[]): string[];
}

/**
 * Runs `define` once per flavor. The suite's last test removes all pods and asserts that no process, mount, network link, file,
 * socket, FIFO or cgroup has been left behind.
 */
export function eachCri(title: string, define: Define, options: SuiteOptions = {}): void {
  for (const flavor of testedFlavors()) oneFlavor(title, flavor, define, options);
}

type Define = (test: DefineCri, flavor: Flavor) => void;

/** A daemon that serves CRI, with its images there. The caller stops it. */
export async function startCri(flavor: Flavor): Promise<CriBench> {
  const { version } = flavor;
  const packages = await criPackages(version, CONTAINERD, DEBIAN_CACHE, () => {});
  const forgiven = forgivenOf(flavor);
  const daemon = await startContainerd({
    ...(forgiven === undefined ? {} : { forgiven }),
    programs: await containerdPrograms(version, CONTAINERD, DEBIAN_CACHE, () => {}),
    shimDirectory: linkedShim(),
    extraEnv: environmentOf(flavor),
    image: [await buildImage(IMAGES), await buildPauseImage(IMAGES)],
    namespaces: ['k8s.io'],
    cri: { version, packages, handlers: handlersOf(flavor), defaultHandler: 'runc' },
  });
  const pods = new Pods(daemon, packages.apiProto, HANDLER);
  try {
    await pods.ready([IMAGE_NAME, PAUSE_IMAGE_NAME]);
    return { flavor, daemon, pods };
  } catch (error) {
    pods.close();
    await daemon.stop();
    throw error;
  }
}

function oneFlavor(title: string, flavor: Flavor, define: Define, options: SuiteOptions): void {
  const test = suite(`${title}, CRI of containerd ${flavor.name}`);
  let bench: CriBench | undefined;
  // A test rather than a hook: a hook that fails ends the whole run without a word about the others.
  test('the daemon starts', async () => {
    bench = await startCri(flavor);
  });
  define(
    (name, body) =>
      test(name, async () => {
        assert.ok(bench, 'the daemon did not start');
        const since = performance.now();
        await body(bench).finally(() => {
          if (SHOW_TIMES) process.stderr.write(`${(performance.now() - since).toFixed(0).padStart(7)} ms  ${name}\n`);
        });
      }),
    flavor,
  );
  lastTest(test, () => bench, options);
  test.run();
}

function lastTest(test: Test, get: () => CriBench | undefined, options: SuiteOptions): void {
  test('nothing is left behind', async () => {
    const bench = get();
    assert.ok(bench, 'the daemon did not start');
    const problems: string[] = [];
    await bench.pods.removeAll().catch((error: unknown) => problems.push(String(error)));
    bench.pods.close();
    const left = await bench.daemon.stop();
    assert.equal([...problems, ...(options.ours?.(left) ?? left)], []);
  });
}
