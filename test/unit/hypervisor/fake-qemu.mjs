#!/usr/bin/env node
// Speaks QMP on descriptor 3 as QEMU does. Its behaviour is chosen by the guest kernel's file name:
// `mute` never greets, `refuse-device` fails every device_add, `keep` never lets a device go, `no-uring` has no io_uring, `panic`
// and `reboot` end once they go on, and stand still then.
import { Socket } from 'node:net';

const kernel = process.argv[process.argv.indexOf('-kernel') + 1] ?? '';
const qmp = new Socket({ fd: 3 });
const console = new Socket({ fd: 4 });
console.write('\x1b[2Jguest says hello\r\n');
qmp.on('end', () => process.exit(0));
const send = (message) => qmp.write(`${JSON.stringify(message)}\n`);

const known = new Set();
// Stands still where it is told to.
let running = !process.argv.includes('-S');
const answers = {
  cont: () => {
    running = true;
    if (kernel.endsWith('panic')) send({ event: 'GUEST_PANICKED', data: { action: 'pause' } });
    if (kernel.endsWith('reboot')) send({ event: 'SHUTDOWN', data: { guest: true, reason: 'guest-reset' } });
    return {};
  },
  qmp_capabilities: () => ({}),
  'chardev-add': ({ id }) => known.add(id) && {},
  'chardev-remove': ({ id }) => known.delete(id) && {},
  'blockdev-add': (args) => {
    if (kernel.endsWith('no-uring') && args.file.aio === 'io_uring') {
      throw new Error('Unable to use io_uring: failed to init linux io_uring ring: Operation not permitted');
    }
    if (args.file.aio) process.stderr.write(`aio=${args.file.aio}\n`);
    return known.add(args['node-name']) && {};
  },
  'query-cpus-fast': () => [1, 0, 2].map((index) => ({ 'cpu-index': index, 'thread-id': 1000 + index })),
  'dump-guest-memory': ({ protocol, detach, format, paging }) => {
    if (!detach || format !== 'elf') throw new Error('it would block');
    if (!known.has(`fd:${protocol.replace('fd:', '')}`)) throw new Error('no such descriptor');
    process.stderr.write(`dump, paging ${paging}\n`);
    setTimeout(() => send({ event: 'DUMP_COMPLETED', data: { result: { status: 'completed' } } }), 5);
    return {};
  },
  'blockdev-del': (args) => known.delete(args['node-name']) && {},
  getfd: ({ fdname }) => known.add(`fd:${fdname}`) && {},
  netdev_add: ({ id, type, ifname, fd, script }) => {
    if (type !== 'tap' || (fd === undefined ? script !== 'no' : ifname !== undefined)) throw new Error('no such tap');
    if (ifname === 'absent0') throw new Error('could not configure absent0');
    if (fd !== undefined && !known.has(`fd:${fd}`)) throw new Error('no such descriptor');
    return known.add(id) && {};
  },
  netdev_del: ({ id }) => known.delete(id) && {},
  'x-query-virtio-status': () => {
    // Nobody would ever drive it.
    if (!running) process.exit(3);
    return { status: { statuses: ['VIRTIO_CONFIG_S_DRIVER_OK: Driver setup and ready'] } };
  },
  device_add: ({ id, bus, addr, drive, chardev, netdev }) => {
    const slot = `${bus}@${addr}`;
    if (kernel.endsWith('refuse-device')) throw new Error('no such bus');
    if (known.has(slot)) throw new Error(`${slot} is taken`);
    if (!known.has(drive ?? chardev ?? netdev)) throw new Error('no such backend');
    known.add(id).add(slot);
    known[id] = slot;
    return {};
  },
  device_del: ({ id }) => {
    if (!kernel.endsWith('keep')) {
      known.delete(id);
      known.delete(known[id]);
      setTimeout(() => send({ event: 'DEVICE_DELETED', data: { device: id, path: `/machine/peripheral/${id}` } }), 5);
    }
    return {};
  },
};

let text = '';
qmp.on('data', (chunk) => {
  text += chunk;
  const lines = text.split('\n');
  text = lines.pop();
  for (const line of lines) {
    const { execute, arguments: args, id } = JSON.parse(line);
    const reply = { id };
    try {
      reply.return = answers[execute](args);
    } catch (error) {
      reply.error = { class: 'GenericError', desc: error.message };
    }
    // The reserve: what is still known is told on stderr for the test to read, before it knows that it may end this.
    if (execute === 'device_del' || execute === 'device_add') process.stderr.write(`${[...known].join(' ')}\n`);
    send(reply);
  }
});
if (!kernel.endsWith('mute')) send({ QMP: { version: { qemu: { major: 7 } }, capabilities: [] } });
