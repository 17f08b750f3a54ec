/** The texts of curlingctl. Pure: documents in, lines out. */
import { bytesText } from '../common/quantities.ts';
import { headline } from '../coordinator/headline.ts';
import type { CoordinatorStatus, DrillRecord, Durations } from '../coordinator/status.ts';
import type { Answer } from './sockets.ts';

/** `p50 2.1 ms  p99 4.0 ms`, or a dash when nothing was measured. */
export function durationsText(durations: Durations): string {
  if (durations.count === 0) return '–';
  return `p50 ${durations.p50.toFixed(1)} ms  p99 ${durations.p99.toFixed(1)} ms`;
}

/** The status of one machine, a headline and up to seven lines, besides warnings. */
export function statusLines(status: CoordinatorStatus): string[] {
  const arrow = status.role === 'backup' ? '←' : '→';
  const where = `${status.role} on ${status.host}${status.peer ? ` ${arrow} ${status.peer}` : ''}`;
  const lag = status.epoch.taken - status.epoch.committed;
  const epoch =
    status.role === 'backup'
      ? `epoch ${status.epoch.committed}`
      : `epoch ${status.epoch.taken}   lag ${lag}`;
  const lines = [
    `${status.vm.padEnd(12)} ${where.padEnd(28)} ${headline(status).word.padEnd(12)} ${epoch}`,
  ];
  lines.push(`  state        ${status.state} generation ${status.generation}: ${status.reason}`);
  if (status.unprotected) {
    const { since, why } = status.unprotected;
    lines.push(`  unprotected  since ${since}: ${why}`);
  }
  if (status.role === 'primary') {
    const held = `${status.proxy.heldFrames} frames / ${bytesText(status.proxy.heldBytes)}`;
    lines.push(
      `  output       ${status.proxy.state}, ${held} held (limit ${bytesText(status.proxy.bytesMax)})`,
    );
    if (status.checkpoint.pauseMs.count > 0) lines.push(checkpointLine(status));
  }
  const rtt = status.peerRttMs === null ? '–' : `${status.peerRttMs.toFixed(1)} ms`;
  const witness = status.witness.reachable ? 'reachable' : 'NOT REACHABLE';
  lines.push(
    `  since        ${status.since}   failovers ${status.failovers.length}   rtt ${rtt}   witness ${witness}`,
  );
  if (status.drill) lines.push(drillLine(status.drill));
  for (const warning of status.warnings) lines.push(`  warning      ${warning}`);
  return lines;
}

function checkpointLine(status: CoordinatorStatus): string {
  const checkpoint = status.checkpoint;
  const size = `${bytesText(checkpoint.bytesP50)} each`;
  return `  checkpoint   ${checkpoint.mode}, pause ${durationsText(checkpoint.pauseMs)}, commit ${durationsText(checkpoint.commitMs)}, ${size}`;
}

function drillLine({ at, ok, code, reason }: DrillRecord): string {
  const word = ok ? 'went well' : code === 'CURLING_DRILL' ? 'gave no answer' : 'FAILED';
  return `  drill        ${at} ${word}: ${reason.replaceAll(/\s+/g, ' ')}`;
}

/** The screen of `curlingctl status`, worst first. */
export function statusScreen(answers: Answer[]): string {
  const ranked = answers.map(answer => ({
    answer,
    rank: answer.status ? headline(answer.status).rank : -1,
  }));
  ranked.sort((a, b) => a.rank - b.rank);
  const blocks = ranked.map(({ answer }) =>
    answer.status
      ? statusLines(answer.status).join('\n')
      : `${answer.socket}: no answer: ${answer.error?.message ?? 'unknown'}`,
  );
  return `${blocks.join('\n\n')}\n`;
}

/** Exit status of `status`: 0 all protected or standing by, 1 one is not, 3 none runs, 4 one does not answer. */
export function statusExit(answers: Answer[]): number {
  if (answers.length === 0) return 3;
  if (answers.some(answer => !answer.status)) return 4;
  return answers.every(answer => answer.status && headline(answer.status).rank === 3) ? 0 : 1;
}
