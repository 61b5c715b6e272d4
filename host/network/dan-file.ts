/**
 * A directly attachable network: a file that a CNI plugin writes for one sandbox, `<dan_conf>/<sandbox id>.json`. It names
 * devices of the host, and how each is to look in the guest. It is read strictly: half a network is none.
 */
import { randomBytes } from 'node:crypto';
import { isIP } from 'node:net';
import { readSafely } from '../config/file-safety.ts';
import { KataError, reasonOf } from '../error.ts';
import type { Init } from '../proto/codec.ts';
import type { ARPNeighbor, IPAddress, Route } from '../proto/messages/types.ts';
import { FAMILY_V6, formatMac } from './address-text.ts';
import { MAX_ENDPOINTS, MAX_ENTRIES } from './scan.ts';

/** Ethernet's, where a file names none. */
const DEFAULT_MTU = 1500;
const MAX_MTU = 65_535;
/** Most pairs of queues of a device, as of the key `network_queues`. */
const MAX_QUEUES = 256;
const MAX_U32 = 2 ** 32 - 1;
/** Of an address made up: administered locally, for one station. */
const LOCAL_MAC = 0x02;

/** One device of the guest's. */
export interface DirectDevice {
  /** Its name in the guest. */
  readonly name: string;
  /** As `02:42:ac:11:00:02`. */
  readonly mac: string;
  /** Tap device of the host, in the pod's network namespace. */
  readonly tap: string;
  readonly queues: number;
  readonly mtu: number;
  readonly type: string;
  readonly flags: number;
  readonly addresses: readonly Init<IPAddress>[];
  readonly routes: readonly Init<Route>[];
  readonly neighbors: readonly Init<ARPNeighbor>[];
}

export interface DirectNetworkFile {
  /** Path of the network namespace of the devices; undefined: the pod's. */
  readonly netns: string | undefined;
  readonly devices: readonly DirectDevice[];
}

/**
 * @param path of the file
 * @throws KataError `invalid_argument` naming the file and what in it is wrong; `unimplemented` for a kind of device that we do
 *   not have; `permission_denied` for a file that others could have written
 */
export function readDirectNetwork(path: string): DirectNetworkFile {
  const text = readSafely(path);
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (thrown) {
    throw invalid(path, `is no JSON: ${reasonOf(thrown)}`);
  }
  const file = object(path, parsed, 'the file');
  const devices = list(path, file.devices, 'devices', MAX_ENDPOINTS).map((device, at) =>
    readDevice(path, object(path, device, `devices[${at}]`), `devices[${at}]`),
  );
  for (const key of ['name', 'tap', 'mac'] as const) {
    const values = devices.map((device) => device[key]);
    const twice = values.find((value, at) => values.indexOf(value) !== at);
    if (twice !== undefined) throw invalid(path, `has two devices of the ${key} ${JSON.stringify(twice)}`);
  }
  return { netns: optionalText(path, file.netns, 'netns') || undefined, devices };
}

type Fields = Readonly<Record<string, unknown>>;

function readDevice(path: string, fields: Fields, at: string): DirectDevice {
  const name = deviceName(path, fields.name, `${at}.name`);
  const device = object(path, fields.device, `${at}.device`);
  if (device.type !== 'host-tap') {
    throw new KataError(
      'unimplemented',
      `${path}: ${at}.device.type is ${JSON.stringify(device.type)}; only "host-tap" can be attached: neither host devices nor vhost-user ports are passed through`,
    );
  }
  const info = object(path, fields.network_info ?? {}, `${at}.network_info`);
  const link = object(path, info.interface ?? {}, `${at}.network_info.interface`);
  const entries = (key: string): Fields[] =>
    list(path, info[key] ?? [], `${at}.network_info.${key}`, MAX_ENTRIES).map((entry) => object(path, entry, key));
  const addresses = list(path, link.ip_addresses ?? [], `${at}.network_info.interface.ip_addresses`, MAX_ENTRIES);
  return {
    name,
    mac: macOf(path, fields.guest_mac, `${at}.guest_mac`),
    tap: deviceName(path, device.tap_name, `${at}.device.tap_name`),
    queues: whole(path, device.queue_num, `${at}.device.queue_num`, MAX_QUEUES) || 1,
    mtu: whole(path, link.mtu, `${at}.network_info.interface.mtu`, MAX_MTU) || DEFAULT_MTU,
    type: optionalText(path, link.ntype, 'ntype'),
    flags: whole(path, link.flags, 'flags', MAX_U32),
    addresses: addresses.map((address) => cidr(path, address)),
    routes: entries('routes').map((route) => readRoute(path, route, name)),
    neighbors: entries('neighbors').map((neighbor) => readNeighbor(path, neighbor, name)),
  };
}

