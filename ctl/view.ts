/** The texts of curlingctl. Pure: documents in, lines out. */
import { bytesText } from '../common/quantities.ts';
import { type Headline, headline } from '../coordinator/headline.ts';
import type { CoordinatorStatus, DrillRecord, Durations } from '../coordinator/status.ts';
import type { Colour, Paint } from './color.ts';
import type { Answer } from './sockets.ts';

/** `p50 2.1 ms  p99 4.0 ms`, or a dash when nothing was measured. */
export function durationsText(durations: Durations): string {
  if (durations.count === 0) return '–';
  return `p50 ${durations.p50.toFixed(1)} ms  p99 ${durations.p99.toFixed(1)} ms`;
}

/** How the screen is made. */
export interface ViewOptions {
  paint: Paint;
  /** Wall clock, Unix milliseconds. */
  nowMs: number;
  /** All lines of every machine; else machines that are well have one line when there are more than four. */
  verbose: boolean;
}

/** So many machines have all their lines. */
const WHOLE_MACHINES_MAX = 4;

/** The colour of a word: what needs somebody now, soon, or not. */
export function colourOf({ rank }: Headline): Colour {
  return (['red', 'yellow', 'cyan', 'green'] as const)[rank];
}

/** A machine in one line. */
function headLine(status: CoordinatorStatus, paint: Paint): string {
  const arrow = status.role === 'backup' ? '←' : '→';
  const where = `${status.role} on ${status.host}${status.peer ? ` ${arrow} ${status.peer}` : ''}`;
  const lag = status.epoch.taken - status.epoch.committed;
  const epoch =
    status.role === 'backup'
      ? `epoch ${status.epoch.committed}`
      : `epoch ${status.epoch.taken}   lag ${lag}`;
  const head = headline(status);
  const word = paint(colourOf(head), head.word.padEnd(12));
  return `${paint('bold', status.vm.padEnd(12))} ${where.padEnd(28)} ${word} ${epoch}`;
}

/** Why a machine is as it is. */
function reasonLines(status: CoordinatorStatus): string[] {
  const lines = [
    `  state        ${status.state} generation ${status.generation}: ${status.reason}`,
  ];
  if (status.unprotected) {
    const { since, why } = status.unprotected;
    lines.push(`  unprotected  since ${since}: ${why}`);
  }
  return lines;
}

/** The status of one machine, a headline and up to eight lines, besides warnings. */
export function statusLines(
  status: CoordinatorStatus,
  { paint, nowMs }: Pick<ViewOptions, 'paint' | 'nowMs'>,
): string[] {
  const lines = [headLine(status, paint), ...reasonLines(status)];
  if (status.role === 'primary') lines.push(...outputLines(status));
  if (status.checkpoint.pauseMs.count > 0) lines.push(checkpointLine(status));
  const rtt = status.peerRttMs === null ? '–' : `${status.peerRttMs.toFixed(1)} ms`;
  const witness = status.witness.reachable ? 'reachable' : paint('yellow', 'NOT REACHABLE');
  const commit = status.lastCommitAt ? `   last commit ${agoText(status.lastCommitAt, nowMs)}` : '';
  lines.push(
    `  since        ${status.since}${commit}   failovers ${status.failovers.length}   rtt ${rtt}   witness ${witness}`,
  );
  if (status.drill) lines.push(drillLine(status.drill));
  for (const warning of status.warnings)
    lines.push(`  ${paint('yellow', 'warning')}      ${warning}`);
  return lines;
}

function outputLines({ proxy, outputDelayMs }: CoordinatorStatus): string[] {
  const taps = proxy.taps.length > 0 ? `${proxy.taps.join(', ')} on ${proxy.bridge}: ` : '';
  const held = `${proxy.heldFrames} frames / ${bytesText(proxy.heldBytes)} held`;
  const lost = proxy.framesLost > 0 ? `   ${proxy.framesLost} frames lost` : '';
  const lines = [
    `  output       ${taps}${proxy.state}, ${held} (limit ${bytesText(proxy.bytesMax)})${lost}`,
  ];
  if (outputDelayMs.count > 0) lines.push(`  added delay  ${durationsText(outputDelayMs)}`);
  return lines;
}

/** `120 ms ago`, `4 s ago`; a clock that was set back says now. */
export function agoText(iso: string, nowMs: number): string {
  const ms = Math.max(0, nowMs - Date.parse(iso));
  if (ms < 1_000) return `${ms.toFixed(0)} ms ago`;
  if (ms < 120_000) return `${(ms / 1_000).toFixed(0)} s ago`;
  if (ms < 7_200_000) return `${(ms / 60_000).toFixed(0)} min ago`;
  return `${(ms / 3_600_000).toFixed(0)} h ago`;
}

function checkpointLine(status: CoordinatorStatus): string {
  const checkpoint = status.checkpoint;
  const { effort } = checkpoint.packing;
  const packed = effort === null || effort === 'plain' ? '' : `, sent with effort ${effort}`;
  const size = `${bytesText(checkpoint.bytesP50)} each${packed}`;
  return `  checkpoint   ${checkpoint.mode}, pause ${durationsText(checkpoint.pauseMs)}, commit ${durationsText(checkpoint.commitMs)}, ${size}`;
}

function drillLine({ at, ok, code, reason }: DrillRecord): string {
  const word = ok ? 'went well' : code === 'CURLING_DRILL' ? 'gave no answer' : 'FAILED';
  return `  drill        ${at} ${word}: ${reason.replaceAll(/\s+/g, ' ')}`;
}

/** Answers, worst first: those that are none before all. */
export function ranked(answers: readonly Answer[]): Answer[] {
  const rank = ({ status }: Answer) => (status ? headline(status).rank : -1);
  return [...answers].sort((a, b) => rank(a) - rank(b));
}

/** The screen of `curlingctl status`, worst first. */
export function statusScreen(answers: readonly Answer[], options: ViewOptions): string {
  const whole = options.verbose || answers.length <= WHOLE_MACHINES_MAX;
  const blocks = ranked(answers).map(({ socket, status, error }) => {
    if (!status) {
      const text = `${socket}: no answer: ${error?.message ?? 'unknown'}`;
      return [options.paint('red', text)];
    }
    if (whole) return statusLines(status, options);
    const well = headline(status).rank === 3;
    return [headLine(status, options.paint), ...(well ? [] : reasonLines(status))];
  });
  return `${blocks.map(block => block.join('\n')).join(whole ? '\n\n' : '\n')}\n`;
}

/** Exit status of `status`: 0 all protected or standing by, 1 one is not, 3 none runs, 4 one does not answer. */
export function statusExit(answers: readonly Answer[]): number {
  if (answers.length === 0) return 3;
  if (answers.some(answer => !answer.status)) return 4;
  return answers.every(answer => answer.status && headline(answer.status).rank === 3) ? 0 : 1;
}
