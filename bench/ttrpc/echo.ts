/** The service that is measured, the same as in go/main.go: google.protobuf's wrappers as messages. */
import { type MessageType, message } from '../../host/proto/message.ts';
import { Empty } from '../../host/proto/messages/google.ts';

export const SERVICE = 'kata.edge.bench.Echo';

export interface BytesValue {
  value: Uint8Array;
}
export const BytesValue: MessageType<BytesValue> = message('google.protobuf.BytesValue', () => [[1, 'value', 'bytes']]);

export interface UInt32Value {
  value: number;
}
export const UInt32Value: MessageType<UInt32Value> = message('google.protobuf.UInt32Value', () => [
  [1, 'value', 'uint32'],
]);

export const EchoService = {
  Echo: [BytesValue, BytesValue],
  Write: [BytesValue, Empty],
  Read: [UInt32Value, BytesValue],
} as const;
