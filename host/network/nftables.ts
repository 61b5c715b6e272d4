/** nf_tables rules that send connections to a namespace's own loopback addresses to ports of ours. */
import { AF_INET, AF_INET6 } from './address-text.ts';
import { LOOPBACK_INDEX } from './links.ts';
import { NETLINK_NETFILTER, Netlink, type NetlinkError } from './netlink.ts';
import { type Attribute, cstring, message, NLM_F_ACK, NLM_F_CREATE, nested, u32 } from './netlink-message.ts';

/** Ours alone, so that it can be removed by its name. */
export const TABLE = 'kata_edge';
const CHAIN = 'forward';

const NFNL_SUBSYS_NFTABLES = 10;
const BATCH_BEGIN = 0x10;
const BATCH_END = 0x11;
const NEWTABLE = NFNL_SUBSYS_NFTABLES << 8;
const DELTABLE = NEWTABLE | 2;
const NEWCHAIN = NEWTABLE | 3;
const NEWRULE = NEWTABLE | 6;
const NLM_F_APPEND = 0x800;

const NFTA_TABLE_NAME = 1;
const NFTA_CHAIN_TABLE = 1;
const NFTA_CHAIN_NAME = 3;
const NFTA_CHAIN_HOOK = 4;
const NFTA_CHAIN_TYPE = 7;
const NFTA_HOOK_HOOKNUM = 1;
const NFTA_HOOK_PRIORITY = 2;
/** NF_INET_LOCAL_OUT: what is sent from within the namespace. */
const HOOK_OUTPUT = 3;
/** Where destinations are translated. */
const PRIORITY_DSTNAT = -100;
const NFTA_RULE_TABLE = 1;
const NFTA_RULE_CHAIN = 2;
const NFTA_RULE_EXPRESSIONS = 4;
const NFTA_LIST_ELEM = 1;
const NFTA_EXPR_NAME = 1;
const NFTA_EXPR_DATA = 2;
const NFTA_DATA_VALUE = 1;
const NFT_REG_1 = 1;
const NFT_META_OIF = 5;
const NFT_META_L4PROTO = 16;
const NFT_PAYLOAD_NETWORK_HEADER = 1;
const NFT_CMP_EQ = 0;
const IPPROTO_TCP = 6;

/** A port on each loopback address that is there. */
export type LoopbackPorts = { readonly [family in 4 | 6]?: number | undefined };

/** By IP version: the family, and where in the packet's header which bytes of the destination are compared. */
const FAMILIES = [
  { version: 4, family: AF_INET, offset: 16, loopback: Uint8Array.of(127) },
  { version: 6, family: AF_INET6, offset: 24, loopback: Uint8Array.of(...new Array(15).fill(0), 1) },
] as const;

/**
 * Redirects every TCP connection to 127.0.0.0/8 and ::1 in the namespace. Replaces what was there of ours.
 * @param ports where to, on the same address family
 * @throws NetlinkError; Error with `code`: the kernel has no nf_tables, or no NAT
 */
export function redirectLoopback(namespace: string, ports: LoopbackPorts): void {
  const messages: Uint8Array[] = [];
  for (const { version, family, offset, loopback } of FAMILIES) {
    const port = ports[version];
    if (port === undefined) continue;
    const table: Attribute = [NFTA_TABLE_NAME, cstring(TABLE)];
    messages.push(
      ...replace(family),
      tell(NEWTABLE, NLM_F_CREATE, family, [table]),
      tell(NEWCHAIN, NLM_F_CREATE, family, chain()),
      tell(NEWRULE, NLM_F_CREATE | NLM_F_APPEND, family, rule(offset, loopback, port)),
    );
  }
  if (messages.length > 0) transact(namespace, messages);
}

/** Removes our tables. Idempotent. @throws NetlinkError; Error with `code` */
export function removeRedirection(namespace: string): void {
  // Together: the kernel takes ten milliseconds for each transaction.
  if (
    isDone(() =>
      transact(
        namespace,
        FAMILIES.flatMap(({ family }) => replace(family)),
      ),
    )
  )
    return;
  // Without IPv6 in the kernel the other is still there.
  isDone(() => transact(namespace, replace(AF_INET)));
}

