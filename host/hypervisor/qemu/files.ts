/** The files a machine is started from. */
import { accessSync, constants, statSync } from 'node:fs';
import { KataError, reasonOf } from '../../error.ts';
import type { VmConfig } from '../hypervisor.ts';

/** @throws KataError `failed_precondition` naming the key, the path and what to do */
export function checkFiles(config: VmConfig): void {
  checkFile('path', config.qemuPath, constants.X_OK, 'install the package qemu-system');
  checkFile('kernel', config.kernel, constants.R_OK, 'build the guest with "npm run guest"');
  if (config.initrd !== undefined) {
    checkFile('initrd', config.initrd, constants.R_OK, 'build the guest with "npm run guest"');
  }
  if (config.image !== undefined) checkFile('image', config.image, constants.R_OK, 'install the guest image');
}

function checkFile(key: string, path: string, mode: number, remedy: string): void {
  try {
    if (!statSync(path).isFile()) throw new Error('not a regular file');
    accessSync(path, mode);
  } catch (thrown) {
    const reason = (thrown as NodeJS.ErrnoException).code === 'ENOENT' ? 'no such file' : reasonOf(thrown);
    throw new KataError(
      'failed_precondition',
      `hypervisor.qemu.${key}: ${path} cannot be used (${reason}): ${remedy}, or set "${key}" in configuration.toml`,
    );
  }
}
