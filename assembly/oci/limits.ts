/** Shared with the host: plain constants are valid AssemblyScript (i32) and valid TypeScript (number). */

/** Largest document, bytes. */
export const MAX_INPUT = 8 * 1024 * 1024;
/** Deepest nesting: messages of the protocol (5 at most), then objects and arrays of a value that is skipped. */
export const MAX_DEPTH = 64;
/** Bytes behind a document that the translation overwrites, and loads 16 at a time: a caller keeps them free. */
export const PADDING = 32;
