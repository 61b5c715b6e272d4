/** Many pods come and go; the machine is as it was before. */
import * as assert from 'uvu/assert';
import type { Pods } from '../harness/cri/pods.ts';
import { eachCri } from '../harness/cri/suite.ts';

const IN_A_ROW = 6;
/** Virtual machines at the same time: two cores and a few GiB are enough. */
const AT_ONCE = 3;

eachCri('census', (test) => {
  test('a first pod, for what is made once', async ({ pods }) => {
    await onePod(pods, 0);
  });

  test(`${IN_A_ROW} pods in a row leave nothing`, async ({ pods, daemon }) => {
    for (let i = 0; i < IN_A_ROW; i++) await onePod(pods, i);
    assert.equal(await daemon.leftovers(), []);
  });

  test(`${AT_ONCE} pods at once leave nothing`, async ({ pods, daemon }) => {
    await Promise.all(Array.from({ length: AT_ONCE }, (_, i) => onePod(pods, i)));
    assert.equal(await daemon.leftovers(), []);
  });

  test('pods with a runc pod beside them leave nothing', async ({ pods, daemon }) => {
    await Promise.all([onePod(pods, 1), onePod(pods, 2, 'runc')]);
    assert.equal(await daemon.leftovers(), []);
  });
});

/** Two containers, an exec, a container that has ended, and an end in no particular order. */
async function onePod(pods: Pods, i: number, handler = pods.handler): Promise<void> {
  const pod = await pods.run({}, handler);
  const main = await pod.container();
  const done = await pod.runToEnd(['sh', '-c', `echo ${i}; exit ${i}`]);
  assert.equal(done, { stdout: `${i}\n`, stderr: '', code: i });
  assert.is(await main.sh(`echo ${i}`), `${i}\n`);
  if (i % 2 === 0) await main.stop();
  await pod.remove();
}
