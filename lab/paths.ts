/** Where this checkout is. */
import { existsSync } from 'node:fs';
import { INSTALLATION, installed } from '../common/installation.ts';

export const REPOSITORY = INSTALLATION;

/** A path inside the repository. */
export const inRepository = installed;

/** A static busybox: the one that install/setup.sh unpacked, or the installed one. */
export const BUSYBOX =
  [inRepository('build/busybox/bin/busybox'), inRepository('build/busybox/usr/bin/busybox')].find(
    path => existsSync(path),
  ) ?? '/bin/busybox';
