/** The text of `curlingctl check`. Pure. */
import type { Paint } from '../color.ts';
import { type Finding, TIERS, type Tier, verdict } from './finding.ts';

const WORD: Record<Tier, string> = { must: 'FAIL', should: 'warn', could: 'note' };
const SUBJECT_COLUMNS = 20;
const INDENT = ' '.repeat(8);

/** All findings by their tiers, what is missing first in each, and the verdict. */
export function checkScreen(findings: readonly Finding[], paint: Paint): string {
  const groups = TIERS.map(tier => {
    const all = findings.filter(one => one.tier === tier);
    const lines = [...all.filter(({ ok }) => !ok), ...all.filter(({ ok }) => ok)];
    return [paint('bold', tier), ...lines.flatMap(one => findingLines(one, paint))];
  });
  const { text, status } = verdict(findings);
  const colour = status === 0 ? 'green' : status === 1 ? 'yellow' : 'red';
  const shown = groups.filter(lines => lines.length > 1).map(lines => lines.join('\n'));
  return `${[...shown, paint(colour, text)].join('\n\n')}\n`;
}

function findingLines({ tier, subject, ok, found, todo }: Finding, paint: Paint): string[] {
  const colour = ok ? 'green' : tier === 'must' ? 'red' : tier === 'should' ? 'yellow' : 'cyan';
  const word = paint(colour, (ok ? 'ok' : WORD[tier]).padEnd(4));
  const line = `  ${word}  ${subject.padEnd(SUBJECT_COLUMNS)} ${found}`;
  return todo === undefined ? [line] : [line, `${INDENT}→ ${todo}`];
}
