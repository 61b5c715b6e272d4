/** Asserts that a call fails with an AgentError. */
import * as assert from 'uvu/assert';
import { AgentError, CODES } from '../../../guest/agent/error.ts';

export async function refused(action: () => unknown, code: keyof typeof CODES, text: RegExp): Promise<void> {
  try {
    await action();
  } catch (thrown) {
    assert.instance(thrown, AgentError, String(thrown));
    assert.is((thrown as AgentError).code, CODES[code], (thrown as AgentError).message);
    assert.match((thrown as AgentError).message, text);
    return;
  }
  assert.unreachable(`expected ${code}`);
}
