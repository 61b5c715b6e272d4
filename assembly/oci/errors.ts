/**
 * Why a document was refused. Shared with the host, which words it in host/oci/fault.ts: plain constants are valid
 * AssemblyScript (i32) and valid TypeScript (number).
 */

/** A value was expected. */
export const EXPECTED_VALUE = 1;
export const EXPECTED_STRING = 2;
export const EXPECTED_NUMBER = 3;
export const EXPECTED_BOOL = 4;
export const EXPECTED_OBJECT = 5;
export const EXPECTED_ARRAY = 6;
/** A key in quotes was expected. */
export const EXPECTED_KEY = 7;
export const EXPECTED_COLON = 8;
/** `,` or `}` was expected. */
export const EXPECTED_COMMA_OR_BRACE = 9;
/** `,` or `]` was expected. */
export const EXPECTED_COMMA_OR_BRACKET = 10;
/** Something follows the document. */
export const EXPECTED_END = 11;
/** A string has no closing quote. */
export const UNTERMINATED_STRING = 12;
export const BAD_ESCAPE = 13;
/** A raw byte below 0x20 in a string. */
export const CONTROL_CHARACTER = 14;
export const BAD_UTF8 = 15;
/** U+0000 in a string that is carried over: the kernel would end it there. */
export const NUL_CHARACTER = 16;
/** Not a number by JSON's grammar. */
export const BAD_NUMBER = 17;
/** A fraction or exponent where the field holds a whole number. */
export const NOT_WHOLE = 18;
/** A number that does not fit its field. */
export const OUT_OF_RANGE = 19;
/** Nested deeper than MAX_DEPTH. */
export const TOO_DEEP = 20;
/** More than MAX_INPUT bytes. */
export const TOO_LARGE = 21;
/** The translation does not fit the output. */
export const OUTPUT_FULL = 22;
/** A caller's mistake: no such root, or memory that is not there. */
export const BAD_CALL = 23;
