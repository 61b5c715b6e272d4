import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { chooseTransport, type TransportHost } from '../../../host/agent/choose.ts';

const NOTHING: TransportHost = { vhostVsock: '/nonexistent/vhost-vsock', vsockDaemon: '/nonexistent/daemon' };
const KERNEL: TransportHost = { ...NOTHING, vhostVsock: '/dev/null' };
const DAEMON: TransportHost = { ...NOTHING, vsockDaemon: '/bin/true' };

const choice = suite('choice of the transport');

for (const [guest, configured, host, kind] of [
  ['own', undefined, KERNEL, 'virtio-serial'],
  ['own', 'auto', NOTHING, 'virtio-serial'],
  ['own', 'vsock', KERNEL, 'vsock'],
  ['kata', '', KERNEL, 'vsock'],
  ['kata', 'auto', DAEMON, 'hybrid-vsock'],
  ['kata', 'hybrid-vsock', { ...DAEMON, vhostVsock: '/dev/null' }, 'hybrid-vsock'],
  ['kata', 'virtio-serial', NOTHING, 'virtio-serial'],
] as const) {
  choice(`${guest} guest, ${configured || 'nothing'} configured: ${kind}`, () => {
    const { transport, reason } = chooseTransport({ guest, configured, directory: '/run/x' }, host);
    assert.is(transport.kind, kind);
    assert.ok(reason.startsWith(`${kind}: `), reason);
  });
}

for (const [guest, configured, code, text] of [
  ['kata', undefined, 'failed_precondition', /vhost_vsock/],
  ['kata', 'vsock', 'failed_precondition', /\/nonexistent\/vhost-vsock/],
  ['kata', 'hybrid-vsock', 'failed_precondition', /\/nonexistent\/daemon/],
  ['own', 'carrier pigeon', 'invalid_argument', /"carrier pigeon" is unknown; use auto/],
] as const) {
  choice(`${guest} guest, ${configured ?? 'nothing'} configured, on a host with nothing: ${code}`, () => {
    assert.throws(
      () => chooseTransport({ guest, configured, directory: '/run/x' }, NOTHING),
      (error: { code: string; message: string }) => error.code === code && text.test(error.message),
    );
  });
}

choice.run();
