/** Pods as kata-monitor names them: as Kubernetes does, from the sandbox itself and from the CRI. One pod. */
import * as assert from 'uvu/assert';
import { listPods } from '../../host/monitor/cri.ts';
import { discover } from '../../host/monitor/discover.ts';
import { MonitorLog } from '../../host/monitor/log.ts';
import { Monitor } from '../../host/monitor/monitor.ts';
import { Pods } from '../../host/monitor/pods.ts';
import type { Pod } from '../harness/cri/pods.ts';
import { eachCri } from '../harness/cri/suite.ts';

eachCri('kata-monitor', (test) => {
  let pod: Pod;

  test('a pod', async ({ pods }) => {
    pod = await pods.run();
    await pod.container({ name: 'first' });
  });

  test('the CRI names it as the sandbox does', async ({ daemon }) => {
    const named = (await listPods(daemon.address)).get(pod.id);
    const found = discover().find(({ id }) => id === pod.id);
    assert.ok(named && found?.pod, JSON.stringify([named, found]));
    assert.equal(named, { name: found.pod.name, namespace: found.pod.namespace, uid: found.pod.uid });
    assert.equal(named.uid, pod.config.metadata.uid);
    const pods = new Pods(daemon.address, new MonitorLog('warn'));
    assert.equal((await pods.namesOf([{ ...found, pod: undefined }])).get(pod.id), named);
  });

  test('each of its metrics has the pod’s name, and its containers count as used', async () => {
    const monitor = new Monitor({ runtimeEndpoint: '', log: new MonitorLog('warn') });
    const text = [...(await monitor.sandboxMetrics(pod.id))].join('');
    const { name, namespace, uid } = pod.config.metadata;
    const labels = `sandbox_id="${pod.id}",cri_uid="${uid}",cri_name="${name}",cri_namespace="${namespace}"}`;
    const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    assert.ok(lines.length > 300, `${lines.length} lines`);
    for (const line of lines) assert.ok(line.includes(labels), line);
    const overhead = lines.find((line) => line.startsWith('kata_shim_pod_overhead_memory_in_bytes'));
    assert.ok(Number(overhead?.slice(overhead.lastIndexOf(' '))) > 0, overhead);
  });
});
