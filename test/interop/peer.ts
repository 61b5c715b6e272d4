/** The service that both peers serve, the same as in go/peer.go; google.protobuf's wrappers are its messages. */
import { setTimeout as sleep } from 'node:timers/promises';
import { CODES, type Code, type KataError } from '../../host/error.ts';
import { type MessageType, message, type ScalarType } from '../../host/proto/message.ts';
import { Empty } from '../../host/proto/messages/google.ts';
import { Status } from '../../host/proto/messages/rpc_status.ts';
import { StatusError } from '../../host/ttrpc/status.ts';
import { type Service, service } from '../../host/ttrpc/types.ts';

export const PEER = 'kata.edge.interop.Peer';

interface Wrapper<T> {
  value: T;
}
const wrapper = <T>(name: string, type: ScalarType): MessageType<Wrapper<T>> =>
  message(`google.protobuf.${name}`, () => [[1, 'value', type]]);

export const BytesValue = wrapper<Uint8Array>('BytesValue', 'bytes');
export const StringValue = wrapper<string>('StringValue', 'string');
export const UInt32Value = wrapper<number>('UInt32Value', 'uint32');
export const Int64Value = wrapper<number | bigint>('Int64Value', 'int64');

export const PeerService = {
  Echo: [BytesValue, BytesValue],
  /** So many bytes of `pattern`. */
  Make: [UInt32Value, BytesValue],
  /** Milliseconds, or until nobody waits any more. */
  Sleep: [UInt32Value, Empty],
  /** Sleeps that ended early. */
  Abandoned: [Empty, UInt32Value],
  /** Milliseconds until the deadline; 0: there is none. */
  TimeLeft: [Empty, Int64Value],
  /** `key=value` lines in order. */
  Metadata: [Empty, StringValue],
  /** Fails with the status it is given. */
  Fail: [Status, Empty],
  /** Fails with an error of the language. */
  FailPlainly: [StringValue, Empty],
  /** Numbers from 0, so many of them. */
  Count: [UInt32Value, UInt32Value, 'server'],
  Sum: [UInt32Value, UInt32Value, 'client'],
  /** Sends back what it gets. */
  Chat: [BytesValue, BytesValue, 'both'],
  /** Three numbers, then the status it was given. */
  CountAndFail: [Status, UInt32Value, 'server'],
} as const;

/** Our side of it. */
export function peerService(): Service {
  let abandoned = 0;
  return service(PEER, PeerService, {
    Echo: (request) => request,
    Make: ({ value }) => ({ value: pattern(value) }),
    Sleep: async ({ value }, { signal }) => {
      await sleep(value, undefined, { signal }).catch(() => {
        abandoned++;
      });
      return {};
    },
    Abandoned: () => ({ value: abandoned }),
    TimeLeft: (_, { deadline }) => ({ value: deadline === 0 ? 0 : Math.ceil(deadline - Date.now()) }),
    Metadata: (_, { metadata }) => {
      const lines = [...metadata].map(([key, value]) => `${key}=${value}`);
      return { value: lines.sort().join('\n') };
    },
    Fail: (status) => {
      throw errorOf(status);
    },
    FailPlainly: ({ value }) => {
      throw new Error(value);
    },
    Count: async (stream) => {
      const { value = 0 } = (await stream.receive()) ?? {};
      for (let i = 0; i < value; i++) await stream.send({ value: i });
    },
    Sum: async (stream) => {
      let sum = 0;
      for await (const { value } of stream) sum += value;
      return { value: sum };
    },
    Chat: async (stream) => {
      for await (const message of stream) await stream.send(message);
    },
    CountAndFail: async (stream) => {
      const status = await stream.receive();
      for (let i = 0; i < 3; i++) await stream.send({ value: i });
      if (status) throw errorOf(status);
    },
  });
}

/** Bytes that show where they belong. */
export function pattern(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 31) >> 3);
}

function errorOf({ code, message, details }: Status): KataError {
  return new StatusError(codeOf(code), message, details);
}

export function codeOf(code: number): Code {
  const found = Object.entries(CODES).find(([, number]) => number === code);
  if (!found) throw new Error(`no status has the code ${code}`);
  return found[0] as Code;
}
