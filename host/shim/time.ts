/** Points in time as protobuf carries them. */
import type { Timestamp } from '../proto/messages/google.ts';

/** Seconds of Go's zero time, 1 January of year 1: how containerd's own shims say "not yet". */
const GO_ZERO_SECONDS = -62135596800;

export const NOT_YET: Timestamp = { seconds: GO_ZERO_SECONDS, nanos: 0 };

/** @param date undefined: it has not happened yet */
export function timestamp(date: Date | undefined): Timestamp {
  if (!date) return NOT_YET;
  const ms = date.getTime();
  const seconds = Math.floor(ms / 1000);
  return { seconds, nanos: (ms - seconds * 1000) * 1_000_000 };
}
