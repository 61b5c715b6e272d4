/** Which pod a sandbox is, from whatever names it. */
import type { SandboxSpec } from './sandbox-spec.ts';
import type { PodName } from './state-file.ts';

/** Longest name that is kept, characters: Kubernetes allows 253. */
export const MAX_POD_NAME = 256;
/** By which annotations containerd's CRI and CRI-O say it. */
const NAMES = {
  name: ['io.kubernetes.cri.sandbox-name', 'io.kubernetes.cri-o.KubeName', 'io.kubernetes.pod.name'],
  namespace: ['io.kubernetes.cri.sandbox-namespace', 'io.kubernetes.cri-o.Namespace', 'io.kubernetes.pod.namespace'],
  uid: ['io.kubernetes.cri.sandbox-uid', 'io.kubernetes.pod.uid'],
} as const;

/** @returns undefined for a container by itself */
export function podNameOf({ pod, annotations }: Pick<SandboxSpec, 'pod' | 'annotations'>): PodName | undefined {
  const of = (part: keyof typeof NAMES): string => {
    const annotation = NAMES[part].find((each) => Object.hasOwn(annotations, each));
    const named = pod?.metadata?.[part] || (annotation === undefined ? '' : annotations[annotation]);
    return (named ?? '').slice(0, MAX_POD_NAME);
  };
  const name = of('name');
  return name === '' ? undefined : { name, namespace: of('namespace'), uid: of('uid') };
}
