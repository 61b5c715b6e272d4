/** The scripts for bash and zsh, as the shells run them. */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { COMMANDS } from '../../../host/cli/commands.ts';
import { bashScript } from '../../../host/cli/completion/bash.ts';
import { grammarOf } from '../../../host/cli/completion/places.ts';
import { zshScript } from '../../../host/cli/completion/zsh.ts';
import { GLOBAL_OPTIONS } from '../../../host/cli/global-options.ts';
import { succeed } from '../../../setup/command.ts';
import { fetchPackages, machineArch, unpack } from '../../../setup/debian.ts';
import { DEBIAN_CACHE } from '../../../setup/paths.ts';
import { inTerminal } from '../../harness/terminal.ts';

const test = suite('completion of kata-runtime');
const directory = mkdtempSync(join(tmpdir(), 'kata-complete-'));
const grammar = grammarOf(COMMANDS, GLOBAL_OPTIONS);
const IDS = ['abc111', 'abd222'];
/** What a shell must neither run nor offer as it stands. */
const EVIL_ID = 'a$(touch pwned)`touch pwned`;touch pwned';
/** Files in the directory where completion runs. */
const FILES = ['rules with blanks', 'rules.v4', 'rules.v6'];

test.before(() => {
  for (const name of ['kata-runtime', 'kata-ctl']) {
    const program = join(directory, name);
    writeFileSync(
      program,
      `#!/bin/sh\n[ "$*" = "list -q" ] && exec printf '%s\\n' ${IDS.join(' ')} '${EVIL_ID}'\necho "GOT[$*]"\n`,
    );
    chmodSync(program, 0o755);
  }
  for (const name of FILES) writeFileSync(join(directory, name), '');
  writeFileSync(join(directory, 'bash'), bashScript(grammar));
});
test.after(() => rmSync(directory, { recursive: true, force: true }));

// [words, the last of which is completed; what is offered, or a part of it and `...`]
const CASES: readonly (readonly [words: readonly string[], offered: readonly string[]])[] = [
  [['che'], ['check']],
  [['kata-check', '--verb'], ['--verbose']],
  [['-l', 'deb'], ['debug']],
  [['-l', 'debug', 'li'], ['list']],
  [
    ['--log-format', ''],
    ['text', 'json'],
  ],
  [['--log-format', '=', 'j'], ['json']],
  [
    ['--log-format', '='],
    ['text', 'json'],
  ],
  [['exec', 'a'], IDS],
  [['exec', 'abc'], ['abc111']],
  [['exec', 'abc111', ''], []],
  [['exec', 'abc111', '--', 'l'], []],
  [['metrics', ''], IDS],
  [
    ['iptables', ''],
    ['get', 'set'],
  ],
  [
    ['iptables', 'get', '--s'],
    ['--sandbox-id', '--systemd-cgroup', '--show-default-config-paths'],
  ],
  [['iptables', 'get', '--sandbox-id', ''], IDS],
  [['iptables', 'set', '--sandbox-id', 'abc111', 'rules'], FILES],
  [['--config', 'rules.v4', 'iptables', 's'], ['set']],
  [['check', 'no'], ['no-network-checks']],
  [['help', 'ip'], ['iptables']],
  [
    ['completion', ''],
    ['bash', 'zsh'],
  ],
  [['direct-volume', 'add', '--mount-info', ''], []],
];

for (const [words, offered] of CASES) {
  test(`bash: ${words.join(' ')}_`, async () => {
    const array = ['kata-runtime', ...words].map((word) => `'${word}'`).join(' ');
    const script = `. '${directory}/bash'; cd '${directory}'; COMP_WORDS=(${array}); COMP_CWORD=${words.length}; _kata_runtime; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const env = { PATH: `${directory}:/usr/bin:/bin` };
    const stdout = await succeed(['bash', '--norc', '-c', script], { env });
    assert.equal(
      stdout
        .split('\n')
        .filter((line) => line !== '')
        .sort(),
      [...offered].sort(),
    );
  });
}

test('bash: an id is offered, not run', () => {
  assert.not.ok(existsSync(join(directory, 'pwned')));
});

test('bash: both names are completed', async () => {
  const stdout = await succeed(['bash', '--norc', '-c', `. '${directory}/bash'; complete -p kata-runtime kata-ctl`]);
  assert.is(stdout, 'complete -F _kata_runtime kata-runtime\ncomplete -F _kata_runtime kata-ctl\n');
});

/** Lines as they are typed, and what the program then gets. */
const TYPED: readonly (readonly [typed: string, got: string])[] = [
  ['kata-runtime che\t', 'check'],
  ['kata-runtime kata-check --verb\t', 'kata-check --verbose'],
  ['kata-runtime -l deb\tli\t', '-l debug list'],
  ['kata-runtime --log-format=j\t', '--log-format=json'],
  ['kata-runtime exec abd\t', 'exec abd222'],
  ['kata-ctl iptables g\t--sandbox-i\tabc\t', 'iptables get --sandbox-id abc111'],
  ['kata-runtime iptables set rules.v4\t', 'iptables set rules.v4'],
  ['kata-runtime check no-\t', 'check no-network-checks'],
];

const MULTIARCH = machineArch() === 'amd64' ? 'x86_64-linux-gnu' : 'aarch64-linux-gnu';
// As `source <(...)` has it, and as a package's file that zsh loads itself.
for (const [how, name] of [
  ['read by .zshrc', 'zsh'],
  ['found by zsh', 'found/_kata-runtime'],
] as const) {
  test(`zsh: typed on a terminal, the script ${how}`, async () => {
    const specs = ['zsh', 'zsh-common'].map((each) => ({ suite: 'bookworm', name: each }) as const);
    const unpacked = join(directory, 'unpacked');
    if (!existsSync(unpacked)) {
      for (const { file } of await fetchPackages(specs, DEBIAN_CACHE, () => {})) await unpack(file, unpacked);
    }
    const script = join(directory, name);
    mkdirSync(dirname(script), { recursive: true });
    writeFileSync(script, zshScript(grammar));
    const home = mkdtempSync(join(directory, 'home-'));
    writeFileSync(
      join(home, '.zshrc'),
      `module_path=('${unpacked}/usr/lib/${MULTIARCH}/zsh/5.9')
fpath=('${unpacked}'/usr/share/zsh/functions/**/*(/) '${unpacked}/usr/share/zsh/functions' '${directory}/found')
autoload -U compinit
compinit -u -D
${name === 'zsh' ? `. '${script}'` : ''}
PATH='${directory}':$PATH
cd '${directory}'
PROMPT='READY> '
unsetopt beep
`,
    );
    const type = [...TYPED.map(([line]) => line), 'exit'].map((line) => `${line}\r`).join('');
    const env = { ZDOTDIR: home, HOME: home, PATH: '/usr/bin:/bin', LC_ALL: 'C.UTF-8' };
    const answer = { after: 'READY> ', type };
    const done = await inTerminal([join(unpacked, 'bin/zsh'), '-d', '-i'], { env, columns: 200, answer });
    const got = [...done.stdout.matchAll(/GOT\[([^\]]*)\]/g)].map(([, words]) => words);
    assert.equal(
      got,
      TYPED.map(([, words]) => words),
      done.stdout,
    );
  });
}

test.run();
