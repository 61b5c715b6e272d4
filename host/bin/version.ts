/** What the build knows of itself. */
import type { Version } from '../shim/info.ts';

/** Set by the build. */
declare const KATA_VERSION: string | undefined;
declare const KATA_REVISION: string | undefined;

/** `unbuilt` where the program runs from its sources. */
export function ownVersion(): Version {
  return {
    version: typeof KATA_VERSION === 'string' ? KATA_VERSION : 'unbuilt',
    revision: typeof KATA_REVISION === 'string' ? KATA_REVISION : '',
  };
}
