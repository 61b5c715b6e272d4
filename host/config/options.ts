/** The runtime options that containerd sends with Create. */
import { KataError, reasonOf } from '../error.ts';
import { decode } from '../proto/codec.ts';
import type { Any } from '../proto/messages/google.ts';
import { Options } from '../proto/messages/runtimeoptions.ts';

/** Ours, and what containerd 1.3 and 1.4 called it. */
const OURS = ['runtimeoptions.v1.Options', 'cri.runtimeoptions.v1.Options'];
/** Options of other runtimes, which containerd's clients send to any; they say nothing to us. */
const IGNORED = ['containerd.runc.v1.Options', 'containerd.linux.runc.CreateOptions', 'io.containerd.runc.v1.Options'];

/**
 * @returns the configuration's path; empty when the options name none
 * @throws KataError `invalid_argument` for options of an unknown type, or bytes that are not what their type says
 */
export function configPathOf(options: Any | undefined): string {
  if (!options || options.type_url === '') return '';
  const type = options.type_url.slice(options.type_url.lastIndexOf('/') + 1);
  if (IGNORED.includes(type)) return '';
  if (!OURS.includes(type)) {
    throw new KataError(
      'invalid_argument',
      `runtime options of type ${JSON.stringify(options.type_url)} are not known; use ${OURS[0]} with a ConfigPath, or none`,
    );
  }
  try {
    return decode(Options, options.value).config_path;
  } catch (thrown) {
    throw new KataError('invalid_argument', `runtime options are no ${type}: ${reasonOf(thrown)}`, { cause: thrown });
  }
}
