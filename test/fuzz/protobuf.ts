/** What protobufjs refuses and Go's decoder, like ours, does not: long forms of tags and lengths, groups in groups. */

/** Whether five bytes in a row say that the varint goes on. */
export function hasLongVarint(data: Uint8Array): boolean {
  let run = 0;
  for (const byte of data) {
    run = byte > 0x7f ? run + 1 : 0;
    if (run === 5) return true;
  }
  return false;
}

/** Whether a start-group tag may be among the bytes. */
export function hasGroup(data: Uint8Array): boolean {
  return data.some((byte) => (byte & 7) === 3);
}
