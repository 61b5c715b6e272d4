/** `check`: can this machine run sandboxes, and does it at the moment. */
import type { Call } from './call.ts';
import type { Command } from './command.ts';
import { table } from './output.ts';

/** kata-ctl's words for what kata-runtime says by options. */
const WHAT = [
  'all',
  'no-network-checks',
  'check-version-only',
  'only-list-releases',
  'include-all-releases',
  'list',
] as const;
/** Exit status where sandboxes cannot be created, as for any error. */
const CANNOT = 1;

export const check: Command = {
  name: 'check',
  aliases: ['kata-check'],
  summary: 'test whether this machine can run Kata Containers',
  description: [
    'Looks at the processor, the kernel, devices, memory, cgroups, QEMU, virtiofsd, the guest, the configuration file and containerd. Nothing is changed and nothing is loaded; where KVM has to be tried, a guest kernel is booted once, and the answer kept until the next boot.',
    'Prints what is wrong with what to do about it, then "System is capable of running Kata Containers" where processor and kernel allow it, and "System can currently create Kata Containers" where nothing hinders it now. The second needs root. Without KVM sandboxes run under emulation: a warning.',
    'Releases are looked for only where the environment names a list of them: KATA_RELEASE_URL, the address of a JSON document as GitHub gives it. KATA_CHECK_NO_NETWORK, set to anything, is the same as --no-network-checks. CONTAINERD_ADDRESS is the socket of a containerd that is elsewhere than usual.',
  ],
  operands: [
    {
      name: 'WHAT',
      optional: true,
      choices: WHAT,
      summary: `as kata-ctl has it: all, list (names the checks), or one of the options as a word`,
    },
  ],
  options: [
    { name: 'verbose', letter: 'v', summary: 'tell every check and what it found' },
    { name: 'json', summary: 'tell everything as JSON' },
    { name: 'strict', letter: 's', summary: 'warnings count as errors' },
    { name: 'no-network-checks', letter: 'n', summary: 'do not look for releases' },
    { name: 'check-version-only', summary: 'look for a newer release, and check nothing else' },
    { name: 'only-list-releases', summary: 'list newer releases ("version;date;address"), and check nothing else' },
    { name: 'include-all-releases', summary: 'list pre-releases too' },
  ],
  examples: [
    ['sudo {program} check', 'what hinders sandboxes here'],
    ['sudo {program} check --verbose', 'every check'],
    ['{program} check --json | jq -r \'.checks[] | select(.status == "failed") | .name\'', 'names of failed checks'],
  ],
  exitStatus: [
    ['0', 'sandboxes can be created; for other users than root: this machine is capable of it'],
    ['1', 'they cannot, or an error'],
  ],
  run,
};

async function run(call: Call): Promise<number> {
  const [what = 'all'] = call.words;
  const asked = (name: string): boolean => what === name || call.flag(name);
  if (what === 'list') return await list(call);
  const allReleases = asked('include-all-releases');
  // kata-ctl's word alone lists; kata-runtime's option says what a list has in it.
  const listing = asked('only-list-releases') || what === 'include-all-releases';
  const offline = asked('no-network-checks') || call.environment.KATA_CHECK_NO_NETWORK !== undefined;
  if (listing || asked('check-version-only')) {
    if (!offline) return await tellReleases(call, listing, allReleases);
    call.output.info('releases are not looked for: --no-network-checks or KATA_CHECK_NO_NETWORK');
    return 0;
  }
  const status = await checkMachine(call);
  // Whatever a server says, or does not, is nothing against this machine.
  const wanted = !offline && !call.flag('json') && Boolean(call.environment.KATA_RELEASE_URL);
  if (wanted) await tellReleases(call, false, allReleases);
  return status;
}

async function tellReleases(call: Call, list: boolean, all: boolean): Promise<number> {
  const { releases } = await import('./check/releases.ts');
  return await releases(call, { list, all });
}

async function checkMachine(call: Call): Promise<number> {
  const { CHECKS } = await import('./check/all.ts');
  const { verdictOf, verdictText } = await import('./check/report.ts');
  const { situationHere } = await import('./check/situation-here.ts');
  const situation = await situationHere(call);
  const verdict = await verdictOf(CHECKS, situation, call.flag('strict'));
  const { capable, canCreate, results } = verdict;
  if (call.flag('json')) call.output.json({ capable, canCreate: canCreate ?? null, checks: results });
  else call.output.write(verdictText(verdict, call.flag('verbose')));
  return (canCreate ?? capable) ? 0 : CANNOT;
}

async function list({ output }: Call): Promise<number> {
  const { CHECKS } = await import('./check/all.ts');
  output.write(table(CHECKS.map(({ name, summary }) => [name, summary])));
  return 0;
}
