/** The command line of `npm run test:faults`, and which cells it means. */
import { CurlingError } from '../../common/errors.ts';
import { type CommandLine, type CommandSpec, wholeNumber } from '../../common/options.ts';
import { FAULT_FACTS, FAULTS, type Fault, type FaultName } from '../sim/faults.ts';
import type { CellName } from './cell.ts';
import { POINTS, type PointName } from './points.ts';

export const FAULT_RUN: CommandSpec = {
  program: 'npm run test:faults --',
  usage: '[options]',
  summary:
    'Does every fault to real processes at every point of the protocol, and asks the observer.',
  options: {
    points: { type: 'string', value: 'E3,F2,…', help: 'only these points' },
    faults: { type: 'string', value: 'NAME,…', help: 'only these faults; all: the rare ones, too' },
    every: { type: 'string', value: 'N', help: 'only one cell of N', default: '1' },
    seed: { type: 'string', value: 'S', help: 'which one of N', default: '0' },
    detection: {
      type: 'string',
      value: 'MS',
      help: 'silence that means a lost peer; more on a busy machine',
      default: '600',
    },
    out: { type: 'string', value: 'DIR', help: 'results and logs', default: 'build/faults' },
    results: { type: 'string', value: 'FILE', help: 'run nothing: take these results instead' },
    list: { type: 'boolean', help: 'list the cells and what is expected' },
    docs: {
      type: 'boolean',
      help: 'write docs/faults.md, with these gaps; with --list, only its table',
    },
  },
  notes: ['Statuses: 0 all cells as expected; 1 not; 2 the command line is wrong; 4 no root.'],
};

export interface Settings {
  cells: CellName[];
  detectionMs: number;
  out: string;
  results: string | undefined;
  list: boolean;
  docs: boolean;
}

/** Those that the others do not make superfluous: a short pause is in every stop at a point. */
export const USUAL_FAULTS: readonly FaultName[] = FAULTS.filter(name => {
  const fault: Fault = FAULT_FACTS[name];
  if (fault.kind !== 'pause') return fault.kind !== 'flap';
  return fault.length === 'long' && !/-(qemu|proxy|standby)$/.test(fault.target);
});

/** @throws CurlingError CURLING_USAGE */
export function settingsOf({ values, positionals, rest }: CommandLine): Settings {
  const [word] = [...positionals, ...rest];
  if (word !== undefined) throw new CurlingError('CURLING_USAGE', `expected options, got ${word}`);
  const every = wholeNumber('every', values.every, 1, 10_000);
  const seed = wholeNumber('seed', values.seed, 0, 2 ** 31);
  const all = cellsOf(pointsOf(values.points), faultsOf(values.faults));
  return {
    cells: oneOf(all, every, seed),
    detectionMs: wholeNumber('detection', values.detection, 100, 10_000),
    out: String(values.out),
    results: values.results === undefined ? undefined : String(values.results),
    list: values.list === true,
    docs: values.docs === true,
  };
}

/** Each of these points with each of these faults, in their order. */
export function cellsOf(points: readonly PointName[], faults: readonly FaultName[]): CellName[] {
  return points.flatMap(point => faults.map(fault => ({ point, fault })));
}

/** One cell of `every`, another one for each seed. */
export function oneOf<T>(cells: readonly T[], every: number, seed: number): T[] {
  return cells.filter((_, index) => index % every === seed % every);
}

function pointsOf(text: unknown): readonly PointName[] {
  if (typeof text !== 'string') return POINTS;
  return text.split(',').map(word => {
    const point = POINTS.find(name => name === word || name.startsWith(`${word}-`));
    if (point) return point;
    throw new CurlingError('CURLING_USAGE', `--points: ${word} is none of ${POINTS.join(', ')}`);
  });
}

function faultsOf(text: unknown): readonly FaultName[] {
  if (typeof text !== 'string') return USUAL_FAULTS;
  if (text === 'all') return FAULTS;
  return text.split(',').map(word => {
    const fault = FAULTS.find(name => name === word);
    if (fault) return fault;
    throw new CurlingError('CURLING_USAGE', `--faults: ${word} is none of ${FAULTS.join(', ')}`);
  });
}
