/**
 * The observer can see: builds with one of the product's rules broken on purpose are caught, every time. If one of
 * these tests fails, none of the clean verdicts of the other tests means anything.
 */
import test from 'ava';
import type { Sabotage } from '../../coordinator/sabotage.ts';
import { CATCHERS } from './catchers.ts';
import { UNFIT } from './scenario.ts';

for (const [name, catcher] of Object.entries(CATCHERS)) {
  if (!('observer' in catcher)) continue;
  (UNFIT ? test.serial.skip : test.serial)(`${name} is caught (needs root, qemu)`, async t => {
    t.timeout(120_000);
    const verdict = await catcher.observer(t, name as Sabotage);
    const { repeated, contradicted, uncommitted } = verdict;
    t.log({ repeated, contradicted, uncommitted }, ...verdict.offences.slice(0, 3));
    t.true(repeated + contradicted + uncommitted > 0);
  });
}
