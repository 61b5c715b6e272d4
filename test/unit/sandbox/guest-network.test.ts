/** What a guest is told of its network, and how. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { KataError } from '../../../host/error.ts';
import type { GuestNetwork } from '../../../host/network/network.ts';
import { tellGuest } from '../../../host/sandbox/guest-network.ts';

const NETWORK: GuestNetwork = {
  interfaces: [{ name: 'eth0' }, { name: 'eth1' }],
  routes: [],
  neighbors: [{ device: 'eth0' }],
};
const ALL = ['eth0', 'eth1', 'routes', 'neighbours'];

/** Answers each call when it is told to. */
class Agent {
  readonly asked: string[] = [];
  readonly failures = new Map<string, KataError>();
  private readonly answers: (() => void)[] = [];

  readonly updateInterface = ({ name = '' }): Promise<void> => this.ask(name);
  readonly updateRoutes = (): Promise<void> => this.ask('routes');
  readonly addArpNeighbors = (): Promise<void> => this.ask('neighbours');

  async answerAll(): Promise<void> {
    for (let answer = this.answers.shift(); answer; answer = this.answers.shift()) {
      answer();
      await new Promise(setImmediate);
    }
  }

  private ask(what: string): Promise<void> {
    this.asked.push(what);
    return new Promise((resolve, reject) => {
      const failure = this.failures.get(what);
      this.answers.push(() => (failure ? reject(failure) : resolve()));
    });
  }
}

const test = suite('the guest is told of its network');

test('an agent that keeps the order is asked for everything at once', async () => {
  const agent = new Agent();
  const told = tellGuest(agent, NETWORK, true);
  assert.equal(agent.asked, ALL);
  await agent.answerAll();
  await told;
});

test('any other is asked for one thing after the other', async () => {
  const agent = new Agent();
  const told = tellGuest(agent, NETWORK, false);
  assert.equal(agent.asked, ['eth0']);
  await agent.answerAll();
  await told;
  assert.equal(agent.asked, ALL);
});

test('of several failures the first is told; an agent that waits for NICs by itself is not asked again', async () => {
  const agent = new Agent();
  agent.failures.set('eth1', new KataError('not_found', 'Link not found: 02:00'));
  agent.failures.set('routes', new KataError('not_found', 'Link not found: eth1'));
  const told = tellGuest(agent, NETWORK, true);
  told.catch(() => {});
  await agent.answerAll();
  try {
    await told;
    assert.unreachable();
  } catch (thrown) {
    assert.match((thrown as Error).message, 'interface eth1: Link not found: 02:00');
  }
  assert.equal(agent.asked, ALL);
});

test('without interfaces there is nothing to say', async () => {
  const agent = new Agent();
  await tellGuest(agent, { interfaces: [], routes: [], neighbors: [] }, true);
  assert.equal(agent.asked, []);
});

test.run();
