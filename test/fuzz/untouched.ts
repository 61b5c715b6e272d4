/** Memory that must stay as it is. */

export class Untouched {
  readonly #memory: Uint8Array;
  readonly #spans: readonly (readonly [number, number])[];
  readonly #before: Uint8Array[];
  readonly #buffer: ArrayBufferLike;

  /** @param spans addresses [start, end), as they are now */
  constructor(memory: Uint8Array, spans: readonly (readonly [number, number])[]) {
    this.#memory = memory;
    this.#buffer = memory.buffer;
    this.#spans = spans;
    this.#before = spans.map(([start, end]) => memory.slice(start, end));
  }

  /** @throws Error with the first address that differs */
  check(): void {
    if (this.#memory.buffer !== this.#buffer || this.#memory.length === 0) throw new Error('memory has grown');
    this.#spans.forEach(([start, end], i) => {
      const before = this.#before[i] as Uint8Array;
      if (Buffer.compare(this.#memory.subarray(start, end), before) === 0) return;
      const at = before.findIndex((byte, offset) => byte !== this.#memory[start + offset]);
      throw new Error(`address 0x${(start + at).toString(16)} was written`);
    });
  }
}
