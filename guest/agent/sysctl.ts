/** Sysctls of the network. Its namespace is the VM's, so they hold for the whole pod, and crun would refuse to set them. */
import { AgentError, reasonOf } from './error.ts';
import { dottedSysctl, NET_SYSCTL } from './oci-linux.ts';
import type { Guest } from './options.ts';

/**
 * Sets the `net.` ones of a container's sysctls; the others are crun's.
 * @throws AgentError invalid_argument for names that lead elsewhere, internal where the kernel refuses
 */
export function setNetworkSysctls({ sys, options }: Guest, sysctls: Readonly<Record<string, string>>): void {
  for (const [key, value] of Object.entries(sysctls)) {
    const name = dottedSysctl(key);
    if (!name.startsWith(NET_SYSCTL)) continue;
    // As sysctl(8): dots separate, and a slash stands for a dot in an interface's name.
    const path = name.replace(/[./]/g, (each) => (each === '.' ? '/' : '.'));
    if (path.split('/').some((element) => element === '' || element === '.' || element === '..')) {
      throw new AgentError('invalid_argument', `sysctl ${JSON.stringify(name)} is no name`);
    }
    try {
      sys.writeFile(`${options.procRoot}/sys/${path}`, value);
    } catch (thrown) {
      throw new AgentError('internal', `sysctl ${name}=${value}: ${reasonOf(thrown)}`);
    }
  }
}
