/**
 * The agent. guest/sys/main.c runs this once, then calls `turn` for ever.
 *
 * As PID 1 it boots the guest and takes its options from the kernel command line; as an ordinary process it takes them
 * from its arguments and leaves the machine as it is.
 */
import { boot, finishBoot, loadForContainers } from './boot.ts';
import { withCallLog } from './call-log.ts';
import { serveConfigured } from './channel.ts';
import { MAX_CMDLINE_BYTES, parseArguments, parseCmdline } from './cmdline.ts';
import { Consoles } from './console.ts';
import { extensionHandlers } from './extension.ts';
import { Forwards } from './forward.ts';
import { EventLoop } from './loop.ts';
import { loadNamed } from './modules.ts';
import { networkHandlers } from './network.ts';
import { DEFAULT_OPTIONS } from './options.ts';
import { onceReady, servicesOf } from './service-table.ts';
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
const init = sys.getpid() === 1;
const modules = init ? boot(sys) : undefined;
const ready = modules ? finishBoot(sys, loop, modules) : Promise.resolve();
const options = init
  ? parseCmdline(new TextDecoder().decode(sys.readFile('/proc/cmdline', MAX_CMDLINE_BYTES)))
  : parseArguments(argv);
const { hotplugTimeoutMs } = options;
let fitProcessors = () => {};
let toLoad = modules;
const forwards = new Forwards(sys, loop);
const consoles = new Consoles(sys, loop, options.debugConsole);
const system = systemHandlers(sys, loop, () => fitProcessors());
const { GetGuestDetails } = system;
const agent = [
  // The clock, the memory and the processors of a machine that is somebody else's are not for us to change.
  init ? system : { ...(GetGuestDetails ? { GetGuestDetails } : {}) },
  networkHandlers(sys, loop, hotplugTimeoutMs),
  consoles.streams(
    forwards.streams(
      containerServices(sys, loop, {
        hotplugTimeoutMs,
        leaveOutLimits: !init,
        onProcessorsOnline: (changed) => {
          fitProcessors = changed;
        },
        needModules: () => {
          if (toLoad) loadForContainers(sys, toLoad);
          toLoad = undefined;
        },
        loadModule: (name, parameters) => loadNamed(sys, name, parameters),
      }),
    ),
  ),
];
const services = servicesOf(
  healthHandlers(),
  forwards.handlers(),
  consoles.handlers(),
  extensionHandlers(init ? { sys, loop, options: { ...DEFAULT_OPTIONS, hotplugTimeoutMs } } : undefined),
  ...agent.map((part) => onceReady(ready, part)),
);
serveConfigured(sys, loop, withCallLog(services, sys, options.logLevel), ready, options.serverAddress);

Object.assign(globalThis, {
  turn: (): boolean => {
    loop.turn();
    return true;
  },
});
