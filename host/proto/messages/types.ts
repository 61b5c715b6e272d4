// Generated from proto/types.proto by proto/generate.mjs. Do not edit: run `npm run proto`.
import { type Int64, type MessageType, message } from '../codec.ts';

export interface IPAddress {
  family: number;
  address: string;
  mask: string;
}
export const IPAddress: MessageType<IPAddress> = /* @__PURE__ */ message<IPAddress>('types.IPAddress', () => [
  [1, 'family', 'int32'],
  [2, 'address', 'string'],
  [3, 'mask', 'string'],
]);

export interface Interface {
  device: string;
  name: string;
  IPAddresses: IPAddress[];
  mtu: Int64;
  hwAddr: string;
  devicePath: string;
  type: string;
  raw_flags: number;
}
export const Interface: MessageType<Interface> = /* @__PURE__ */ message<Interface>('types.Interface', () => [
  [1, 'device', 'string'],
  [2, 'name', 'string'],
  [3, 'IPAddresses', IPAddress, 'repeated'],
  [4, 'mtu', 'uint64'],
  [5, 'hwAddr', 'string'],
  [6, 'devicePath', 'string'],
  [7, 'type', 'string'],
  [8, 'raw_flags', 'uint32'],
]);

export interface Route {
  dest: string;
  gateway: string;
  device: string;
  source: string;
  scope: number;
  family: number;
  flags: number;
  mtu: number;
}
export const Route: MessageType<Route> = /* @__PURE__ */ message<Route>('types.Route', () => [
  [1, 'dest', 'string'],
  [2, 'gateway', 'string'],
  [3, 'device', 'string'],
  [4, 'source', 'string'],
  [5, 'scope', 'uint32'],
  [6, 'family', 'int32'],
  [7, 'flags', 'uint32'],
  [8, 'mtu', 'uint32'],
]);

export interface ARPNeighbor {
  toIPAddress: IPAddress | undefined;
  device: string;
  lladdr: string;
  state: number;
  flags: number;
}
export const ARPNeighbor: MessageType<ARPNeighbor> = /* @__PURE__ */ message<ARPNeighbor>('types.ARPNeighbor', () => [
  [1, 'toIPAddress', IPAddress],
  [2, 'device', 'string'],
  [3, 'lladdr', 'string'],
  [4, 'state', 'int32'],
  [5, 'flags', 'int32'],
]);

export const IPFamily = {
  v4: 0,
  v6: 1,
} as const;

export const FSGroupChangePolicy = {
  Always: 0,
  OnRootMismatch: 1,
} as const;
