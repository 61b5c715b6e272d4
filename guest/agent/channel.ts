/** Where the agent is reached: the virtio-serial port `agent`, AF_VSOCK, or a unix socket. All serve the same services. */
import { errnoOf, reasonOf } from './error.ts';
import type { EventLoop } from './loop.ts';
import { POLLHUP, POLLIN } from './loop-interface.ts';
import type { Services } from './service-table.ts';
import type { Sys } from './sys.ts';
import { Connection } from './ttrpc.ts';

/** The port's name, as given to `virtserialport,name=`. */
export const PORT_NAME = 'agent';
/** AF_VSOCK port of Kata's agent protocol. */
export const VSOCK_PORT = 1024;
/** Connections at once on one listening socket. */
export const MAX_CONNECTIONS = 64;
/** Milliseconds between looks for a port that is not there yet: its name comes over the device's control queue. */
const PORT_SEARCH_MS = 5;
/** Milliseconds between looks whether the host end is open again. */
const RECONNECT_MS = 20;
const PORTS = '/sys/class/virtio-ports';
const O_RDWR_NONBLOCK = 0o2 | 0o4000;
const MAX_NAME_BYTES = 256;

/**
 * Serves where the options say; without an address on the port named `agent` and, where the guest has it, on AF_VSOCK.
 * @param ready when AF_VSOCK's modules are loaded
 * @param address `vsock://CID:PORT` (the CID is ours anyway) or `unix:///PATH`
 * @throws SysError, Error
 */
export function serveConfigured(
  sys: Sys,
  loop: EventLoop,
  services: Services,
  ready: Promise<void>,
  address: string | undefined,
): void {
  const vsock = /^vsock:\/\/[^:]*:(\d{1,10})$/.exec(address ?? `vsock://-1:${VSOCK_PORT}`);
  const unix = /^unix:\/\/(\/.+)$/.exec(address ?? '');
  if (address === undefined) servePort(sys, loop, services);
  if (vsock) ready.then(() => serveVsock(sys, loop, services, Number(vsock[1])));
  else if (unix) serveUnix(sys, loop, services, unix[1] as string);
  else throw new Error(`cannot listen on "${address}"; use vsock://CID:PORT or unix:///PATH`);
}

/** The device of the port named `agent`, or undefined while there is none. */
export function findPort(sys: Sys): string | undefined {
  let entries: string[];
  try {
    entries = sys.readdir(PORTS);
  } catch {
    return undefined;
  }
  for (const entry of entries) {
    try {
      const name = new TextDecoder().decode(sys.readFile(`${PORTS}/${entry}/name`, MAX_NAME_BYTES)).trim();
      if (name === PORT_NAME) return `/dev/${entry}`;
    } catch {
      // A port without a name, or one just unplugged.
    }
  }
  return undefined;
}

/** Serves the port as soon as there is one, again and again as the host end comes and goes. */
export function servePort(sys: Sys, loop: EventLoop, services: Services): void {
  const device = findPort(sys);
  if (!device) {
    loop.after(PORT_SEARCH_MS, () => servePort(sys, loop, services));
    return;
  }
  const fd = sys.open(device, O_RDWR_NONBLOCK);
  const serve = () => {
    // A closed host end reports POLLHUP without pause: it must be asked, not watched.
    if ((sys.poll([{ fd, events: 0 }], 0)[0] ?? 0) & POLLHUP) loop.after(RECONNECT_MS, serve);
    else new Connection(sys, loop, fd, services, true, () => loop.after(RECONNECT_MS, serve));
  };
  serve();
}

/** Serves AF_VSOCK where the guest has it. False where it has not. */
export function serveVsock(sys: Sys, loop: EventLoop, services: Services, port: number): boolean {
  try {
    serveListener(sys, loop, services, sys.listenVsock(port));
    return true;
  } catch (error) {
    if (!['EAFNOSUPPORT', 'ENODEV', 'EADDRNOTAVAIL'].includes(errnoOf(error))) throw error;
    return false;
  }
}

/**
 * Serves a unix socket at `path`.
 * @throws SysError
 */
export function serveUnix(sys: Sys, loop: EventLoop, services: Services, path: string): void {
  serveListener(sys, loop, services, sys.listenUnix(path));
}

function serveListener(sys: Sys, loop: EventLoop, services: Services, listener: number): void {
  let open = 0;
  loop.watch(listener, POLLIN, () => {
    const fd = acceptOne(sys, listener);
    if (fd === null) return;
    if (open >= MAX_CONNECTIONS) {
      sys.log(`agent: more than ${MAX_CONNECTIONS} connections at once; closing the newest`);
      sys.close(fd);
      return;
    }
    open++;
    new Connection(sys, loop, fd, services, false, () => {
      open--;
      sys.close(fd);
    });
  });
}

function acceptOne(sys: Sys, listener: number): number | null {
  try {
    return sys.accept(listener);
  } catch (error) {
    sys.log(`agent: accept failed: ${reasonOf(error)}`);
    return null;
  }
}
