// `node label.cjs NAME VALUE`: gives the node NODE_NAME a label; an empty VALUE takes it away.
// Environment: NODE_NAME, TOKEN and CERTIFICATE of a service account, KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT.
const { request } = require('node:https');

/** Milliseconds for the answer. */
const TIMEOUT_MS = 30_000;
/** Bytes of an answer that are kept for a message. */
const MAX_ANSWER = 4096;

const { NODE_NAME, TOKEN, CERTIFICATE, KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT } = process.env;
const [name, value] = process.argv.slice(2);
const body = JSON.stringify({ metadata: { labels: { [name]: value || null } } });
const call = request({
  host: KUBERNETES_SERVICE_HOST,
  port: KUBERNETES_SERVICE_PORT,
  ca: CERTIFICATE,
  method: 'PATCH',
  path: `/api/v1/nodes/${encodeURIComponent(NODE_NAME)}`,
  headers: {
    authorization: `Bearer ${TOKEN}`,
    'content-type': 'application/merge-patch+json',
    'content-length': Buffer.byteLength(body),
  },
  timeout: TIMEOUT_MS,
});
call.on('response', (answer) => {
  let text = '';
  answer.setEncoding('utf8').on('data', (part) => {
    if (text.length < MAX_ANSWER) text += part;
  });
  answer.on('end', () => {
    if (answer.statusCode === 200) return;
    fail(`the API server answers ${answer.statusCode}: ${text.slice(0, MAX_ANSWER)}`);
  });
});
call.on('timeout', () => call.destroy(new Error(`no answer within ${TIMEOUT_MS} ms`)));
call.on('error', (error) => fail(error.message));
call.end(body);

function fail(reason) {
  process.stderr.write(`node ${NODE_NAME} cannot be labelled ${name}=${value}: ${reason}\n`);
  process.exitCode = 1;
}
