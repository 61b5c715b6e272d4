/** Writes one word of a record. */
export function put(record: u32, word: u32, value: u32): void {
  store<u32>(record + word * 4, value);
}
