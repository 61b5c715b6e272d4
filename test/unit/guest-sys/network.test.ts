/** Addresses, netlink messages and options: what the agent makes of bytes and words. */
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { formatIp, formatMac, parseCidr, parseIp, parseMac, parsePrefix } from '../../../guest/agent/address.ts';
import { HOTPLUG_TIMEOUT_S, parseArguments, parseCmdline } from '../../../guest/agent/cmdline.ts';
import { attributes, cstring, message, parse, readCstring, readU32, u32 } from '../../../guest/agent/netlink.ts';

const address = suite('addresses');
const netlink = suite('netlink');
const options = suite('options');

address('IPv4 and IPv6 between text and bytes', () => {
  const pairs = [
    ['10.0.0.255', [10, 0, 0, 255]],
    ['::', new Array(16).fill(0)],
    ['::1', [...new Array(15).fill(0), 1]],
    ['fd00:88::9', [0xfd, 0, 0, 0x88, ...new Array(11).fill(0), 9]],
    ['1:0:0:2::3', [0, 1, 0, 0, 0, 0, 0, 2, ...new Array(7).fill(0), 3]],
    ['2001:db8:0:1:1:1:1:1', [0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1]],
  ] as const;
  for (const [text, bytes] of pairs) {
    assert.equal([...parseIp(text)], [...bytes], text);
    assert.is(formatIp(Uint8Array.from(bytes)), text);
  }
  assert.equal([...parseIp('::ffff:1.2.3.4')], [...new Array(10).fill(0), 255, 255, 1, 2, 3, 4]);
});

address('every address survives both ways', () => {
  const bytes = fc.oneof(
    fc.uint8Array({ minLength: 4, maxLength: 4 }),
    fc.uint8Array({ minLength: 16, maxLength: 16 }),
  );
  const zeros = bytes.map((data) => data.map((byte) => (byte > 100 ? 0 : byte)));
  fc.assert(fc.property(fc.oneof(bytes, zeros), (data) => assert.equal(parseIp(formatIp(data)), data)));
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 6, maxLength: 6 }), (mac) => assert.equal(parseMac(formatMac(mac)), mac)),
  );
});

address('what is none is refused', () => {
  const bad = ['', '1.2.3', '1.2.3.256', '1.2.3.4.5', ':', ':::', '1::2::3', '1:2:3:4:5:6:7', '1:2:3:4:5:6:7:8:9'];
  for (const text of [...bad, '1:2:3:4:5:6:7:8::', 'g::', '12345::', '1.2.3.4::', ' 1.2.3.4']) {
    assert.throws(() => parseIp(text), /not an IP address/, text);
  }
  for (const text of ['', '33', '-1', '1.5', '0x8', '999']) assert.throws(() => parsePrefix(text, 32), /prefix length/);
  for (const text of ['', '02:00:00:00:00', '02:00:00:00:00:0g', '2:0:0:0:0:1']) assert.throws(() => parseMac(text));
  assert.is(parseCidr('10.1.0.0/16').prefix, 16);
  assert.is(parseCidr('fd00::1').prefix, 128);
});

netlink('a message is what the kernel expects, to the byte', () => {
  const bytes = message(16, 4, Uint8Array.of(1, 2, 3, 4), [
    [3, cstring('lo')],
    [4, u32(1500)],
  ]);
  assert.equal(
    [...bytes],
    [
      ...[36, 0, 0, 0, 16, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0],
      ...[1, 2, 3, 4],
      ...[7, 0, 3, 0, 0x6c, 0x6f, 0, 0],
      ...[8, 0, 4, 0, 0xdc, 5, 0, 0],
    ],
  );
  const [first] = parse(bytes);
  const found = attributes(first?.body ?? new Uint8Array(0), 4);
  assert.is(readCstring(found.get(3)), 'lo');
  assert.is(readU32(found.get(4)), 1500);
  assert.throws(() => message(16, 0, new Uint8Array(0), [[1, new Uint8Array(1025)]]), /1025 bytes/);
});

netlink('of attributes those that are wanted are taken, the last of equal ones', () => {
  const bytes = message(16, 0, new Uint8Array(4), [
    [3, cstring('old')],
    [4, u32(1500)],
    [3, cstring('lo')],
  ]).subarray(16);
  assert.equal([...attributes(bytes, 4, [3]).keys()], [3]);
  assert.is(readCstring(attributes(bytes, 4, [3]).get(3)), 'lo');
  assert.is(attributes(bytes, 4, []).size, 0);
  assert.equal([...attributes(bytes, 4).keys()], [3, 4]);
});

netlink('answers of any bytes are read within their bounds', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 120 }), (answer) => {
      for (const { body } of parse(answer)) attributes(body, 4);
      assert.ok(attributes(answer, 0).size * 4 <= answer.length);
    }),
    { numRuns: 2000 },
  );
});

options('from the kernel command line', () => {
  const found = parseCmdline(
    'quiet agent.log=debug agent.server_addr=vsock://-1:99 agent.debug_console x agent.hotplug_timeout=9\n',
  );
  assert.equal(found, {
    serverAddress: 'vsock://-1:99',
    logLevel: 'debug',
    debugConsole: true,
    debugConsolePort: 0,
    hotplugTimeoutMs: 9000,
  });
  const odd = parseCmdline(
    'agent.log=loud agent.debug_console=1 agent.hotplug_timeout=-3 agent.debug_console_vport=1026',
  );
  assert.is(odd.serverAddress, undefined);
  assert.is(odd.logLevel, 'info');
  assert.is(odd.debugConsole, false);
  assert.is(odd.debugConsolePort, 1026);
  assert.is(odd.hotplugTimeoutMs, HOTPLUG_TIMEOUT_S * 1000);
});

options('from arguments', () => {
  assert.is(parseArguments(['--listen', 'unix:///run/x', '--log', 'warn']).serverAddress, 'unix:///run/x');
  assert.is(parseArguments(['--log', 'warn']).logLevel, 'warn');
  assert.is(parseArguments(['--log', 'warn']).debugConsole, false);
  assert.is(parseArguments(['--debug-console', '--log', 'warn']).debugConsole, true);
  assert.is(parseArguments(['--log', 'warn', '--debug-console']).logLevel, 'warn');
  for (const bad of [['--listen'], ['--debug-console', 'yes'], ['--nonsense', '1'], ['toString', '1']])
    assert.throws(() => parseArguments(bad), /usage/);
});

address.run();
netlink.run();
options.run();
