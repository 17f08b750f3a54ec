/** The table of what moved between two runs. */
import Table from 'cli-table3';
import type { Comparison, Move } from '../harness/compare.ts';
import { valueText } from './format.ts';
import { type Paint, plain, wrap } from './text.ts';

const COLUMNS = 100;
const HEAD = ['', 'Cell', 'Metric', 'Before', 'Now', 'Change'];
const WIDTHS = [8, 31, 19, 13, 13, 9];
const COLOURS = { better: 'green', worse: 'red', moved: 'dim' } as const;
const ORDER = { worse: 0, better: 1, moved: 2 } as const;
const NAMES_MAX = 20;

/** Warnings, the moved cells with the worse ones first, cells that one run alone has, and a last line that sums up. */
export function comparisonText(comparison: Comparison, paint: Paint = plain): string {
  const { warnings, moves, compared, single, onlyOld, onlyNew } = comparison;
  const lines = ['', ...warnings.map(warning => `! ${warning}`)];
  if (moves.length > 0) lines.push(tableText(moves, paint));
  lines.push(...names('too few rounds to tell', single));
  lines.push(...names('only before', onlyOld), ...names('only now', onlyNew));
  const count = (word: Move['word']) => moves.filter(move => move.word === word).length;
  const counts = `${count('worse')} worse, ${count('better')} better, ${count('moved')} moved`;
  lines.push(`${counts}, ${compared - moves.length} as before within the noise`);
  return `${lines.flatMap(line => (line.startsWith('┌') ? [line] : wrap(line, COLUMNS))).join('\n')}\n`;
}

function tableText(moves: readonly Move[], paint: Paint): string {
  const table = new Table({
    head: HEAD,
    colWidths: WIDTHS,
    colAligns: ['left', 'left', 'left', 'right', 'right', 'right'],
    wordWrap: true,
    wrapOnWordBoundary: false,
    style: { head: [], border: [], compact: true },
  });
  const size = (move: Move) => Math.abs(move.change);
  const sorted = moves.toSorted((a, b) => ORDER[a.word] - ORDER[b.word] || size(b) - size(a));
  for (const move of sorted) {
    const unit = move.of === 'ratio' ? 'x' : move.metric.unit;
    table.push([
      paint(COLOURS[move.word], move.word),
      `${move.experiment}\n  ${move.variant}`,
      `${move.metric.title}\n  ${move.of === 'ratio' ? 'ratio to baseline' : 'value'}`,
      valueText(move.old, unit),
      valueText(move.new, unit),
      `${changeText(move.change)}\n±${percent(move.noise)}`,
    ]);
  }
  return table.toString();
}

/** `+12%`, `-3.4%`, `from 0`. */
export function changeText(change: number): string {
  if (!Number.isFinite(change)) return 'from 0';
  return `${change > 0 ? '+' : '-'}${percent(Math.abs(change))}`;
}

function percent(fraction: number): string {
  const value = fraction * 100;
  return `${value < 10 ? value.toFixed(1) : value.toFixed(0)}%`;
}

function names(what: string, list: readonly string[]): string[] {
  if (list.length === 0) return [];
  const shown = list.slice(0, NAMES_MAX).join('; ');
  const rest = list.length > NAMES_MAX ? `; and ${list.length - NAMES_MAX} more` : '';
  return [`${what} (${list.length}): ${shown}${rest}`];
}
