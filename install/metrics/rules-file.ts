/**
 * Reads the alerts of install/prometheus/curling.rules.yml. Not YAML at large: a list of alerts with members of one line, or of
 * several that are folded (`>-`), as that file is written. Whether it is right YAML says promtool. Pure.
 */

export interface Alert {
  name: string;
  expr: string;
  severity: string;
  summary: string;
  description: string;
  runbook: string;
}

const MEMBERS = { expr: '', severity: '', summary: '', description: '', runbook: '' };

export function parseRules(text: string): Alert[] {
  return text
    .split(/^ *- alert: /m)
    .slice(1)
    .map(block => {
      const [name = '', ...lines] = block.split('\n');
      const alert = { name, ...MEMBERS };
      for (const member of Object.keys(MEMBERS) as (keyof typeof MEMBERS)[])
        alert[member] = memberOf(lines, member);
      return alert;
    });
}

/** The text of a member; empty when it is missing. */
function memberOf(lines: readonly string[], member: string): string {
  const at = lines.findIndex(line => line.trim().startsWith(`${member}: `));
  if (at < 0) return '';
  const own = lines[at]!.trim().slice(member.length + 2);
  if (own !== '>-') return own;
  const indent = lines[at]!.search(/\S/);
  const rest = lines.slice(at + 1);
  const end = rest.findIndex(line => line.search(/\S/) <= indent);
  const folded = end < 0 ? rest : rest.slice(0, end);
  return folded.map(line => line.trim()).join(' ');
}
