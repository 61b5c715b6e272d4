/** A netlink socket inside a network namespace. Calls are synchronous: the kernel answers within the system call. */
import { closeSync } from 'node:fs';
import { getSystemErrorName } from 'node:util';
import { native } from '../native.ts';
import {
  type Attribute,
  attributes,
  message,
  type NetlinkMessage,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLMSG_DONE,
  NLMSG_ERROR,
  parse,
  readCstring,
  readMessages,
} from './netlink-message.ts';

export const NETLINK_ROUTE = 0;
export const NETLINK_NETFILTER = 12;

/** Of an error's header: attributes follow the copy of the request's header. */
const NLM_F_ACK_TLVS = 0x200;
const NLMSGERR_ATTR_MSG = 1;
/** i32 error, then the request's header of 16 bytes. */
const ERROR_BYTES = 20;

/** What the kernel refused, with its own words where it has some. */
export class NetlinkError extends Error {
  override readonly name = 'NetlinkError';
  constructor(
    /** errno by name, e.g. `EEXIST`. */
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

export class Netlink {
  readonly #fd: number;

  /**
   * @param namespace path of the network namespace; empty: this process's own
   * @throws Error with `code`, as node:fs
   */
  constructor(namespace: string, protocol: number = NETLINK_ROUTE) {
    const { inNetworkNamespace, netlinkSocket } = native();
    const open = () => netlinkSocket(protocol);
    this.#fd = namespace === '' ? open() : inNetworkNamespace(namespace, open);
  }

  /** Until then the namespace cannot go. */
  close(): void {
    closeSync(this.#fd);
  }

  /** Has the kernel change something. @throws NetlinkError */
  change(type: number, flags: number, fixed: Uint8Array, parts: readonly Attribute[]): void {
    this.#exchange(message(type, flags | NLM_F_ACK, fixed, parts), 1);
  }

  /** All objects of a kind. @throws NetlinkError */
  dump(type: number, fixed: Uint8Array, parts: readonly Attribute[] = []): NetlinkMessage[] {
    return parse(this.#exchange(message(type, NLM_F_DUMP, fixed, parts), 1));
  }

  /**
   * Sends messages at once. The socket is of no use after a failure, since further answers may be on their way.
   * @param acknowledged how many of them ask for an answer
   * @throws NetlinkError
   */
  batch(messages: readonly Uint8Array[], acknowledged: number): void {
    this.#exchange(Buffer.concat(messages), acknowledged);
  }

  #exchange(request: Uint8Array, answers: number): Uint8Array {
    const answer = native().netlinkExchange(this.#fd, request, answers);
    const failed = failure(answer);
    if (failed) throw failed;
    return answer;
  }
}

function failure(answer: Uint8Array): NetlinkError | undefined {
  for (const { type, flags, body } of readMessages(answer)) {
    if ((type !== NLMSG_ERROR && type !== NLMSG_DONE) || body.length < 4) continue;
    const error = new DataView(body.buffer, body.byteOffset).getInt32(0, true);
    if (error >= 0) continue;
    const code = getSystemErrorName(error);
    const words = flags & NLM_F_ACK_TLVS ? readCstring(attributes(body, ERROR_BYTES).get(NLMSGERR_ATTR_MSG)) : '';
    return new NetlinkError(code, words === '' ? code : `${code}: ${words}`);
  }
  return undefined;
}
