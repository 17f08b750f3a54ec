/** What a run of the fault matrix says: a line per cell, and tables of points by faults. */
import type { CellName, CellResult } from './cell.ts';
import { POINTS, type PointName } from './points.ts';

/** What is kept of a run. */
export interface Results {
  /** ISO 8601. */
  at: string;
  detectionMs: number;
  cells: CellResult[];
}

/** Gaps, of the cells in which the guest was heard again. */
export interface GapSummary {
  count: number;
  medianMs: number;
  maxMs: number;
}

export function lineOf(result: CellResult, index: number, count: number): string {
  const mark = result.ok ? 'ok    ' : 'FAILED';
  const number = String(index + 1).padStart(String(count).length);
  const where = `${result.point.padEnd(20)} ${result.fault.padEnd(34)}`;
  const gap = result.gapMs === null ? '' : `, gap ${result.gapMs} ms`;
  const seconds = (result.durationMs / 1000).toFixed(1);
  const said = `${result.outcome ?? 'no end'}${gap}, ${seconds} s`;
  return [
    `${mark} ${number}/${count} ${where} ${said}`,
    ...result.notes.map(note => `    ${note}`),
  ].join('\n');
}

/** A table for each letter: a row per fault, a column per point. Cells that `textOf` has nothing for are dots. */
export function tablesOf(
  cells: readonly CellName[],
  textOf: (point: PointName, fault: CellName['fault']) => string | undefined,
): string[][][] {
  const faults = [...new Set(cells.map(({ fault }) => fault))];
  return ['E', 'F', 'R'].flatMap(letter => {
    const present = new Set(cells.map(({ point }) => point));
    const points = POINTS.filter(point => point.startsWith(letter) && present.has(point));
    if (points.length === 0) return [];
    const head = ['', ...points.map(point => point.slice(0, point.indexOf('-')))];
    return [[head, ...faults.map(fault => [fault, ...points.map(p => textOf(p, fault) ?? '.')])]];
  });
}

/** A table with its columns aligned. */
export function plainTable(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map(row => row[column]!.length)));
  const line = (row: readonly string[]) =>
    row.map((text, column) =>
      column === 0 ? text.padEnd(widths[0]!) : text.padStart(widths[column]!),
    );
  return rows.map(row => `  ${line(row).join('  ')}\n`).join('');
}

export function gapsOf(cells: readonly CellResult[]): GapSummary {
  const gaps = cells.flatMap(({ gapMs }) => gapMs ?? []).sort((a, b) => a - b);
  return {
    count: gaps.length,
    medianMs: gaps[Math.floor(gaps.length / 2)] ?? 0,
    maxMs: gaps.at(-1) ?? 0,
  };
}

const MARKS = { primary: 'p', backup: 'b', stopped: 's' } as const;

/** The tables and totals at the end of a run. */
export function summaryText({ cells, detectionMs }: Results): string {
  const textOf = (point: PointName, fault: CellName['fault']) => {
    const result = cells.find(cell => cell.point === point && cell.fault === fault);
    if (!result) return undefined;
    const outcome = result.outcome ? MARKS[result.outcome] : '?';
    return `${result.ok ? '' : '!'}${outcome}${result.gapMs === null ? '' : ` ${result.gapMs}`}`;
  };
  const failed = cells.filter(({ ok }) => !ok);
  const total = (name: keyof CellResult['offences']) =>
    cells.reduce((sum, { offences }) => sum + offences[name], 0);
  const { medianMs, maxMs } = gapsOf(cells);
  const seconds = cells.reduce((sum, { durationMs }) => sum + durationMs, 0) / 1000;
  return [
    '',
    'Where the guest went on (p: primary, b: backup, s: stopped safely, !: not as expected), and its silence in ms',
    ...tablesOf(cells, textOf).map(plainTable),
    ...failed.map(cell => lineOf(cell, cells.indexOf(cell), cells.length)),
    `cells ${cells.length}, failed ${failed.length}, detection ${detectionMs} ms`,
    `repeated ${total('repeated')}, contradicted ${total('contradicted')}, uncommitted ${total('uncommitted')}, connections lost ${total('lost')}`,
    `longest silence ${maxMs} ms, median ${medianMs} ms; ${(seconds / Math.max(1, cells.length)).toFixed(1)} s per cell`,
    '',
  ].join('\n');
}
