/** What the protocol does not allow a server to send. https://github.com/containerd/ttrpc/blob/main/PROTOCOL.md */
import {
  FAULT_ENVELOPE,
  FAULT_NONE,
  RECORD_FAULT,
  RECORD_FLAGS,
  RECORD_STREAM,
  RECORD_TYPE,
  TYPE_DATA,
  TYPE_RESPONSE,
} from '../../assembly/layout.ts';

/** Flags that the protocol defines: remote closed, remote open, no data. */
const KNOWN_FLAGS = 7;

/**
 * Looks at a frame that a client has received. An oversized frame is none: it ends its own call only.
 * @returns what is wrong; undefined: nothing
 */
export function violationOf(records: Uint32Array, record: number): string | undefined {
  const fault = records[record + RECORD_FAULT];
  const type = records[record + RECORD_TYPE];
  const flags = records[record + RECORD_FLAGS] as number;
  const stream = records[record + RECORD_STREAM] as number;
  // Nearly every frame is one of these.
  if (type === TYPE_RESPONSE && fault === FAULT_NONE && flags === 0 && (stream & 1) === 1) return undefined;
  if (type !== TYPE_RESPONSE && type !== TYPE_DATA) return `message type ${type} where a response was expected`;
  if (flags > KNOWN_FLAGS) return `reserved flags 0x${flags.toString(16)}`;
  if ((stream & 1) === 0) return "a stream id of the server's";
  if (fault === FAULT_ENVELOPE) return 'data that is no ttrpc.Response message';
  return undefined;
}
