/**
 * The frame scanner: debug WASM, release WASM and JavaScript leave the same records and the same state, read nothing
 * behind the batch, write nothing but records and state, and a fault-free record says what protobufjs says.
 */
import { ok, strictEqual } from 'node:assert/strict';
import {
  FAULT_ENVELOPE,
  FAULT_NONE,
  FAULT_OVERSIZE,
  FRAME_HEADER_BYTES,
  MAX_RECORDS,
  MEMORY_BYTES,
  RECORD_BYTES,
  RECORD_DETAILS,
  RECORD_FAULT,
  RECORD_METADATA,
  RECORD_METHOD,
  RECORD_PAYLOAD,
  RECORD_PAYLOAD_LENGTH,
  RECORD_SERVICE,
  RECORD_TEXT,
  RECORD_TYPE,
  RECORD_WORDS,
  RECORDS_BASE,
  STATE_BASE,
  STATE_CONSUMED,
  STATE_NEEDED,
  STATE_WORDS,
  TYPE_DATA,
  TYPE_REQUEST,
  TYPE_RESPONSE,
  WINDOW_BASE,
  WINDOW_BYTES,
} from '../../../assembly/layout.ts';
import { instantiate } from '../../../host/core/core.ts';
import { JsScanner } from '../../../host/ttrpc/frame-scanner.ts';
import { type FrameScanner, wasmScanner } from '../../../host/ttrpc/frames.ts';
import { built } from '../../unit/core/builds.ts';
import { checkRequest, checkResponse, isRequest, isResponse } from '../envelope-oracle.ts';
import type { Target } from '../target.ts';
import { makeBatch } from '../traffic.ts';
import { Untouched } from '../untouched.ts';

/** Bytes behind a batch that differ between the scanners: what is read there shows as a difference. */
const BEHIND = 32;
/** Records that are filled with CANARY before a scan. */
const WATCHED_RECORDS = 16;
const CANARY = 0xc0ffee11;
const WINDOW_END = WINDOW_BASE + WINDOW_BYTES;
/** One case in so many is compared with protobufjs, which takes longer than all three scanners. */
const ORACLE_EVERY = 4;

export function scanTarget(): Target {
  const debug = instantiate(built.debug);
  const release = instantiate(built.release);
  const scanners: readonly FrameScanner[] = [
    wasmScanner(debug),
    wasmScanner(release),
    new JsScanner(new Uint8Array(WINDOW_END + BEHIND)),
  ];
  const [first] = scanners as [FrameScanner];
  const memories = [debug, release].map(
    ({ memory }) =>
      new Untouched(memory, [
        [0, RECORDS_BASE],
        [RECORDS_BASE + MAX_RECORDS * RECORD_BYTES, STATE_BASE],
        [STATE_BASE + STATE_WORDS * 4, WINDOW_BASE],
        [WINDOW_END + BEHIND, MEMORY_BYTES],
      ]),
  );
  let cases = 0;

  function scanAll(start: number, end: number): number {
    let count = 0;
    scanners.forEach((scanner, i) => {
      scanner.records.fill(CANARY, 0, WATCHED_RECORDS * RECORD_WORDS);
      const found = scanner.scan(start, end);
      if (i === 0) count = found;
      else strictEqual(found, count, 'number of records');
      if (count < WATCHED_RECORDS) {
        strictEqual(scanner.records[count * RECORD_WORDS], CANARY, 'the record behind the last is written');
      }
      strictEqual(scanner.state[STATE_CONSUMED], first.state[STATE_CONSUMED], 'consumed');
      strictEqual(scanner.state[STATE_NEEDED], first.state[STATE_NEEDED], 'needed');
      // A faulty frame's other words are unspecified.
      for (let record = 0; record < count * RECORD_WORDS; record += RECORD_WORDS) {
        const words = first.records[record + RECORD_FAULT] === FAULT_ENVELOPE ? RECORD_FAULT + 1 : RECORD_WORDS;
        for (let word = 0; word < words; word++) {
          if (scanner.records[record + word] !== first.records[record + word]) differ(scanners, i, record, word);
        }
      }
    });
    return count;
  }

  return {
    name: 'scan',
    room: 16 * 1024,
    generate: (buffer, random) => makeBatch(buffer, random),
    check(input) {
      // At the window's end, or at an address that depends on the case.
      const start = input.length % 3 === 0 ? WINDOW_END - input.length : WINDOW_BASE + (input.length % 61);
      const end = start + input.length;
      scanners.forEach(({ bytes }, i) => {
        bytes.set(input, start);
        bytes.fill((i * 0x55 + (input[0] ?? 0)) & 0xff, end, end + BEHIND);
      });
      for (let at = start; at < end; ) {
        const count = scanAll(at, end);
        const consumed = first.state[STATE_CONSUMED] as number;
        ok(consumed >= at && consumed <= end, 'what is consumed lies in the batch');
        if (count === 0) {
          strictEqual(consumed, at, 'nothing is consumed without a record');
          break;
        }
        ok(consumed > at, 'records consume bytes');
        checkRecords(first, at, consumed, count, cases % ORACLE_EVERY === 0);
        const last = (count - 1) * RECORD_WORDS;
        const isOversize = first.records[last + RECORD_FAULT] === FAULT_OVERSIZE;
        at = consumed + (isOversize ? (first.records[last + RECORD_PAYLOAD_LENGTH] as number) : 0);
      }
      for (const { bytes } of scanners) strictEqual(Buffer.compare(bytes.subarray(start, end), input), 0, 'the batch');
      if (++cases % 65_536 === 0) for (const memory of memories) memory.check();
    },
    finish() {
      for (const memory of memories) memory.check();
    },
  };
}

