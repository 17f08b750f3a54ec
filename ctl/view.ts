/** The texts of curlingctl. Pure: documents in, lines out. */
import type { CoordinatorStatus, Durations } from '../coordinator/status.ts';
import type { Answer } from './sockets.ts';

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** A number of bytes with a binary unit, e.g. `6.2 MiB`. */
export function bytesText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? value.toFixed(0) : value.toFixed(1)} ${UNITS[unit]}`;
}

/** `p50 2.1 ms  p99 4.0 ms`, or a dash when nothing was measured. */
export function durationsText(durations: Durations): string {
  if (durations.count === 0) return '–';
  return `p50 ${durations.p50.toFixed(1)} ms  p99 ${durations.p99.toFixed(1)} ms`;
}

/** One word for a reader, worst first in sorting. */
export function headline(status: CoordinatorStatus): { word: string; rank: number } {
  if (status.protected) return { word: 'PROTECTED', rank: 3 };
  switch (status.state) {
    case 'SOLO':
      if (status.running && status.held) return { word: 'HELD', rank: 0 };
      return status.running ? { word: 'UNPROTECTED', rank: 1 } : { word: 'NOT RUNNING', rank: 0 };
    case 'HALT':
      return { word: 'FENCED', rank: 0 };
    case 'PRES':
    case 'FROZ':
      return { word: 'UNDECIDED', rank: 0 };
    case 'BACK':
      return { word: 'STANDING BY', rank: 3 };
    case 'JOIN':
      return { word: 'EMPTY', rank: 2 };
    default:
      return { word: 'UNPROTECTED', rank: 1 };
  }
}

/** The status of one machine, a headline and up to six lines, besides warnings. */
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
  for (const warning of status.warnings) lines.push(`  warning      ${warning}`);
  return lines;
}

function checkpointLine(status: CoordinatorStatus): string {
  const checkpoint = status.checkpoint;
  const size = `${bytesText(checkpoint.bytesP50)} each`;
  return `  checkpoint   ${checkpoint.mode}, pause ${durationsText(checkpoint.pauseMs)}, commit ${durationsText(checkpoint.commitMs)}, ${size}`;
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
