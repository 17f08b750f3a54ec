/** docs/faults.md: what is expected, from the table; what was measured, from the results of a run. */
import { FAULT_FACTS, FAULTS, type Fault, type FaultName } from '../sim/faults.ts';
import { needsRepair } from './cell.ts';
import { expected, type Outcome } from './expected.ts';
import { POINT_FACTS, POINTS, type PointName } from './points.ts';
import { gapsOf, type Results, tablesOf } from './report.ts';
import { USUAL_FAULTS } from './settings.ts';

export const MEASURED = '## Measured';

const MARKS: Readonly<Record<Outcome, string>> = {
  primary: 'p',
  backup: 'b',
  either: 'e',
  stopped: '**s**',
};
const INTRODUCTION = `# One fault, at every step

<!-- Written by \`npm run test:faults -- --docs\`; do not edit. -->

What curling does when one thing fails, at each of the 31 points of its protocol: where the guest goes on, and why. The
table was written down before it was tried. The simulator does all 1,085 cells; \`npm run test:faults\` does those of the
faults marked ● with real processes, real QEMUs and real cables, stops a process exactly at the point, and lets an
observer outside judge every frame.

- **p**: on the primary. A backup is paired again as soon as there is one.
- **b**: on the backup.
- **e**: on either of them: a race that the register decides.
- **s**: stopped safely. Nothing leaves any more, the status says why, and an operator ends it.

Whatever the cell: nothing is said twice, taken back or contradicted. *Primary* and *backup* are the roles before the fault.
A cell with an apostrophe is heard again only when what failed is back: the process started again, the cable plugged in.

## The points

Of an epoch (E), of a failover that an operator asked for, so that the fault is the only one (F), of a protection that
begins (R).

`;

/** Everything but what was measured. */
export function expectedMarkdown(): string {
  const points = POINTS.map(point => {
    const [id, ...name] = point.split('-');
    const { at, what } = POINT_FACTS[point];
    return [id!, `\`${name.join('-')}\``, at, what];
  });
  const faults = FAULTS.map(fault => [
    `\`${fault}\``,
    USUAL_FAULTS.includes(fault) ? '●' : '',
    wordsOf(fault),
  ]);
  return [
    INTRODUCTION,
    table(['', 'name', 'passed by', 'what is true'], points),
    '\n## The faults\n\n',
    table(['fault', '', 'what happens'], faults),
    '\n## Where the guest goes on\n',
    ...expectedTables(),
    '\n## Why\n\n',
    table(['fault', 'at', '', 'because'], reasons()),
    '\n',
  ].join('');
}

/** What a run has measured. */
export function measuredMarkdown({ at, detectionMs, cells }: Results): string {
  const rows = FAULTS.flatMap(fault => {
    const own = cells.filter(cell => cell.fault === fault);
    if (own.length === 0) return [];
    const { medianMs, maxMs } = gapsOf(own);
    const count = (outcome: string) => String(own.filter(cell => cell.outcome === outcome).length);
    const bad = String(own.filter(({ ok }) => !ok).length);
    const marks = ['primary', 'backup', 'stopped'].map(count);
    return [[`\`${fault}\``, String(own.length), ...marks, bad, String(medianMs), String(maxMs)]];
  });
  const head = ['fault', 'cells', 'p', 'b', 's', 'not as expected', 'silence ms', 'longest'];
  const { maxMs } = gapsOf(cells);
  const bad = cells.filter(({ ok }) => !ok).length;
  return `${MEASURED}

${cells.length} cells with real processes on ${at.slice(0, 10)}, detection ${detectionMs} ms, QEMU under emulation; ${bad} not as expected,
the longest silence ${maxMs} ms. The silence of the guest outside, from its last frame to its next one, median and longest;
a cut or a pause lasts 3.3 detection times, and a repair takes its time.

${table(head, rows)}`;
}

/** The two parts, with the results of a run or, without one, with what the document says now. */
export function faultsMarkdown(results: Results | undefined, before: string): string {
  const from = before.indexOf(MEASURED);
  const old = from < 0 ? '' : before.slice(from);
  return expectedMarkdown() + (results ? measuredMarkdown(results) : old);
}

function expectedTables(): string[] {
  const cells = POINTS.flatMap(point => FAULTS.map(fault => ({ point, fault })));
  const textOf = (point: PointName, fault: FaultName) => {
    const later = needsRepair({ point, fault }) && expected(point, fault).outcome !== 'stopped';
    return `${MARKS[expected(point, fault).outcome]}${later ? "'" : ''}`;
  };
  return tablesOf(cells, textOf).map(([head, ...rows]) => `\n${table(head!, rows)}`);
}

/** The points of each fault that have one outcome for one reason, together. */
function reasons(): string[][] {
  return FAULTS.flatMap(fault => {
    const groups = new Map<string, PointName[]>();
    for (const point of POINTS) {
      const { outcome, why } = expected(point, fault);
      const key = `${MARKS[outcome]}\n${why}`;
      groups.set(key, [...(groups.get(key) ?? []), point]);
    }
    return [...groups].map(([key, points]) => [`\`${fault}\``, spans(points), ...key.split('\n')]);
  });
}

/** `E1 to E16, R7`. */
function spans(points: readonly PointName[]): string {
  const runs: PointName[][] = [];
  for (const point of points) {
    const last = runs.at(-1)?.at(-1);
    const follows =
      last && last[0] === point[0] && POINTS.indexOf(point) === POINTS.indexOf(last) + 1;
    if (follows) runs.at(-1)!.push(point);
    else runs.push([point]);
  }
  const id = (point: PointName) => point.slice(0, point.indexOf('-'));
  return runs
    .map(run => (run.length > 1 ? `${id(run[0]!)} to ${id(run.at(-1)!)}` : id(run[0]!)))
    .join(', ');
}

function wordsOf(name: FaultName): string {
  const fault: Fault = FAULT_FACTS[name];
  if (fault.kind === 'kill') return `SIGKILL to ${targetWords(fault.target)}; started again later`;
  if (fault.kind === 'flap') return 'the replication link is cut three times, each time shortly';
  if (fault.kind === 'cut') return CUT_WORDS[name] ?? '';
  const lengths = { short: 'shorter than a detection time', long: 'for 3.3 detection times' };
  const length = fault.length === 'forever' ? 'never to be heard of again' : lengths[fault.length];
  return `SIGSTOP to ${targetWords(fault.target)}, ${length}`;
}

const CUT_WORDS: Partial<Record<FaultName, string>> = {
  'cut-pb': 'the replication cable is pulled',
  'cut-p-to-b': 'the replication cable lets nothing through to the backup',
  'cut-b-to-p': 'the replication cable lets nothing through to the primary',
  'cut-pw': "the primary's LAN cable is pulled: no witness, and no outside",
  'cut-bw': "the backup's LAN cable is pulled: no witness, and no outside",
  'cut-primary': 'both cables of the primary are pulled',
  'cut-backup': 'both cables of the backup are pulled',
};

function targetWords(target: string): string {
  if (target === 'witness') return 'the witness';
  const [role, what] = target.split('-');
  const words: Record<string, string> = {
    host: 'all processes',
    qemu: "the guest's QEMU",
    standby: 'the QEMU',
  };
  return `${words[what!] ?? `the ${what}`} of the ${role}`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |\n`;
  return line(head) + line(head.map(() => '---')) + rows.map(line).join('');
}
