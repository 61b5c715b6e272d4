/** A pod's network is CNI's: addresses, routes, both directions, several interfaces, forwarded ports, names. */
import { createHash, randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import * as assert from 'uvu/assert';
import { GATEWAYS } from '../../setup/cni.ts';
import { finish, succeed } from '../../setup/command.ts';
import { until } from '../harness/containers.ts';
import { HANDLER, IS_KATA } from '../harness/cri/flavors.ts';
import type { Container, Pod, Pods } from '../harness/cri/pods.ts';
import { eachCri } from '../harness/cri/suite.ts';

const ECHO_PORT = 8080;
const LOOPBACK_PORT = 8081;
const HOST_PORT = 18080;
const NOBODYS_PORT = 4999;
/** Bytes that have to arrive unharmed. */
const BULK_BYTES = 16 * 1024 * 1024;
const FORWARDED_BYTES = 2 * 1024 * 1024;

eachCri('network', (test, flavor) => {
  let pod: Pod;
  let main: Container;
  let web: Container;
  let addresses: string[] = [];

  test('a pod with listeners', async ({ pods }) => {
    pod = await pods.run({
      dns_config: { servers: ['198.18.0.53'], searches: ['a.example', 'b.example'], options: ['ndots:5'] },
      port_mappings: [{ container_port: ECHO_PORT, host_port: HOST_PORT }],
    });
    main = await pod.container();
    addresses = await pod.addresses();
    await pod.container({ command: echo(ECHO_PORT) });
    const script = `mkdir /www; echo inside >/www/word; head -c ${FORWARDED_BYTES} /dev/urandom >/www/bulk
      exec httpd -f -p 127.0.0.1:${LOOPBACK_PORT} -h /www`;
    web = await pod.container({ command: ['sh', '-c', script] });
    for (const port of [ECHO_PORT, LOOPBACK_PORT]) await listening(main, port);
  });

  test('the container has the addresses CRI tells, of both families', async () => {
    assert.is(addresses.length, 2);
    const shown = await main.sh('ip -o addr show dev eth0');
    for (const address of addresses) assert.match(shown, `${address}/`);
  });

  test('link address and MTU are those of the pod’s interface on the host', async ({ pods }) => {
    const { mac, mtu } = await hostSide(pods, addresses[0] ?? '');
    assert.is(await main.sh('cat /sys/class/net/eth0/address /sys/class/net/eth0/mtu'), `${mac}\n${mtu}\n`);
  });

  test('routes are the network’s', async () => {
    assert.match(await main.sh('ip route'), `default via ${GATEWAYS.ipv4} dev eth0`);
    assert.match(await main.sh('ip -6 route'), `default via ${GATEWAYS.ipv6} dev eth0`);
  });

  test('the loopback is up', async () => {
    await main.sh('ping -c 1 -W 5 127.0.0.1 && ping -6 -c 1 -W 5 ::1');
  });

  test('the node reaches the pod, by both families', async ({ pods }) => {
    for (const address of addresses) {
      assert.is(await ask(await pods.network.connect(address, ECHO_PORT), 'hello\n'), 'hello\n');
    }
  });

  test('the node is pinged from the pod, by both families', async () => {
    await main.sh(`ping -c 1 -W 10 ${GATEWAYS.ipv4} && ping -6 -c 1 -W 10 ${GATEWAYS.ipv6}`);
  });

  test(`${BULK_BYTES} bytes go in unharmed`, async ({ pods }) => {
    const data = randomBytes(BULK_BYTES);
    const port = 9000;
    const receiver = await pod.container({ command: ['sh', '-c', `nc -l -p ${port} | sha256sum`] });
    await listening(main, port);
    const socket = await pods.network.connect(addresses[0] ?? '', port);
    socket.end(data);
    socket.resume();
    assert.is((await receiver.exited()).exit_code, 0);
    assert.is(receiver.logged('stdout').split(' ')[0], sha256(data));
    socket.destroy();
    await receiver.remove();
  });

  test(`${BULK_BYTES} bytes go out unharmed`, async ({ pods }) => {
    const server = await pods.network.listen(GATEWAYS.ipv4);
    const { port } = server.address() as { port: number };
    const hash = createHash('sha256');
    const received = new Promise<number>((resolve, reject) => {
      server.once('connection', (socket: Socket) => {
        let bytes = 0;
        socket.on('data', (chunk: Buffer) => {
          hash.update(chunk);
          bytes += chunk.length;
        });
        socket.on('end', () => resolve(bytes));
        socket.on('error', reject);
      });
    });
    const script = `head -c ${BULK_BYTES} /dev/urandom >/tmp/bulk; sha256sum </tmp/bulk; nc ${GATEWAYS.ipv4} ${port} </tmp/bulk`;
    const sender = await pod.container({ command: ['sh', '-c', script] });
    assert.is(await received, BULK_BYTES);
    server.close();
    await sender.exited();
    assert.is(sender.logged('stdout').split(' ')[0], hash.digest('hex'));
    await sender.remove();
  });

  test('containers of the pod meet on its loopback', async () => {
    assert.is(await main.sh(`wget -q -O - http://127.0.0.1:${LOOPBACK_PORT}/word`), 'inside\n');
  });

  test('a pod of runc and this one reach each other', async ({ pods }) => {
    const other = await pods.run({}, 'runc');
    const [address = ''] = await other.addresses();
    const peer = await other.container({ command: echo(7000) });
    await listening(peer, 7000);
    assert.is(await main.sh(`echo there | timeout 20 nc ${address} 7000`), 'there\n');
    assert.is(await peer.sh(`echo back | timeout 20 nc ${addresses[0]} ${ECHO_PORT}`), 'back\n');
    await other.remove();
  });

  test('a port of the node leads to the pod', async ({ pods }) => {
    assert.is(await ask(await pods.network.connect(GATEWAYS.ipv4, HOST_PORT), 'mapped\n'), 'mapped\n');
  });

  test('a port is forwarded to a listener on the pod’s addresses, again and again', async () => {
    for (let round = 0; round < 3; round++) {
      const forwarded = await pod.forward(ECHO_PORT);
      await forwarded.write(`round ${round}\n`);
      await forwarded.until(({ data, error }) => data.endsWith('\n') || error !== '');
      assert.equal([forwarded.data, forwarded.error], [`round ${round}\n`, '']);
      forwarded.close();
      await forwarded.ended;
    }
  });

  test('a port is forwarded to a listener on the pod’s loopback only', async () => {
    const body = await get(pod, 'word');
    assert.is(body, 'inside\n');
  });

  test(`a forwarded port carries ${FORWARDED_BYTES} bytes in and out`, async () => {
    const data = randomBytes(FORWARDED_BYTES).toString('base64');
    const forwarded = await pod.forward(ECHO_PORT);
    await forwarded.write(data);
    await forwarded.until(({ bytes, error }) => bytes >= data.length || error !== '');
    assert.equal([forwarded.error, sha256(forwarded.data)], ['', sha256(data)]);
    forwarded.close();
    await forwarded.ended;
    const [sum] = (await web.sh('sha256sum /www/bulk')).split(' ');
    assert.is(sha256(Buffer.from(await get(pod, 'bulk', FORWARDED_BYTES), 'latin1')), sum);
  });

  test('a forwarded port where nobody listens says so', async () => {
    const forwarded = await pod.forward(NOBODYS_PORT);
    await forwarded.write('anybody?\n');
    await forwarded.until(({ error }) => error !== '');
    // What is redirected to the guest has been accepted by then: it is reset.
    assert.match(forwarded.error, /refused|reset/i);
    forwarded.close();
  });

  test('names are resolved as the pod says', async () => {
    const text = await main.sh('cat /etc/resolv.conf');
    for (const line of ['nameserver 198.18.0.53', 'search a.example b.example', 'options ndots:5']) {
      assert.match(text, line);
    }
    assert.match(await main.sh('cat /etc/hosts'), 'localhost');
    assert.is(await main.sh('cat /etc/hostname'), `${pod.config.hostname}\n`);
    await pod.remove();
  });

  test('network settings of the kernel are the pod’s own', async ({ pods }) => {
    const sysctls = { 'net.ipv4.ip_unprivileged_port_start': '81', 'net/ipv4/conf/all/arp_ignore': '1' };
    const own = await pods.run({ linux: { sysctls } });
    const files = ['ip_unprivileged_port_start', 'conf/all/arp_ignore'].map((name) => `/proc/sys/net/ipv4/${name}`);
    assert.is((await own.runToEnd(['cat', ...files])).stdout, '81\n1\n');
    await own.remove();
  });

  test('a pod has several interfaces', async ({ pods }) => {
    const two = await pods.run({}, `${HANDLER}-two`);
    const { stdout } = await two.runToEnd(['ip', '-o', '-4', 'addr']);
    assert.match(stdout, /eth0 +inet 198\.18\./);
    assert.match(stdout, /eth1 +inet 198\.19\./);
    await two.remove();
  });

  // containerd 2.1.9 itself crashes over such a pod where the shim is its sandbox (nil pointer in NewBundle).
  if (IS_KATA && flavor.name !== '2.1-shim') {
    test('the host’s network is refused', async ({ pods, daemon }) => {
      const namespace_options = { network: 'NODE', pid: 'CONTAINER' } as const;
      const failed = await pods
        .run({ linux: { security_context: { namespace_options } } })
        .catch((error: unknown) => error);
      assert.match(String(failed), /host.?network/i);
      await pods.removeAll();
      assert.equal(await daemon.leftovers(), []);
    });
  }
});

/** A server that answers everybody with what they say. */
function echo(port: number): string[] {
  return ['nc', '-ll', '-p', String(port), '-e', 'cat'];
}

/** A file from the pod's loopback by way of a forwarded port, as latin1. */
async function get(pod: Pod, file: string, bytes = 1): Promise<string> {
  const forwarded = await pod.forward(LOOPBACK_PORT);
  await forwarded.write(`GET /${file} HTTP/1.0\r\n\r\n`);
  const body = () => forwarded.raw.subarray(forwarded.raw.indexOf('\r\n\r\n') + 4);
  await forwarded.until(({ raw, error }) => (raw.includes('\r\n\r\n') && body().length >= bytes) || error !== '');
  assert.is(forwarded.error, '');
  forwarded.close();
  await forwarded.ended;
  return body().toString('latin1');
}

/** Sends a line and gives what comes back up to the next newline. */
async function ask(socket: Socket, line: string): Promise<string> {
  const answer = new Promise<string>((resolve, reject) => {
    let text = '';
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      if (text.endsWith('\n')) resolve(text);
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(text));
  });
  socket.write(line);
  const found = await answer;
  socket.destroy();
  return found;
}

/** The interface that CNI has made, in the pod's network namespace on the host: the one with the pod's address. */
async function hostSide(pods: Pods, address: string): Promise<{ mac: string; mtu: number }> {
  const { stdout } = await finish(['find', `${pods.daemon.directory}/state`, '-name', 'cni-*', '-path', '*/netns/*']);
  for (const namespace of stdout.split('\n').filter(Boolean)) {
    const shown = await succeed(['nsenter', `--net=${namespace}`, 'ip', '-json', 'addr', 'show', 'eth0']);
    const [link] = JSON.parse(shown) as { address: string; mtu: number; addr_info: { local: string }[] }[];
    if (link?.addr_info.some(({ local }) => local === address)) return { mac: link.address, mtu: link.mtu };
  }
  throw new Error(`no network namespace has ${address}`);
}

async function listening(container: Container, port: number): Promise<void> {
  await until(`somebody listens on ${port}`, async () =>
    new RegExp(`:${port}\\s.*LISTEN`).test(await container.sh('netstat -ltn')),
  );
}

function sha256(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}
