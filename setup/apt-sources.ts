/** The machine's own apt sources, in both forms of sources.list(5): one-line and deb822. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

const APT_DIRECTORY = '/etc/apt';
/** Names of Debian's own suites, by age and by code name. */
const SUITES = [
  ...['stable', 'oldstable', 'oldoldstable', 'testing', 'unstable', 'sid'],
  ...['bullseye', 'bookworm', 'trixie', 'forky', 'duke'],
];

/** One suite on one mirror. */
export interface AptSource {
  readonly uri: string;
  readonly suite: string;
  /** A keyring's path, or undefined: apt's trusted keys. */
  readonly signedBy?: string;
  /** The machine's owner vouches for it: it need not be signed. */
  readonly trusted?: boolean;
  /** Whether this is Debian's archive, not somebody's repository beside it: those have no `main` of Debian's suites. */
  readonly debian: boolean;
}

/**
 * Enabled `deb` sources, in apt's order.
 * @param directory apt's configuration directory
 */
export async function machineSources(directory: string = APT_DIRECTORY): Promise<AptSource[]> {
  const parts = await readdir(join(directory, 'sources.list.d')).catch(() => [] as string[]);
  const files = ['sources.list', ...parts.sort().map((name) => join('sources.list.d', name))];
  const found: AptSource[] = [];
  for (const name of files) {
    const text = await readFile(join(directory, name), 'utf8').catch(() => '');
    if (name.endsWith('.list')) found.push(...parseOneLine(text));
    else if (name.endsWith('.sources')) found.push(...parseDeb822(text));
  }
  return found;
}

/** `deb [options] uri suite component…`, one a line. */
export function parseOneLine(text: string): AptSource[] {
  const found: AptSource[] = [];
  for (const raw of text.split('\n')) {
    const line = raw.replace(/#.*$/, '').trim();
    const match = /^deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s*(.*)$/.exec(line);
    if (!match) continue;
    const [, options = '', uri = '', suite = '', components = ''] = match;
    const signedBy = /(?:^|\s)signed-by=(\S+)/i.exec(options)?.[1];
    const trusted = /(?:^|\s)trusted=yes(?:\s|$)/i.test(options);
    found.push(source(uri, suite, components.split(/\s+/), signedBy, trusted));
  }
  return found;
}

/** Stanzas of `Key: value`, apart by empty lines; a value goes on in lines that begin with a space. */
export function parseDeb822(text: string): AptSource[] {
  const found: AptSource[] = [];
  for (const stanza of text.split(/\n[ \t]*\n/)) {
    const fields = stanzaFields(stanza);
    if (!words(fields, 'types').includes('deb')) continue;
    if (/^(no|false|0|off|disable|without)$/i.test(fields.get('enabled')?.trim() ?? '')) continue;
    const key = fields.get('signed-by')?.trim();
    // A key written into the stanza itself (not a path) cannot be named on a line; apt's trusted keys remain.
    const signedBy = key?.startsWith('/') ? key.split(/\s+/)[0] : undefined;
    for (const uri of words(fields, 'uris')) {
      for (const suite of words(fields, 'suites')) {
        found.push(source(uri, suite, words(fields, 'components'), signedBy, words(fields, 'trusted')[0] === 'yes'));
      }
    }
  }
  return found;
}

function stanzaFields(stanza: string): Map<string, string> {
  const fields = new Map<string, string>();
  let last = '';
  for (const line of stanza.split('\n')) {
    if (line.startsWith('#')) continue;
    const match = /^([A-Za-z0-9-]+):(.*)$/.exec(line);
    if (match) {
      last = (match[1] as string).toLowerCase();
      fields.set(last, match[2] as string);
    } else if (/^[ \t]/.test(line) && last) {
      fields.set(last, `${fields.get(last)} ${line.trim()}`);
    }
  }
  return fields;
}

function words(fields: Map<string, string>, key: string): string[] {
  return (fields.get(key) ?? '').split(/\s+/).filter((word) => word !== '');
}

function source(
  uri: string,
  suite: string,
  components: readonly string[],
  signedBy: string | undefined,
  trusted: boolean,
): AptSource {
  const name = suite.replace(/(-security|-updates|-backports|\/updates)$/, '');
  const debian = components.includes('main') && SUITES.includes(name);
  return { uri, suite, debian, ...(signedBy ? { signedBy } : {}), ...(trusted ? { trusted } : {}) };
}