function differ(scanners: readonly FrameScanner[], i: number, record: number, word: number): never {
  const names = ['debug WASM', 'release WASM', 'JavaScript'];
  const found = scanners.map(({ records }) => [...records.subarray(record, record + RECORD_WORDS)].join(' '));
  throw new Error(`record ${record / RECORD_WORDS}, word ${word} of ${names[i]}:\n${found.join('\n')}`);
}

/** Each record lies in its frame and says what protobufjs says. */
function checkRecords(scanner: FrameScanner, from: number, until: number, count: number, withOracle: boolean): void {
  const { records, bytes } = scanner;
  let at = from;
  for (let record = 0; record < count * RECORD_WORDS; record += RECORD_WORDS) {
    const fault = records[record + RECORD_FAULT];
    const length =
      ((bytes[at] as number) << 24) |
      ((bytes[at + 1] as number) << 16) |
      ((bytes[at + 2] as number) << 8) |
      (bytes[at + 3] as number);
    const start = at + FRAME_HEADER_BYTES;
    at = fault === FAULT_OVERSIZE ? start : start + length;
    const kind = records[record + RECORD_TYPE];
    const data = bytes.subarray(start, at);
    if (withOracle && fault === FAULT_ENVELOPE) {
      ok(!(kind === TYPE_REQUEST ? isRequest : isResponse)(data), 'the codec reads what is refused');
    }
    if (fault !== FAULT_NONE) continue;
    const span = (word: number): Uint8Array => {
      const address = records[record + word] as number;
      const size = records[record + word + 1] as number;
      ok(size === 0 || (address >= start && address + size <= at), `word ${word} names bytes outside its frame`);
      return bytes.subarray(address, address + size);
    };
    if (kind === TYPE_REQUEST) {
      const found = [RECORD_SERVICE, RECORD_METHOD, RECORD_PAYLOAD, RECORD_METADATA].map(span);
      if (!withOracle) continue;
      ok(isRequest(data), 'the codec refuses what is read');
      checkRequest(records, record, data, found);
    } else if (kind === TYPE_RESPONSE) {
      const found = [RECORD_TEXT, RECORD_PAYLOAD, RECORD_DETAILS].map(span);
      if (!withOracle) continue;
      ok(isResponse(data), 'the codec refuses what is read');
      checkResponse(records, record, data, found);
    } else if (kind === TYPE_DATA) strictEqual(span(RECORD_PAYLOAD).length, length);
  }
  strictEqual(at, until, 'the frames follow each other');
}
