/** Packet filter rules and policy of the guest. */
import { KataError } from '../error.ts';
import type { Managed } from '../shim/boot.ts';
import { escapeText } from '../tail.ts';
import type { Route } from './route.ts';

/** Largest set of rules, either way, bytes. */
export const MAX_RULES_BYTES = 1024 * 1024;
/** Largest policy, bytes. */
export const MAX_POLICY_BYTES = 1024 * 1024;

export function guestRoutes(managed: Managed): readonly Route[] {
  return [
    ...ipTablesRoutes(managed, '/iptables', false),
    ...ipTablesRoutes(managed, '/ip6tables', true),
    policyRoute(managed),
  ];
}

function ipTablesRoutes({ sandbox }: Managed, path: string, ipv6: boolean): readonly Route[] {
  const family = ipv6 ? 'IPv6' : 'IPv4';
  return [
    {
      method: 'GET',
      path,
      what: `the guest's ${family} packet filter rules, as iptables-save writes them`,
      act: async () => {
        const rules = await sandbox().machine.agent.ipTables(ipv6).catch(withoutPrograms);
        if (rules.length > MAX_RULES_BYTES) {
          throw new KataError('data_loss', `the guest has more than ${MAX_RULES_BYTES} bytes of rules`);
        }
        return { body: escapeText(Buffer.from(rules).toString('utf8')) };
      },
    },
    {
      method: 'PUT',
      path,
      what: `sets them; the body is what iptables-restore reads`,
      maxBody: MAX_RULES_BYTES,
      act: async ({ body }) => {
        if (body.length === 0)
          throw new KataError('invalid_argument', 'the body is empty; it must be what iptables-save writes');
        await sandbox().machine.agent.setIpTables(ipv6, body).catch(withoutPrograms);
        return { body: '' };
      },
    },
  ];
}

function policyRoute({ sandbox }: Managed): Route {
  return {
    method: 'PUT',
    path: '/policy',
    what: 'sets the policy of a guest whose agent has a policy engine; the body is the document',
    maxBody: MAX_POLICY_BYTES,
    act: async ({ body }) => {
      if (body.length === 0) throw new KataError('invalid_argument', 'the body is empty; it must be a policy');
      await sandbox().machine.agent.setPolicy(utf8(body)).catch(withoutEngine);
      return { body: '' };
    },
  };
}

function utf8(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new KataError('invalid_argument', 'the policy is no text in UTF-8');
  }
}

function withoutPrograms(thrown: unknown): never {
  throw unimplemented(
    thrown,
    "this guest cannot: its image has no iptables programs, or its kernel no packet filter. Use Kata's guest image ([hypervisor.qemu] image), which has both",
  );
}

function withoutEngine(thrown: unknown): never {
  throw unimplemented(
    thrown,
    'nothing was set: the agent of this guest has no policy engine. Use a guest image whose agent is built with one ([hypervisor.qemu] image)',
  );
}

function unimplemented(thrown: unknown, text: string): unknown {
  if (!(thrown instanceof KataError) || thrown.code !== 'unimplemented') return thrown;
  return new KataError('unimplemented', `${text} (the agent says: ${thrown.message.slice(0, 200)})`, { cause: thrown });
}
