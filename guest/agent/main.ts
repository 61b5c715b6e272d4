/**
 * The agent. guest/sys/main.c runs this once, then calls `turn` for ever.
 *
 * As PID 1 it boots the guest and takes its options from the kernel command line; as an ordinary process it takes them
 * from its arguments and leaves the machine as it is.
 */
import { boot } from './boot.ts';
import { serveConfigured } from './channel.ts';
import { type AgentOptions, MAX_CMDLINE_BYTES, parseArguments, parseCmdline } from './cmdline.ts';
import { EventLoop } from './loop.ts';
import { networkHandlers } from './network.ts';
import { servicesOf } from './service-table.ts';
import { containerServices } from './services.ts';
import { type Sys, SysError } from './sys.ts';
import { healthHandlers, systemHandlers } from './system.ts';

/** What guest/sys/main.c defines. */
declare const sys: Sys & {
  /** What system calls throw from here on inherits from `prototype`. */
  errorPrototype(prototype: object): void;
};
declare const argv: readonly string[];

sys.errorPrototype(SysError.prototype);
const loop = new EventLoop(sys);
const options = start();
serveConfigured(
  sys,
  loop,
  servicesOf(
    healthHandlers(),
    systemHandlers(sys, loop),
    networkHandlers(sys, loop, options.hotplugTimeoutMs),
    containerServices(sys, loop, { hotplugTimeoutMs: options.hotplugTimeoutMs }),
  ),
  options.serverAddress,
);

Object.assign(globalThis, {
  turn: (): boolean => {
    loop.turn();
    return true;
  },
});

function start(): AgentOptions {
  if (sys.getpid() !== 1) return parseArguments(argv);
  boot(sys);
  return parseCmdline(new TextDecoder().decode(sys.readFile('/proc/cmdline', MAX_CMDLINE_BYTES)));
}
