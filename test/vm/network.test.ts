/** Real frames between a pod's peer and a real guest: by the pod's address, and by port-forwarding. One boot serves all. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { NetworkGuest } from '../harness/network-guest.ts';
import { Namespaces } from '../unit/network/namespaces.ts';

const MAC = '02:00:ca:fe:00:01';
const BYTES = 64 * 1024 * 1024;
/** Sends BYTES that repeat nothing a mistake would leave unnoticed, on a connection to it or by it. */
const PATTERN = `
  const { createHash } = require('node:crypto'), net = require('node:net');
  const total = ${BYTES}, piece = 1 << 20;
  const part = (i) => Buffer.alloc(piece, createHash('sha512').update(String(i)).digest());
  function* parts() { for (let i = 0; i * piece < total; i++) yield part(i); }
  const hashed = (stream, done) => {
    const hash = createHash('md5'); let bytes = 0;
    stream.on('data', (chunk) => { hash.update(chunk); bytes += chunk.length; });
    stream.on('end', () => done(bytes + ' ' + hash.digest('hex')));
    stream.on('error', (error) => done(error.code));
  };
  const { Readable } = require('node:stream');`;

const network = suite('a guest in a pod network');
const namespaces = new Namespaces();
const children: ChildProcess[] = [];
let guest: NetworkGuest;

network.before(async () => {
  namespaces.inPod('link set lo up');
  namespaces.veth('eth0', MAC, '10.88.0.9/16', 'fd00:88::9/64');
  for (const address of ['10.88.0.1/16', 'fd00:88::1/64']) {
    execFileSync('ip', [
      '-n',
      namespaces.peer,
      'addr',
      'add',
      address,
      'dev',
      'eth0',
      ...(address.includes(':') ? ['nodad'] : []),
    ]);
  }
  namespaces.inPod('link set eth0 mtu 1400');
  namespaces.inPod('route add default via 10.88.0.1');
  namespaces.inPod('-6 route add default via fd00:88::1');
  namespaces.inPod('neigh add 10.88.0.77 lladdr 02:00:00:00:00:77 dev eth0 nud permanent');
  guest = new NetworkGuest(namespaces.path);
  await guest.boot();
  await guest.attach();
  await guest.container();
  assert.ok(guest.forwarder.start());
});

network.after.each(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

network.after(async () => {
  await guest?.stop();
  const left = namespaces.devices();
  namespaces.remove();
  assert.equal(left, ['eth0', 'lo']);
});

/** Runs a script of Node's in a namespace; its output, once it has ended. */
function node(namespace: string, script: string): Promise<string> {
  const child = spawn('ip', ['netns', 'exec', namespace, process.execPath, '-e', PATTERN + script]);
  children.push(child);
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      text += chunk;
    });
  }
  return new Promise((resolve) => child.on('close', () => resolve(text)));
}

function ping(namespace: string, address: string): Promise<string> {
  const script = `process.stdout.write(require('node:child_process').execFileSync('busybox', ['ping', '-c', '2', '${address}']))`;
  return node(namespace, script);
}

/** What `PATTERN` sends. */
function expected(): string {
  const hash = createHash('md5');
  for (let i = 0; i < 64; i++) hash.update(Buffer.alloc(1 << 20, createHash('sha512').update(String(i)).digest()));
  return `${BYTES} ${hash.digest('hex')}`;
}

/** Resolves when something listens on the port in the guest. */
async function listening(port: number): Promise<void> {
  await guest.run(`until busybox netstat -ltn | busybox grep -q ':${port} '; do busybox usleep 20000; done`);
}

network('has the addresses, routes, MTU and neighbours of the pod', async () => {
  const link = await guest.run('busybox ip link show eth0');
  assert.match(link, /UP/);
  assert.match(link, /mtu 1400/);
  assert.match(link, new RegExp(MAC));
  const addresses = await guest.run('busybox ip addr show eth0');
  assert.match(addresses, /inet 10\.88\.0\.9\/16/);
  assert.match(addresses, /inet6 fd00:88::9\/64/);
  assert.match(await guest.run('busybox ip route'), /default via 10\.88\.0\.1 dev eth0/);
  assert.match(await guest.run('busybox ip -6 route'), /default via fd00:88::1 dev eth0/);
  assert.match(await guest.run('busybox cat /proc/net/arp'), /10\.88\.0\.77 .* 02:00:00:00:00:77 .* eth0/);
});

network('answers and sends pings, IPv4 and IPv6', async () => {
  for (const address of ['10.88.0.9', 'fd00:88::9']) {
    assert.match(await ping(namespaces.peer, address), / 0% packet loss/);
  }
  for (const address of ['10.88.0.1', 'fd00:88::1']) {
    assert.match(await guest.run(`busybox ping -c 2 ${address}`), / 0% packet loss/);
  }
});