/** Makes sure of the table and deletes it: only what exists can be deleted. */
function replace(family: number): Uint8Array[] {
  const table: Attribute = [NFTA_TABLE_NAME, cstring(TABLE)];
  return [tell(NEWTABLE, NLM_F_CREATE, family, [table]), tell(DELTABLE, 0, family, [table])];
}

/** Whether the kernel can do it at all. */
function isDone(transaction: () => void): boolean {
  try {
    transaction();
    return true;
  } catch (thrown) {
    if (['EOPNOTSUPP', 'EAFNOSUPPORT', 'EPROTONOSUPPORT'].includes((thrown as NetlinkError).code)) return false;
    throw thrown;
  }
}

/** All of it or nothing. */
function transact(namespace: string, messages: readonly Uint8Array[]): void {
  const netlink = new Netlink(namespace, NETLINK_NETFILTER);
  const frame = (type: number) => message(type, 0, header(0, NFNL_SUBSYS_NFTABLES), []);
  try {
    netlink.batch([frame(BATCH_BEGIN), ...messages, frame(BATCH_END)], messages.length);
  } finally {
    netlink.close();
  }
}

function tell(type: number, flags: number, family: number, parts: readonly Attribute[]): Uint8Array {
  return message(type, flags | NLM_F_ACK, header(family, 0), parts);
}

/** struct nfgenmsg: u8 family, u8 version, u16 resource in network byte order. */
function header(family: number, resource: number): Uint8Array {
  return Uint8Array.of(family, 0, resource >> 8, resource & 255);
}

function chain(): Attribute[] {
  const hook = nested([
    [NFTA_HOOK_HOOKNUM, be32(HOOK_OUTPUT)],
    [NFTA_HOOK_PRIORITY, be32(PRIORITY_DSTNAT)],
  ]);
  return [
    [NFTA_CHAIN_TABLE, cstring(TABLE)],
    [NFTA_CHAIN_NAME, cstring(CHAIN)],
    [NFTA_CHAIN_HOOK, hook],
    [NFTA_CHAIN_TYPE, cstring('nat')],
  ];
}

/** oif lo; meta l4proto tcp; destination begins with the loopback address; redirect to :port */
function rule(offset: number, loopback: Uint8Array, port: number): Attribute[] {
  const expressions = nested([
    meta(NFT_META_OIF),
    equals(u32(LOOPBACK_INDEX)),
    meta(NFT_META_L4PROTO),
    equals(Uint8Array.of(IPPROTO_TCP)),
    // payload: destination register, header, offset, length
    expression('payload', [
      [1, be32(NFT_REG_1)],
      [2, be32(NFT_PAYLOAD_NETWORK_HEADER)],
      [3, be32(offset)],
      [4, be32(loopback.length)],
    ]),
    equals(loopback),
    // immediate: destination register, data
    expression('immediate', [
      [1, be32(NFT_REG_1)],
      [2, nested([[NFTA_DATA_VALUE, Uint8Array.of(port >> 8, port & 255)]])],
    ]),
    // redir: register of the lowest port
    expression('redir', [[1, be32(NFT_REG_1)]]),
  ]);
  return [
    [NFTA_RULE_TABLE, cstring(TABLE)],
    [NFTA_RULE_CHAIN, cstring(CHAIN)],
    [NFTA_RULE_EXPRESSIONS, expressions],
  ];
}

/** meta: destination register, key */
function meta(key: number): Attribute {
  return expression('meta', [
    [1, be32(NFT_REG_1)],
    [2, be32(key)],
  ]);
}

/** cmp: source register, operator, data */
function equals(value: Uint8Array): Attribute {
  return expression('cmp', [
    [1, be32(NFT_REG_1)],
    [2, be32(NFT_CMP_EQ)],
    [3, nested([[NFTA_DATA_VALUE, value]])],
  ]);
}

function expression(name: string, parts: readonly Attribute[]): Attribute {
  return [
    NFTA_LIST_ELEM,
    nested([
      [NFTA_EXPR_NAME, cstring(name)],
      [NFTA_EXPR_DATA, nested(parts)],
    ]),
  ];
}

/** nf_tables has its numbers in network byte order. */
function be32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setInt32(0, value);
  return bytes;
}
