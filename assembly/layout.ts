/**
 * The map of linear memory and the layout of what the module leaves there, shared by the module and its host:
 * plain constants are valid AssemblyScript (i32) and valid TypeScript (number).
 *
 * Memory is fixed (initial = maximum) and touched lazily: a region that is never used costs address space only.
 * Addresses and sizes are bytes unless named otherwise.
 */

/** Static data of the module starts here; below is the null page, which nothing may use. `--memoryBase` repeats it. */
export const STATIC_BASE = 0x1000;
/** Static data must end here: the first region follows. */
export const STATIC_END = 0x80000;

/** Scan records, RECORD_BYTES each. */
export const RECORDS_BASE = 0x80000;
/** Most frames one scan reports; the host scans again for the rest. */
export const MAX_RECORDS = 1024;

/** Results beyond a function's return value, u32 words: STATE_… below. */
export const STATE_BASE = 0xa0000;
export const STATE_WORDS = 16;

/** Scratch of the OCI translation: key tables and nesting built at run time. */
export const OCI_SCRATCH_BASE = 0xb0000;
export const OCI_SCRATCH_BYTES = 0x50000;

/** What sockets read into; one window serves all connections, because a read is handled before the next begins. */
export const WINDOW_BASE = 0x100000;
export const WINDOW_BYTES = 256 * 1024;

/** Frames of one batch, on their way to a socket. */
export const OUTPUT_BASE = 0x140000;
export const OUTPUT_BYTES = 256 * 1024;

/** config.json, 8 MiB at most, and the padding behind it (MAX_INPUT and PADDING of oci/limits.ts). */
export const OCI_INPUT_BASE = 0x1fff80;
export const OCI_INPUT_BYTES = 8 * 1024 * 1024 + 128;

/** The translated grpc.Spec. */
export const OCI_OUTPUT_BASE = 0xa00000;
export const OCI_OUTPUT_BYTES = 8 * 1024 * 1024;

/** End of memory; asconfig.json's pages (64 KiB each) make the same number. */
export const MEMORY_BYTES = 0x1200000;
export const MEMORY_PAGES = 288;

// ---- ttrpc frames ----

/** Bytes of a frame's header: u32 data length, u32 stream id, u8 type, u8 flags; big endian. */
export const FRAME_HEADER_BYTES = 10;
/** Largest data length of a frame. */
export const FRAME_MAX_DATA_BYTES = 4 * 1024 * 1024;

export const TYPE_REQUEST = 1;
export const TYPE_RESPONSE = 2;
export const TYPE_DATA = 3;

// ---- what a scan leaves in the state words ----

/** Address of the first byte that no record covers. */
export const STATE_CONSUMED = 0;
/** Bytes of the incomplete frame that starts there, header included; 0 while its header is incomplete. */
export const STATE_NEEDED = 1;
/** What `writeRequest` and `writeStatus` leave: the address behind the frame. */
export const STATE_FRAME_END = 2;
/** What `findOutput` leaves: bytes of the data it has found. */
export const STATE_OUTPUT_LENGTH = 8;

// ---- a record: u32 words, all of them written for every frame ----

export const RECORD_WORDS = 16;
export const RECORD_BYTES = 64;

export const RECORD_STREAM = 0;
export const RECORD_TYPE = 1;
export const RECORD_FLAGS = 2;
/** FAULT_…; what other words say holds only without a fault. */
export const RECORD_FAULT = 3;
/** Address and length of the payload; of the whole data for TYPE_DATA. The declared length with FAULT_OVERSIZE. */
export const RECORD_PAYLOAD = 4;
export const RECORD_PAYLOAD_LENGTH = 5;
/** Request only. */
export const RECORD_SERVICE = 6;
export const RECORD_SERVICE_LENGTH = 7;
export const RECORD_METHOD = 8;
export const RECORD_METHOD_LENGTH = 9;
/** timeout_nano, two's complement. */
export const RECORD_TIMEOUT_LOW = 10;
export const RECORD_TIMEOUT_HIGH = 11;
/** From the first metadata field's tag to the end of the last one: it decodes as a Request of its own. */
export const RECORD_METADATA = 12;
export const RECORD_METADATA_LENGTH = 13;
/** Of the service's name, one byte 0x2f (`/`) and the method's: FNV-1a, four bytes (little-endian) a step while a name has as many left. */
export const RECORD_HASH = 14;
/** Response only: status message in the words of the service, status code as int32. */
export const RECORD_TEXT = 6;
export const RECORD_TEXT_LENGTH = 7;
export const RECORD_CODE = 15;
/** Response only: from the tag of the first status that has details to the end of the last: a Response of its own. */
export const RECORD_DETAILS = 8;
export const RECORD_DETAILS_LENGTH = 9;

export const FAULT_NONE = 0;
/** The data length exceeds FRAME_MAX_DATA_BYTES: only the header is consumed, and the scan ends with this record. */
export const FAULT_OVERSIZE = 1;
/** The data is no Request or Response. */
export const FAULT_ENVELOPE = 2;
