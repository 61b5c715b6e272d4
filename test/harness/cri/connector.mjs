/**
 * Runs inside a network namespace and hands connections made there to its parent, by way of node's own channel: a socket stays
 * in the namespace it was made in, whoever has it. Plain JavaScript: started often, without a loader.
 */
import { connect, createServer } from 'node:net';

process.on('message', ({ id, what, host, port }) => {
  if (what === 'connect') {
    const socket = connect({ host, port });
    // Nothing may be read here: it would be missing there.
    socket.pause();
    socket.once('connect', () => process.send({ id }, socket));
    socket.once('error', ({ message }) => process.send({ id, error: message }));
  } else {
    const server = createServer();
    // Both have the listener once it is sent: what this one accepted would be read by nobody.
    server.once('listening', () => process.send({ id }, server, () => server.close()));
    server.once('error', ({ message }) => process.send({ id, error: message }));
    server.listen({ host, port });
  }
});
process.on('disconnect', () => process.exit());
