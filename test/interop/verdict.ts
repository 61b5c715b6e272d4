/** What our side makes of an envelope, in the form in which go/decode.go says what ttrpc-go makes of it. */
import {
  RECORD_CODE,
  RECORD_DETAILS,
  RECORD_DETAILS_LENGTH,
  RECORD_FAULT,
  RECORD_METADATA,
  RECORD_METADATA_LENGTH,
  RECORD_METHOD,
  RECORD_METHOD_LENGTH,
  RECORD_PAYLOAD,
  RECORD_PAYLOAD_LENGTH,
  RECORD_SERVICE,
  RECORD_SERVICE_LENGTH,
  RECORD_TEXT,
  RECORD_TEXT_LENGTH,
  RECORD_TIMEOUT_HIGH,
  RECORD_TIMEOUT_LOW,
  WINDOW_BASE,
} from '../../assembly/layout.ts';
import { CODES } from '../../host/error.ts';
import { decode } from '../../host/proto/codec.ts';
import { Request } from '../../host/proto/messages/ttrpc.ts';
import type { FrameScanner } from '../../host/ttrpc/frames.ts';
import { errorOf, type StatusError } from '../../host/ttrpc/status.ts';
import { HEADER_BYTES } from '../../host/ttrpc/types.ts';
import type { Envelope } from './envelopes.ts';

const TYPES = { request: 1, response: 2 } as const;
/** What is said of an envelope that is refused. */
export const REFUSED = Buffer.of(0);
const NOTHING = new Uint8Array(0);

/** Scans the envelope as a frame of its own. */
export function verdict(scanner: FrameScanner, { type, data }: Envelope): Buffer {
  const { bytes, records } = scanner;
  const frame = Buffer.from(bytes.buffer, bytes.byteOffset + WINDOW_BASE, HEADER_BYTES + data.length);
  frame.writeUInt32BE(data.length, 0);
  frame.writeUInt32BE(1, 4);
  frame[8] = TYPES[type];
  frame[9] = 0;
  frame.set(data, HEADER_BYTES);
  const count = scanner.scan(WINDOW_BASE, WINDOW_BASE + frame.length);
  if (count !== 1) throw new Error(`${count} records for one frame`);
  if (records[RECORD_FAULT] !== 0) return REFUSED;
  return type === 'request' ? requestOf(scanner) : responseOf(scanner);
}

/** What goes to the decoder. */
export function question({ type, data }: Envelope): Buffer {
  return Buffer.concat([Buffer.of(TYPES[type]), number(data.length), data]);
}

/** The end of the verdict that starts at `at`; undefined while there is not all of it. */
export function verdictEnd(type: Envelope['type'], bytes: Buffer, at: number): number | undefined {
  if (bytes[at] === 0) return at + 1;
  const walk = new Walk(bytes, at + 1);
  if (type === 'request') {
    walk.texts(3);
    walk.skip(8);
    walk.texts(2 * walk.number());
  } else {
    walk.skip(4);
    walk.texts(1);
    walk.texts(2 * walk.number());
    walk.texts(1);
  }
  return walk.at <= bytes.length ? walk.at : undefined;
}

class Walk {
  constructor(
    readonly bytes: Buffer,
    public at: number,
  ) {}

  skip(count: number): void {
    this.at += count;
  }

  number(): number {
    const value = this.at + 4 <= this.bytes.length ? this.bytes.readUInt32LE(this.at) : 0;
    this.at += 4;
    return value;
  }

  texts(count: number): void {
    for (let i = 0; i < count && this.at <= this.bytes.length; i++) this.skip(this.number());
  }
}

function requestOf({ bytes, records }: FrameScanner): Buffer {
  const span = spans(bytes, records);
  const timeout = Buffer.alloc(8);
  timeout.writeUInt32LE(records[RECORD_TIMEOUT_LOW] as number, 0);
  timeout.writeUInt32LE(records[RECORD_TIMEOUT_HIGH] as number, 4);
  const pairs = metadataOf(span(RECORD_METADATA, RECORD_METADATA_LENGTH));
  if (!pairs) return REFUSED;
  return Buffer.concat([
    Buffer.of(1),
    ...text(span(RECORD_SERVICE, RECORD_SERVICE_LENGTH)),
    ...text(span(RECORD_METHOD, RECORD_METHOD_LENGTH)),
    ...text(span(RECORD_PAYLOAD, RECORD_PAYLOAD_LENGTH)),
    timeout,
    number(pairs.length),
    ...pairs.flatMap(({ key, value }) => [...text(Buffer.from(key)), ...text(Buffer.from(value))]),
  ]);
}

/** As the server reads them; undefined where it refuses the call. */
function metadataOf(bytes: Uint8Array): Request['metadata'] | undefined {
  try {
    return decode(Request, bytes).metadata;
  } catch {
    return undefined;
  }
}

function responseOf({ bytes, records }: FrameScanner): Buffer {
  const span = spans(bytes, records);
  const { details } = errorOf(CODES.unknown, '', span(RECORD_DETAILS, RECORD_DETAILS_LENGTH)) as Partial<StatusError>;
  return Buffer.concat([
    Buffer.of(1),
    number(records[RECORD_CODE] as number),
    ...text(span(RECORD_TEXT, RECORD_TEXT_LENGTH)),
    number(details?.length ?? 0),
    ...(details ?? []).flatMap(({ type_url = '', value = NOTHING }) => [
      ...text(Buffer.from(type_url)),
      ...text(value),
    ]),
    ...text(span(RECORD_PAYLOAD, RECORD_PAYLOAD_LENGTH)),
  ]);
}

function spans(bytes: Uint8Array, records: Uint32Array): (word: number, lengthWord: number) => Uint8Array {
  return (word, lengthWord) => {
    const start = records[word] as number;
    return bytes.subarray(start, start + (records[lengthWord] as number));
  };
}

function text(bytes: Uint8Array): Uint8Array[] {
  return [number(bytes.length), bytes];
}

function number(value: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeUInt32LE(value);
  return out;
}