network('64 MiB into the guest and out of it, exactly', async () => {
  const into = guest.run('busybox nc -l -p 9001 | busybox md5sum');
  await listening(9001);
  await node(
    namespaces.peer,
    `Readable.from(parts()).pipe(net.connect({ port: 9001, host: '10.88.0.9', allowHalfOpen: true })).resume()`,
  );
  assert.is((await into).split(' ')[0], expected().split(' ')[1]);

  const outOf = node(
    namespaces.peer,
    `const server = net.createServer((socket) => {
       hashed(socket, (text) => { process.stdout.write(text); server.close(); });
     }).listen(9002, '::');`,
  );
  const zeros = createHash('md5');
  for (let i = 0; i < 64; i++) zeros.update(Buffer.alloc(1 << 20));
  const send = 'busybox dd if=/dev/zero bs=65536 count=1024 2>/dev/null | busybox nc fd00:88::1 9002';
  await guest.run(`until ${send}; do busybox usleep 20000; done`);
  assert.is(await outOf, `${BYTES} ${zeros.digest('hex')}`);
});

network('forwarded ports reach listeners of 127.0.0.1, of ::1, of the pod address and of all', async () => {
  await guest.run('busybox mkdir /dev/www && echo hello > /dev/www/small');
  const listeners = { 8080: '127.0.0.1:8080', 8081: '[::1]:8081', 8082: '8082', 8083: '10.88.0.9:8083' };
  for (const [port, address] of Object.entries(listeners)) {
    await guest.background(`busybox httpd -f -p ${address} -h /dev/www`);
    await listening(Number(port));
    const answer = await node(
      namespaces.pod,
      `const socket = net.connect({ port: ${port}, host: '127.0.0.1', allowHalfOpen: true });
       socket.on('error', (error) => process.stdout.write(error.code));
       socket.end('GET /small HTTP/1.0\\r\\n\\r\\n'); socket.pipe(process.stdout);`,
    );
    assert.match(answer, /200 OK[\s\S]*\r\n\r\nhello\n$/, address);
  }
});

network('64 MiB by a forwarded port into the guest and out of it, exactly', async () => {
  const made = await guest.run(
    `busybox head -c ${BYTES} /dev/urandom > /dev/www/large && busybox md5sum /dev/www/large`,
  );
  const outOf = await node(
    namespaces.pod,
    `const socket = net.connect(8080, '::1');
     socket.on('error', (error) => process.stdout.write(error.code));
     const hash = createHash('md5'); let bytes = 0, head = Buffer.alloc(0), inBody = false;
     socket.on('data', (chunk) => {
       if (!inBody) {
         head = Buffer.concat([head, chunk]);
         const end = head.indexOf('\\r\\n\\r\\n');
         if (end < 0) return;
         inBody = true;
         chunk = head.subarray(end + 4);
       }
       hash.update(chunk); bytes += chunk.length;
     });
     socket.on('end', () => process.stdout.write(bytes + ' ' + hash.digest('hex')));
     socket.write('GET /large HTTP/1.0\\r\\n\\r\\n');`,
  );
  assert.is(outOf, `${BYTES} ${made.split(' ')[0]}`);
  await guest.run('busybox rm /dev/www/large');

  const into = guest.run('busybox nc -l -p 9003 | busybox md5sum');
  await listening(9003);
  await node(
    namespaces.pod,
    `Readable.from(parts()).pipe(net.connect({ port: 9003, host: '127.0.0.1', allowHalfOpen: true })).resume()`,
  );
  assert.is((await into).split(' ')[0], expected().split(' ')[1]);
});

network('a forwarded port where nothing listens is a broken connection', async () => {
  const told = await node(
    namespaces.pod,
    `const socket = net.connect(4, '127.0.0.1');
     socket.on('error', (error) => process.stdout.write(error.code)); socket.write('x');
     socket.on('end', () => process.stdout.write('end'));`,
  );
  assert.match(told, /ECONNRESET|EPIPE/);
});

network('what is configured later is plugged later; several interfaces', async () => {
  namespaces.veth('net1', '02:00:ca:fe:00:02', '10.99.0.9/24');
  namespaces.inPeer('addr add 10.99.0.1/24 dev net1');
  await guest.network.prepare();
  await guest.attach();
  assert.match(await guest.run('busybox ping -c 1 -I net1 10.99.0.1'), / 0% packet loss/);
  assert.match(await guest.run('busybox ping -c 1 10.88.0.1'), / 0% packet loss/);
  namespaces.inPod('link del net1');
  await guest.network.prepare();
  await guest.attach();
  assert.not.match(await guest.run('busybox ip link'), /net1/);
  assert.equal(namespaces.devices(), ['eth0', 'lo', 'tap0_kata']);
});

const macvtap = suite('a guest by macvtap');

macvtap('answers under the hardware address of the pod; the host gets everything back', async () => {
  const own = new Namespaces();
  own.veth('eth0', MAC, '10.88.0.9/16', 'fd00:88::9/64');
  own.inPeer('addr add 10.88.0.1/16 dev eth0');
  own.inPeer('-6 addr add fd00:88::1/64 dev eth0 nodad');
  const other = new NetworkGuest(own.path, 'macvtap');
  try {
    await other.boot();
    await other.attach();
    for (const address of ['10.88.0.9', 'fd00:88::9']) assert.match(await ping(own.peer, address), / 0% packet loss/);
    assert.match(own.inPeer('neigh'), new RegExp(`10\\.88\\.0\\.9 .*${MAC}`));
  } finally {
    await other.stop();
    const devices = own.devices();
    const addresses = own.inPod('addr show eth0');
    own.remove();
    assert.equal(devices, ['eth0', 'lo']);
    assert.match(addresses, /10\.88\.0\.9\/16/);
  }
});

network.run();
macvtap.run();
