/** Packet filter rules and policy of the guest. */
import { KataError } from '../error.ts';
import type { Managed } from '../shim/boot.ts';
import { escapeText } from '../tail.ts';
import { isUnimplemented, PacketFilter } from './packet-filter.ts';
import type { Route } from './route.ts';

/** Largest set of rules, either way, bytes. */
export const MAX_RULES_BYTES = 1024 * 1024;
/** Largest policy, bytes. */
export const MAX_POLICY_BYTES = 1024 * 1024;

export function guestRoutes(managed: Managed): readonly Route[] {
  const filter = new PacketFilter(managed);
  return [
    ...ipTablesRoutes(filter, '/iptables', false),
    ...ipTablesRoutes(filter, '/ip6tables', true),
    policyRoute(managed),
  ];
}

function ipTablesRoutes(filter: PacketFilter, path: string, ipv6: boolean): readonly Route[] {
  const family = ipv6 ? 'IPv6' : 'IPv4';
  return [
    {
      method: 'GET',
      path,
      what: `the guest's ${family} packet filter rules, as iptables-save writes them`,
      act: async () => {
        const rules = await filter.use((agent) => agent.ipTables(ipv6));
        if (rules.length > MAX_RULES_BYTES) {
          throw new KataError('data_loss', `the guest has more than ${MAX_RULES_BYTES} bytes of rules`);
        }
        return { body: escapeText(Buffer.from(rules).toString('utf8')) };
      },
    },
    {
      method: 'PUT',
      path,
      what: 'sets them; the body is what iptables-restore reads',
      maxBody: MAX_RULES_BYTES,
      act: async ({ body }) => {
        if (body.length === 0) {
          throw new KataError('invalid_argument', 'the body is empty; it must be what iptables-save writes');
        }
        await filter.use((agent) => agent.setIpTables(ipv6, body));
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

function withoutEngine(thrown: unknown): never {
  if (!isUnimplemented(thrown)) throw thrown;
  throw new KataError(
    'unimplemented',
    `nothing was set: the agent of this guest has no policy engine. Use a guest image whose agent is built with one ([hypervisor.qemu] image)`,
    { cause: thrown },
  );
}
