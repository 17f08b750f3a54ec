/** The cells that one commit tries in `npm test`: few, and other ones with the next commit. */
import type { CellName } from './cell.ts';
import { expected } from './expected.ts';
import { POINTS } from './points.ts';
import { cellsOf, USUAL_FAULTS } from './settings.ts';

/** How many of each kind. A machine that is stopped safely costs a new lab: those are left to the whole matrix. */
const SHARES: readonly [count: number, chosen: (cell: CellName) => boolean][] = [
  [3, ({ point, fault }) => point.startsWith('E') && expected(point, fault).outcome === 'backup'],
  [2, ({ point, fault }) => point.startsWith('E') && expected(point, fault).outcome !== 'backup'],
  [2, ({ point, fault }) => point.startsWith('F') && expected(point, fault).outcome === 'backup'],
  [2, ({ point, fault }) => point.startsWith('R') && expected(point, fault).outcome === 'primary'],
  [1, ({ point, fault }) => point.startsWith('R') && expected(point, fault).outcome === 'backup'],
];

/** Where a defect was found once. */
const ALWAYS: readonly CellName[] = [
  { point: 'F6-loaded', fault: 'kill-backup-standby' },
  { point: 'F7-running', fault: 'kill-backup-coordinator' },
];

/** Some cells of every kind, at least six failovers among them; the same for the same seed. */
export function cellsFor(seed: number): CellName[] {
  const isNew = ({ point, fault }: CellName) =>
    !ALWAYS.some(cell => cell.point === point && cell.fault === fault);
  const all = cellsOf(POINTS, USUAL_FAULTS).filter(isNew);
  const chosen = SHARES.flatMap(([count, fits]) => {
    const cells = all.filter(fits);
    // A large odd step spreads them over points and faults.
    return Array.from({ length: count }, (_, pick) => cells[(seed + pick * 7919) % cells.length]!);
  });
  return [...chosen, ...ALWAYS];
}
