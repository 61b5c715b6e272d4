/** When word of a lack of memory comes, and what waits for it. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { KataError } from '../../../host/error.ts';
import { OOM_GRACE_MS, OomWatch } from '../../../host/sandbox/oom.ts';

/** An agent that tells what the test says. */
class Source {
  private readonly told: string[] = [];
  private waiter: ((id: string) => void) | undefined;
  private fail: ((reason: Error) => void) | undefined;

  tell(id: string): void {
    if (this.waiter) this.waiter(id);
    else this.told.push(id);
    this.waiter = undefined;
  }

  end(): void {
    this.fail?.(new KataError('unavailable', 'gone'));
  }

  oomEvent(): Promise<string> {
    const next = this.told.shift();
    if (next !== undefined) return Promise.resolve(next);
    return new Promise((resolve, reject) => {
      this.waiter = resolve;
      this.fail = reject;
    });
  }
}

const test = suite('out of memory');

for (const [whose, graceMs] of Object.entries(OOM_GRACE_MS)) {
  test(`word that has come by an end is told before it (${whose} guest)`, async () => {
    const order: string[] = [];
    const watch = new OomWatch(
      () => true,
      (id) => order.push(`oom ${id}`),
      graceMs,
    );
    const source = new Source();
    const watching = watch.watch(source, () => true);
    source.tell('a');
    await watch.settled('a');
    order.push('end');
    assert.equal(order, ['oom a', 'end']);
    await watch.settled('never');
    source.end();
    await watching;
  });
}

test("with Kata's agent word may come after the end", async () => {
  const order: string[] = [];
  const watch = new OomWatch(
    () => true,
    (id) => order.push(`oom ${id}`),
    60_000,
  );
  const source = new Source();
  const watching = watch.watch(source, () => true);
  const settled = watch.settled('a').then(() => order.push('end'));
  source.tell('a');
  await settled;
  assert.equal(order, ['oom a', 'end']);
  source.end();
  await watching;
});

test.run();
