/** Pods and their containers: life, death and what they share. */
import * as assert from 'uvu/assert';
import type { Pod } from '../harness/cri/pods.ts';
import { eachCri } from '../harness/cri/suite.ts';

eachCri('pods', (test) => {
  let pod: Pod;

  test('a pod runs', async ({ pods }) => {
    pod = await pods.run();
    assert.is((await pod.status()).state, 'SANDBOX_READY');
    assert.is((await pod.addresses()).length, 2);
  });

  test('a container runs to its end with its exit code and its log', async () => {
    const done = await pod.runToEnd(['sh', '-c', 'echo out; echo err >&2; exit 7']);
    assert.equal(done, { stdout: 'out\n', stderr: 'err\n', code: 7 });
  });
});
