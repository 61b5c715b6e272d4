/** `serve SOCKET`: our server, as a user of host/ttrpc writes it. */
import net from 'node:net';
import { TtrpcServer } from '../../host/ttrpc/server.ts';
import { service } from '../../host/ttrpc/types.ts';
import { EchoService, SERVICE } from './echo.ts';

const source = new Uint8Array(1 << 20);
const server = new TtrpcServer([
  service(SERVICE, EchoService, {
    Echo: async (request) => request,
    Write: async () => ({}),
    Read: async ({ value }) => ({ value: source.subarray(0, value) }),
  }),
]);
const listener = net.createServer();
listener.listen(process.argv[2], () => {
  server.adopt(listener);
  process.stdout.write('ready\n');
});
