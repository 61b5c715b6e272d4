/**
 * Finds the lines of keys in a text that a TOML parser has accepted; parsers keep values, not places. It never judges the text: of
 * one that is no TOML it finds something or nothing, and always ends.
 */
import { MAX_DEPTH, part } from './tables.ts';

export interface Place {
  /** From 1. */
  readonly line: number;
  readonly float: boolean;
}

/**
 * @returns places by full name, `hypervisor.qemu.path`; those in arrays of tables as `a.b[0].c`
 */
export function locate(text: string): Map<string, Place> {
  return new Locator(text).run();
}

class Locator {
  readonly #places = new Map<string, Place>();
  /** Number of elements by name of an array of tables. */
  readonly #arrays = new Map<string, number>();
  #at = 0;
  #line = 1;
  #counted = 0;

  constructor(private readonly text: string) {}

  run(): Map<string, Place> {
    const { text } = this;
    let table = '';
    if (text.charCodeAt(0) === 0xfeff) this.#at++;
    for (;;) {
      this.#skipVoid(true);
      if (this.#at >= text.length) return this.#places;
      const start = this.#at;
      if (text[this.#at] === '[') table = this.#header();
      else this.#assignment(table, 0);
      // Whatever it was, the next one is further on.
      if (this.#at === start) this.#at++;
    }
  }

  #header(): string {
    const isArray = this.text[this.#at + 1] === '[';
    this.#at += isArray ? 2 : 1;
    const line = this.#lineOf(this.#at);
    const parts = this.#key();
    let name = '';
    for (const [index, each] of parts.entries()) {
      name = name === '' ? part(each) : `${name}.${part(each)}`;
      if (isArray && index === parts.length - 1) {
        const count = this.#arrays.get(name) ?? 0;
        this.#arrays.set(name, count + 1);
        this.#record(name, line, false);
        name = `${name}[${count}]`;
      } else if (this.#arrays.has(name)) {
        name = `${name}[${(this.#arrays.get(name) ?? 1) - 1}]`;
      }
    }
    this.#record(name, line, false);
    while (this.text[this.#at] === ']') this.#at++;
    return name;
  }

  /** `key = value`. */
  #assignment(table: string, depth: number): void {
    const line = this.#lineOf(this.#at);
    const name = this.#key().reduce((above, each) => {
      const full = above === '' ? part(each) : `${above}.${part(each)}`;
      this.#record(full, line, false);
      return full;
    }, table);
    this.#skipVoid(false);
    if (this.text[this.#at] !== '=') {
      this.#skipLine();
      return;
    }
    this.#at++;
    this.#skipVoid(false);
    this.#value(name, line, depth);
  }

  #value(name: string, line: number, depth: number): void {
    const first = this.text[this.#at];
    if (first === '"' || first === "'") {
      this.#string();
    } else if (first === '[' && depth < MAX_DEPTH) {
      this.#list(name, line, depth);
    } else if (first === '{' && depth < MAX_DEPTH) {
      this.#inlineTable(name, depth);
    } else {
      const scalar = this.#scalar();
      this.#places.set(name, { line, float: /^[+-]?(?:[0-9_]+[.eE]|inf|nan)/.test(scalar) && !/^0x/.test(scalar) });
    }
  }

  #list(name: string, line: number, depth: number): void {
    this.#at++;
    for (let index = 0; ; index++) {
      this.#skipVoid(true);
      if (this.#at >= this.text.length) return;
      if (this.text[this.#at] === ']') {
        this.#at++;
        return;
      }
      const start = this.#at;
      const element = `${name}[${index}]`;
      if (this.text[this.#at] === '{') this.#record(element, this.#lineOf(this.#at), false);
      this.#value(element, line, depth + 1);
      this.#skipVoid(true);
      if (this.text[this.#at] === ',' || this.#at === start) this.#at++;
    }
  }

  #inlineTable(name: string, depth: number): void {
    this.#at++;
    for (;;) {
      this.#skipVoid(true);
      if (this.#at >= this.text.length) return;
      if (this.text[this.#at] === '}') {
        this.#at++;
        return;
      }
      const start = this.#at;
      if (this.text[this.#at] !== ',') this.#assignment(name, depth + 1);
      this.#skipVoid(true);
      if (this.text[this.#at] === ',' || this.#at === start) this.#at++;
    }
  }

  /** The parts of a dotted key. */
  #key(): string[] {
    const parts: string[] = [];
    for (;;) {
      this.#skipVoid(false);
      const first = this.text[this.#at];
      if (first === '"' || first === "'") {
        parts.push(this.#string());
      } else {
        const start = this.#at;
        while (/[A-Za-z0-9_-]/.test(this.text[this.#at] ?? '')) this.#at++;
        if (this.#at > start) parts.push(this.text.slice(start, this.#at));
      }
      this.#skipVoid(false);
      if (this.text[this.#at] !== '.') return parts;
      this.#at++;
    }
  }

  /** Passes a string of any of the four kinds. Its text counts only where it is a key, which has one line. */
  #string(): string {
    const { text } = this;
    const quote = text[this.#at] ?? '';
    const fence = text.startsWith(quote.repeat(3), this.#at) ? quote.repeat(3) : quote;
    const start = this.#at;
    this.#at += fence.length;
    while (this.#at < text.length && !text.startsWith(fence, this.#at)) {
      if (fence.length === 1 && text[this.#at] === '\n') break;
      this.#at += quote === '"' && text[this.#at] === '\\' ? 2 : 1;
    }
    const end = this.#at;
    this.#at += fence.length;
    // Up to two quotes may stand before the three that close.
    for (let more = 0; fence.length === 3 && more < 2 && text[this.#at] === quote; more++) this.#at++;
    const inside = text.slice(start + fence.length, end);
    return quote === '"' && inside.includes('\\') ? unescaped(inside) : inside;
  }

  #scalar(): string {
    const start = this.#at;
    while (this.#at < this.text.length && !/[,\]}\n#]/.test(this.text[this.#at] ?? '')) this.#at++;
    return this.text.slice(start, this.#at);
  }

  /** The first place of a name counts. */
  #record(name: string, line: number, float: boolean): void {
    if (!this.#places.has(name)) this.#places.set(name, { line, float });
  }

  /** Blanks; with `lines` comments and ends of lines too. */
  #skipVoid(lines: boolean): void {
    const { text } = this;
    for (; this.#at < text.length; this.#at++) {
      const code = text.charCodeAt(this.#at);
      if (code === 0x20 || code === 0x09) continue;
      if (!lines) return;
      if (code === 0x23) this.#skipLine();
      else if (code !== 0x0a && code !== 0x0d) return;
    }
  }

  /** To the end of the line, which stays. */
  #skipLine(): void {
    const end = this.text.indexOf('\n', this.#at);
    this.#at = end < 0 ? this.text.length : end;
  }

  /** Places are asked for in the order of the text. */
  #lineOf(at: number): number {
    for (; this.#counted < at; this.#counted++) if (this.text.charCodeAt(this.#counted) === 0x0a) this.#line++;
    return this.#line;
  }
}

function unescaped(text: string): string {
  const known: Readonly<Record<string, string>> = { b: '\b', t: '\t', n: '\n', f: '\f', r: '\r', e: '\x1b' };
  return text.replace(
    /\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))/g,
    (_, two, four, eight, one) => {
      const digits = two ?? four ?? eight;
      if (digits === undefined) return known[one] ?? one;
      const code = Number.parseInt(digits, 16);
      return code <= 0x10ffff ? String.fromCodePoint(code) : '';
    },
  );
}
