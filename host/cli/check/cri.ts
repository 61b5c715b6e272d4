/** Two questions to containerd's CRI: who are you, and how are you configured. gRPC over HTTP/2, by hand: it takes a screen. */
import type { ClientHttp2Session } from 'node:http2';
import { connect as connectSocket } from 'node:net';
import { KataError, reasonOf } from '../../error.ts';
import { decode, type MessageType, message } from '../../proto/codec.ts';

/** How long containerd may take for an answer, ms. */
export const CRI_MS = 3000;
/** Largest answer that is read, bytes: the configuration with a hundred handlers has 300 KB. */
export const MAX_ANSWER_BYTES = 4 * 1024 * 1024;
/** gRPC's frame: a byte for compression, a length of four. https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md */
const FRAME_HEAD_BYTES = 5;

/** gRPC's status where no such service is. */
const UNIMPLEMENTED = '12';

/** CRI's VersionResponse, StatusResponse: the fields that are looked at. */
interface VersionAnswer {
  runtime_name: string;
  runtime_version: string;
}
interface StatusAnswer {
  info: Record<string, string>;
}
const VersionAnswer: MessageType<VersionAnswer> = message('runtime.v1.VersionResponse', () => [
  [2, 'runtime_name', 'string'],
  [3, 'runtime_version', 'string'],
]);
const StatusAnswer: MessageType<StatusAnswer> = message('runtime.v1.StatusResponse', () => [
  [2, 'info', 'string', 'map', 'string'],
]);
/** `verbose = true`: field 1, varint. */
const VERBOSE = new Uint8Array([0x08, 0x01]);

export interface CriAnswer {
  /** `containerd 1.7.24` */
  readonly who: string;
  /** What it says of its configuration, as it was parsed from JSON. */
  readonly config: unknown;
}

/**
 * @param socket path of containerd's socket
 * @throws KataError `unimplemented`: there is no CRI; `unavailable`: it does not answer in time, or not as the CRI does
 */
export async function askCri(socket: string): Promise<CriAnswer> {
  const { connect } = await import('node:http2');
  const session = connect('http://localhost', { createConnection: () => connectSocket(socket) });
  try {
    const version = decode(VersionAnswer, await call(session, 'Version', new Uint8Array(0)));
    const { info } = decode(StatusAnswer, await call(session, 'Status', VERBOSE));
    return { who: `${version.runtime_name} ${version.runtime_version}`, config: JSON.parse(info.config ?? 'null') };
  } catch (thrown) {
    if (thrown instanceof KataError) throw thrown;
    throw new KataError('unavailable', `${socket}: ${reasonOf(thrown)}`, { cause: thrown });
  } finally {
    session.destroy();
  }
}

function call(session: ClientHttp2Session, method: string, request: Uint8Array): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no answer to ${method} within ${CRI_MS} ms`)), CRI_MS);
    const end = (error: Error | undefined, body?: Buffer): void => {
      clearTimeout(timer);
      if (error) reject(error);
      else resolve(body ?? Buffer.alloc(0));
    };
    session.once('error', end);
    const stream = session.request({
      ':method': 'POST',
      ':path': `/runtime.v1.RuntimeService/${method}`,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    const chunks: Buffer[] = [];
    let length = 0;
    let status = '';
    let text = '';
    const note = (headers: Record<string, unknown>): void => {
      status = String(headers['grpc-status'] ?? status);
      text = String(headers['grpc-message'] ?? text);
    };
    stream.on('response', note);
    stream.on('trailers', note);
    stream.on('data', (chunk: Buffer) => {
      length += chunk.length;
      if (length > MAX_ANSWER_BYTES) end(new Error(`the answer to ${method} has more than ${MAX_ANSWER_BYTES} bytes`));
      else chunks.push(chunk);
    });
    stream.on('error', end);
    stream.on('end', () => {
      const body = Buffer.concat(chunks).subarray(FRAME_HEAD_BYTES);
      const what = `${method}: gRPC status ${status || 'missing'} ${text}`.trim();
      if (status === UNIMPLEMENTED) end(new KataError('unimplemented', what));
      else end(status === '0' ? undefined : new Error(what), body);
    });
    stream.end(Buffer.concat([head(request.length), request]));
  });
}

function head(length: number): Buffer {
  const bytes = Buffer.alloc(FRAME_HEAD_BYTES);
  bytes.writeUInt32BE(length, 1);
  return bytes;
}
