/**
 * What a connection has under way, by stream id. A Map shrinks and grows again with every batch of answers that empties it,
 * which took a third of a small call's time. Here are two arrays, open addressing, and nothing shrinks.
 */

/** Slots at the start; as many as a power of two. */
const FIRST_SLOTS = 64;
/** 2^32 divided by the golden ratio: ids that follow each other go far apart, so that those that stay make no clusters. */
const SCATTER = 0x9e3779b1;
/** No stream has this id: the slot is free. */
const FREE = 0;

export class StreamTable<T> {
  #ids = new Uint32Array(FIRST_SLOTS);
  #entries: (T | undefined)[] = emptySlots(FIRST_SLOTS);
  /** Bits of a scattered id that are not its slot's number. */
  #shift = 32 - Math.log2(FIRST_SLOTS);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(id: number): T | undefined {
    const slot = this.#find(id);
    return slot < 0 ? undefined : this.#entries[slot];
  }

  has(id: number): boolean {
    return this.#find(id) >= 0;
  }

  /** @param id not 0, and not in the table */
  add(id: number, entry: T): void {
    // At most half full: a search ends after two or three slots.
    if (2 * (this.#size + 1) > this.#ids.length) this.#grow();
    const slot = this.#free(id);
    this.#ids[slot] = id;
    this.#entries[slot] = entry;
    this.#size++;
  }

  /** @returns whether it was there */
  delete(id: number): boolean {
    let gap = this.#find(id);
    if (gap < 0) return false;
    const ids = this.#ids;
    const entries = this.#entries;
    const last = ids.length - 1;
    // Whatever comes behind and would not be found across the gap moves into it.
    for (let slot = (gap + 1) & last; ids[slot] !== FREE; slot = (slot + 1) & last) {
      const wanted = this.#slotOf(ids[slot] as number);
      if (((slot - wanted) & last) < ((slot - gap) & last)) continue;
      ids[gap] = ids[slot] as number;
      entries[gap] = entries[slot];
      gap = slot;
    }
    ids[gap] = FREE;
    entries[gap] = undefined;
    this.#size--;
    return true;
  }

  /** Empties the table. @returns what was in it, in the order of ids */
  take(): T[] {
    const order = [...this.#ids].filter((id) => id !== FREE).sort((a, b) => a - b);
    const all = order.map((id) => this.get(id) as T);
    this.#ids.fill(FREE);
    this.#entries.fill(undefined);
    this.#size = 0;
    return all;
  }

  #slotOf(id: number): number {
    return Math.imul(id, SCATTER) >>> this.#shift;
  }

  /** @returns the id's slot; -1: it has none */
  #find(id: number): number {
    const ids = this.#ids;
    const last = ids.length - 1;
    for (let slot = this.#slotOf(id); ; slot = (slot + 1) & last) {
      const found = ids[slot];
      if (found === FREE) return -1;
      if (found === id) return slot;
    }
  }

  #free(id: number): number {
    const last = this.#ids.length - 1;
    let slot = this.#slotOf(id);
    while (this.#ids[slot] !== FREE) slot = (slot + 1) & last;
    return slot;
  }

  #grow(): void {
    const ids = this.#ids;
    const entries = this.#entries;
    this.#ids = new Uint32Array(2 * ids.length);
    this.#entries = emptySlots(2 * ids.length);
    this.#shift--;
    for (let slot = 0; slot < ids.length; slot++) {
      const id = ids[slot] as number;
      if (id === FREE) continue;
      const place = this.#free(id);
      this.#ids[place] = id;
      this.#entries[place] = entries[slot];
    }
  }
}

function emptySlots<T>(count: number): (T | undefined)[] {
  return new Array<T | undefined>(count).fill(undefined);
}
