/** `ctr events`, as it comes. */
import type { Containerd } from '../../setup/containerd.ts';
import { until } from './containers.ts';

export interface TaskEvent {
  readonly topic: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface Events {
  /** The `/tasks/` events of one container so far, in order of arrival. */
  of(containerId: string): TaskEvent[];
  stop(): void;
}

/** Starts watching; returns once events are really seen. */
export async function watchEvents(daemon: Containerd): Promise<Events> {
  const child = daemon.spawnCtr(['events'], ['ignore', 'pipe', 'ignore']);
  let text = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  // Nothing tells when ctr has subscribed: a namespace label that changes does.
  let mark = 0;
  await until('events are seen', async () => {
    await daemon.ctr(['namespaces', 'label', 'default', `mark=${mark++}`]);
    return text.includes('/namespaces/update');
  });
  return {
    of: (containerId) =>
      parse(text).filter(({ topic, data }) => topic.startsWith('/tasks/') && data.container_id === containerId),
    stop: () => child.kill('SIGKILL'),
  };
}

/** Lines are `<time> <namespace> <topic> <JSON>`. */
function parse(text: string): TaskEvent[] {
  const events: TaskEvent[] = [];
  for (const line of text.split('\n').slice(0, -1)) {
    const match = / (\/\S+) (\{.*\})$/.exec(line);
    if (match === null) continue;
    events.push({ topic: match[1] as string, data: JSON.parse(match[2] as string) as TaskEvent['data'] });
  }
  return events;
}
