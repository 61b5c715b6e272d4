/**
 * Cases that once broke something, here or in a decoder elsewhere, by target: checked before all others, always. A case is written
 * as the target's `check` takes it.
 */

export interface Regression {
  /** The case's bytes. */
  readonly hex: string;
  /** What was, or is elsewhere, wrong with it. */
  readonly why: string;
}

export const REGRESSIONS: Readonly<Record<string, readonly Regression[]>> = {
  toml: [
    {
      hex: '5b5b68797065727669736f722e71656d752e67756573745f657874656e73696f6e5f696d616765735d5d0a626967203d20393232333337323033363835343737353830370a',
      why: 'a whole number beyond 2^53 in a table of a list',
    },
  ],
  scan: [
    { hex: '0000000a000000010200aa808080808080808000', why: 'a tag in ten bytes: Go reads it, protobufjs refuses it' },
    { hex: '0000000800000001010012ffffffff0f0102', why: 'a length that wraps 32 bits' },
    { hex: '0000000c000000010100207fffffffffffffffffff02', why: 'bits beyond the 64th' },
    { hex: '00000004000000010200131b1c14', why: 'groups in groups end by number' },
    { hex: 'fffffff600000001010000', why: 'a frame whose end wraps 32 bits' },
    { hex: '00400001000000010200', why: 'a frame of one byte too many, cut behind its header' },
  ],
  oci: [
    { hex: '007b22686f73746e616d65223a225c75', why: 'the document ends in an escape' },
    { hex: '007b22686f73746e616d65223a22f09f98', why: 'the document ends in a character' },
    { hex: '007b22686f73746e616d65223a225c75643833645c75', why: 'the document ends in the second half of a pair' },
    {
      hex: '007b22686f73746e616d65223a22222c22726f6f74223a7b7d2c22686f73746e616d65223a2261227d',
      why: 'a value of no bytes is replaced',
    },
  ],
  output: [
    { hex: '000aff', why: 'a length cut off' },
    { hex: '010000000400000001020012020a00', why: 'a frame whose data is empty' },
    { hex: '01000000050000000102001203', why: 'a frame of which too little is there' },
  ],
  metrics: [
    {
      hex: '6b6174615f6167656e745f70726f636573735f6f70656e5f6664735f6275636b657420370a',
      why: 'a name that goes on where a known one, which is no histogram, ends',
    },
    {
      hex: '676f5f676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676720310a',
      why: 'a name that is too long once it is rewritten',
    },
  ],
};
