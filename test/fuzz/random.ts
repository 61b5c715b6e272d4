/** Random numbers that a seed repeats, fast enough for millions of cases. */

/** Chris Doty-Humphrey's sfc32: passes PractRand, four additions a number. */
export class Random {
  #a: number;
  #b: number;
  #c = 0;
  #counter = 1;

  constructor(seed: number) {
    this.#a = seed | 0;
    this.#b = (seed / 0x1_0000_0000) | 0;
    for (let i = 0; i < 12; i++) this.u32();
  }

  u32(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  /** 0 to `limit` - 1; `limit` is at least 1. */
  below(limit: number): number {
    return Math.floor((this.u32() / 0x1_0000_0000) * limit);
  }

  /** True once in `times`. */
  once(times: number): boolean {
    return this.below(times) === 0;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }

  /** 1, 2, 4 … `limit`, the small ones as often as the large ones, and what lies between. */
  size(limit: number): number {
    return this.below(Math.min(limit, 2 ** (1 + this.below(1 + Math.floor(Math.log2(limit)))))) + 1;
  }
}
