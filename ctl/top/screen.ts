/** What `curlingctl top` shows. Pure: what is known in, lines out. */
import { bytesText } from '../../common/quantities.ts';
import { headline } from '../../coordinator/headline.ts';
import { type Paint, plain } from '../color.ts';
import type { Answer } from '../sockets.ts';
import { colourOf, ranked, statusLines } from '../view.ts';
import { type Cell, lineOf } from './cells.ts';
import { sparkline } from './sparkline.ts';

/** The last seconds of a machine, oldest first; null where nothing was measured. */
export interface Seconds {
  delayP50: (number | null)[];
  pauseP50: (number | null)[];
  epochs: (number | null)[];
}

export interface TopMachine extends Answer {
  /** Empty of one that does not answer. */
  seconds: Seconds;
}

export interface TopState {
  host: string;
  machines: readonly TopMachine[];
  /** The control socket of the machine that is looked at closely; undefined: the first. */
  selected: string | undefined;
  /** Wall clock, Unix milliseconds. */
  nowMs: number;
}

export interface TerminalSize {
  columns: number;
  rows: number;
}

/** Of the columns behind the machine and its state. */
const FIGURES = [12, 10, 12, 10] as const;
const HEAD = ` ${'MACHINE'.padEnd(12)} ${'STATE'.padEnd(13)} ${'PEER'.padEnd(11)}${figures(['ADDED DELAY', 'PAUSE', 'HELD', 'EPOCHS/s'])}  `;
const SPARK_TITLE = 'ADDED DELAY, LAST MINUTE';
const SPARK_MAX = 60;
/** The list may take this share of the screen; the rest is for the selected machine. */
const LIST_SHARE = 0.5;
const FRAME_ROWS = 4;

/** The machines in the order in which they are shown, worst first. */
export function topOrder(machines: readonly TopMachine[]): TopMachine[] {
  return ranked(machines) as TopMachine[];
}

/** The whole screen, at most as many lines as there are rows. */
export function topScreen(state: TopState, size: TerminalSize, paint: Paint): string[] {
  const { columns, rows } = size;
  const machines = topOrder(state.machines);
  const at = Math.max(
    0,
    machines.findIndex(({ socket }) => socket === state.selected),
  );
  const listRows = Math.max(1, Math.floor((rows - FRAME_ROWS) * LIST_SHARE));
  const first = Math.max(0, Math.min(at - Math.floor(listRows / 2), machines.length - listRows));
  const shown = machines.slice(first, first + listRows);
  const cells: Cell[][] = [
    titleCells(state, machines.length),
    [['inverse', (HEAD + SPARK_TITLE).padEnd(columns)]],
    ...shown.map(machine => machineCells(machine, machine === machines[at], columns)),
  ];
  if (machines.length > shown.length)
    cells.push([['dim', `${first + 1} to ${first + shown.length} of ${machines.length}`]]);
  cells.push([''], ...detailCells(machines[at], state.nowMs));
  const lines = cells.slice(0, Math.max(0, rows - 1));
  while (lines.length < rows - 1) lines.push(['']);
  if (rows > 0) lines.push([['dim', 'q quit   ↑ ↓ choose a machine']]);
  return lines.map(line => lineOf(line, columns, paint));
}

function titleCells({ host, nowMs }: TopState, count: number): Cell[] {
  const time = new Date(nowMs).toISOString().slice(11, 19);
  const machines = count === 1 ? '1 machine' : `${count} machines`;
  return [['bold', `curling on ${host}`], `   ${machines}   ${time} UTC`];
}

function machineCells(machine: TopMachine, selected: boolean, columns: number): Cell[] {
  const { status, error, socket, seconds } = machine;
  const mark = selected ? '>' : ' ';
  if (!status) return [mark, ['red', `${socket}: no answer: ${error?.message ?? 'unknown'}`]];
  const head = headline(status);
  const peer = status.peer ? `${status.role === 'backup' ? '←' : '→'} ${status.peer}` : '–';
  const row = figures([
    msText(seconds.delayP50.at(-1)),
    msText(seconds.pauseP50.at(-1)),
    status.role === 'primary' ? bytesText(status.proxy.heldBytes) : '–',
    String(seconds.epochs.at(-1) ?? '–'),
  ]);
  const width = Math.min(SPARK_MAX, columns - HEAD.length - 1);
  const spark = width > 0 ? sparkline(seconds.delayP50, width) : '';
  return [
    mark,
    [selected ? 'bold' : 'cyan', status.vm.padEnd(12)],
    ' ',
    [colourOf(head), head.word.padEnd(13)],
    ' ',
    `${peer.padEnd(11)}${row}  `,
    spark,
  ];
}

function figures(texts: readonly string[]): string {
  return texts.map((text, at) => text.padStart(FIGURES[at]!)).join('');
}

function msText(ms: number | null | undefined): string {
  return ms === null || ms === undefined ? '–' : `${ms.toFixed(1)} ms`;
}

/** All that `status` says of a machine. */
function detailCells(machine: TopMachine | undefined, nowMs: number): Cell[][] {
  if (!machine) return [['no coordinator runs here']];
  const { status, error } = machine;
  if (!status) return [[['red', error?.message ?? 'no answer']]];
  const [head = '', ...rest] = statusLines(status, { paint: plain, nowMs });
  return [[['bold', head]], ...rest.map((text): Cell[] => [text])];
}
