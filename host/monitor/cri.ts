/**
 * Asks the CRI which pods there are: one gRPC call over HTTP/2 on a unix socket, whose few bytes need no library.
 * https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 */
import type { ClientHttp2Session } from 'node:http2';
import { connect } from 'node:net';
import { KataError, reasonOf } from '../error.ts';
import { decode, MAX_MESSAGE_BYTES, type MessageType, message } from '../proto/codec.ts';
import type { PodName } from '../sandbox/state-file.ts';

/** How long the CRI may take, ms. */
export const CRI_TIMEOUT_MS = 2000;
/** Bytes before a gRPC message: whether it is compressed, and its length. */
const HEAD_BYTES = 5;
const LIST_PATH = '/runtime.v1.RuntimeService/ListPodSandbox';
/** `ListPodSandboxRequest{filter: {state: {state: SANDBOX_READY}}}`; READY is 0, which is not written. */
const READY_ONLY = Uint8Array.of(0x0a, 0x02, 0x12, 0x00);

interface PodSandbox {
  id: string;
  metadata: PodName | undefined;
}

/** Of `runtime.v1`, as far as it is needed. */
const PodSandboxMetadata: MessageType<PodName> = message<PodName>('runtime.v1.PodSandboxMetadata', () => [
  [1, 'name', 'string'],
  [2, 'uid', 'string'],
  [3, 'namespace', 'string'],
]);
const PodSandbox: MessageType<PodSandbox> = message<PodSandbox>('runtime.v1.PodSandbox', () => [
  [1, 'id', 'string'],
  [2, 'metadata', PodSandboxMetadata],
]);
const ListPodSandboxResponse = message<{ items: PodSandbox[] }>('runtime.v1.ListPodSandboxResponse', () => [
  [1, 'items', PodSandbox, 'repeated'],
]);

/**
 * The pods that are ready, by sandbox id.
 * @param socketPath of the CRI
 * @throws KataError `unavailable`, `deadline_exceeded`, `data_loss`
 */
export async function listPods(socketPath: string, timeoutMs: number = CRI_TIMEOUT_MS): Promise<Map<string, PodName>> {
  const { connect: connectHttp2 } = await import('node:http2');
  const session = connectHttp2('http://localhost', { createConnection: () => connect(socketPath) });
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const error = new KataError('deadline_exceeded', `${socketPath} did not answer within ${timeoutMs / 1000} s`);
    timer = setTimeout(reject, timeoutMs, error);
  });
  try {
    const pods = decode(ListPodSandboxResponse, await Promise.race([call(session, socketPath), late])).items;
    return new Map(pods.flatMap(({ id, metadata }) => (metadata ? [[id, metadata] as const] : [])));
  } catch (thrown) {
    if (thrown instanceof KataError) throw thrown;
    throw new KataError('data_loss', `${socketPath} did not answer as a CRI does: ${reasonOf(thrown)}`, {
      cause: thrown,
    });
  } finally {
    clearTimeout(timer);
    session.destroy();
  }
}

/** The answer's message. */
function call(session: ClientHttp2Session, socketPath: string): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const fail = (reason: string, cause?: unknown): void =>
      reject(new KataError('unavailable', `${socketPath} cannot be asked for pods: ${reason}`, { cause }));
    session.on('error', (error: Error) => fail(error.message, error));
    const stream = session.request({
      ':method': 'POST',
      ':path': LIST_PATH,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    const parts: Buffer[] = [];
    let length = 0;
    let status: string | undefined;
    let text = '';
    const note = (headers: Record<string, unknown>): void => {
      if (headers['grpc-status'] === undefined) return;
      status = String(headers['grpc-status']);
      text = String(headers['grpc-message'] ?? '').slice(0, 256);
    };
    stream.on('response', note);
    stream.on('trailers', note);
    stream.on('data', (part: Buffer) => {
      length += part.length;
      if (length > MAX_MESSAGE_BYTES) fail('its answer is too large');
      else parts.push(part);
    });
    stream.on('error', (error: Error) => fail(error.message, error));
    stream.on('end', () => {
      const body = Buffer.concat(parts);
      if (status !== '0') return fail(status === undefined ? 'it is no gRPC server' : `status ${status}: ${text}`);
      if (body.length < HEAD_BYTES || body[0] !== 0 || body.readUInt32BE(1) !== body.length - HEAD_BYTES) {
        return fail('its answer is no single message');
      }
      resolve(body.subarray(HEAD_BYTES));
    });
    stream.on('close', () => fail('the connection ended'));
    const head = Buffer.alloc(HEAD_BYTES);
    head.writeUInt32BE(READY_ONLY.length, 1);
    stream.end(Buffer.concat([head, READY_ONLY]));
  });
}