function readRoute(path: string, fields: Fields, device: string): Init<Route> {
  const dest = optionalText(path, fields.dest, 'dest');
  const gateway = address(path, fields.gateway, 'gateway');
  const source = address(path, fields.source, 'source');
  if (dest === '' && gateway === '') throw invalid(path, 'has a route with neither dest nor gateway');
  if (dest !== '') cidr(path, dest);
  const known = dest.split('/')[0] || gateway;
  return {
    dest,
    gateway,
    source,
    device,
    scope: whole(path, fields.scope, 'scope', 0xff),
    family: isIP(known) === 6 ? FAMILY_V6 : 0,
    flags: whole(path, fields.flags, 'flags', MAX_U32),
    mtu: whole(path, fields.mtu, 'mtu', MAX_MTU),
  };
}

function readNeighbor(path: string, fields: Fields, device: string): Init<ARPNeighbor> {
  const text = address(path, fields.ip_address, 'ip_address');
  if (text === '') throw invalid(path, 'has a neighbour without ip_address');
  return {
    toIPAddress: { family: isIP(text) === 6 ? FAMILY_V6 : 0, address: text, mask: '' },
    device,
    lladdr: macOf(path, fields.hardware_addr ?? '', 'hardware_addr'),
    state: whole(path, fields.state, 'state', 0xffff),
    flags: whole(path, fields.flags, 'flags', MAX_U32),
  };
}

/** `10.88.0.9/16`. */
function cidr(path: string, value: unknown): Init<IPAddress> {
  const [, text = '', mask = ''] = /^([0-9A-Fa-f.:]{2,45})\/([0-9]{1,3})$/.exec(String(value)) ?? [];
  const family = isIP(text);
  if (family === 0 || Number(mask) > (family === 6 ? 128 : 32)) {
    throw invalid(path, `has ${JSON.stringify(value)} where an address with its prefix belongs, as 10.0.0.2/24`);
  }
  return { family: family === 6 ? FAMILY_V6 : 0, address: text, mask };
}

function address(path: string, value: unknown, what: string): string {
  const text = optionalText(path, value, what);
  if (text === '' || isIP(text) !== 0) return text;
  throw invalid(path, `${what} is ${JSON.stringify(value)}; it must be an IP address`);
}

/** Absent: one is made up. */
function macOf(path: string, value: unknown, what: string): string {
  if (value === undefined) return formatMac([LOCAL_MAC, ...randomBytes(5)] as unknown as Uint8Array);
  if (typeof value === 'string' && /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(value)) return value.toLowerCase();
  throw invalid(path, `${what} is ${JSON.stringify(value)}; it must be a hardware address, as 02:00:00:00:00:01`);
}

/** As the kernel takes them. */
function deviceName(path: string, value: unknown, what: string): string {
  if (typeof value === 'string' && /^[^\s/:]{1,15}$/.test(value) && value !== '.' && value !== '..') return value;
  throw invalid(path, `${what} is ${JSON.stringify(value)}; it must be the name of a network device`);
}

function whole(path: string, value: unknown, what: string, most: number): number {
  if (value === undefined) return 0;
  if (Number.isInteger(value) && (value as number) >= 0 && (value as number) <= most) return value as number;
  throw invalid(path, `${what} is ${JSON.stringify(value)}; it must be a whole number from 0 to ${most}`);
}

function optionalText(path: string, value: unknown, what: string): string {
  if (value === undefined || value === null) return '';
  if (typeof value === 'string') return value;
  throw invalid(path, `${what} is ${JSON.stringify(value)}; it must be a string`);
}

function list(path: string, value: unknown, what: string, most: number): unknown[] {
  if (Array.isArray(value) && value.length <= most) return value;
  throw invalid(path, `${what} must be a list of at most ${most}`);
}

function object(path: string, value: unknown, what: string): Fields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields;
  throw invalid(path, `${what} must be an object`);
}

function invalid(path: string, what: string): KataError {
  return new KataError('invalid_argument', `${path}: ${what.slice(0, 300)}`);
}
