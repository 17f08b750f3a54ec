/** What `curlingctl check` has found, one line each, and what follows from all of them. Pure. */

/** `must`: nothing works without. `should`: something fails or is unsafe when it is needed. `could`: it would be better. */
export const TIERS = ['must', 'should', 'could'] as const;
export type Tier = (typeof TIERS)[number];

export interface Finding {
  tier: Tier;
  /** What was looked at, a word or two. */
  subject: string;
  ok: boolean;
  /** What was found. */
  found: string;
  /** What to do; only when it is not as it is to be. */
  todo?: string;
}

/** A finding whose `todo` counts only when it is not ok. */
export function finding(
  tier: Tier,
  subject: string,
  { ok, found, todo }: { ok: boolean; found: string; todo: string },
): Finding {
  return { tier, subject, ok, found, ...(ok ? {} : { todo }) };
}

/** What the exit statuses of the check say. */
export const CHECK_STATUSES = {
  0: 'all that must and should be is there: "Looks good."',
  1: 'something that should be is missing: "Looks good but …"',
  4: 'something that must be is missing: "Does not look good."',
} as const;

/** The last line and the exit status, in the manner of `criu check`. */
export function verdict(findings: readonly Finding[]): { text: string; status: 0 | 1 | 4 } {
  const missing = (tier: Tier) => findings.filter(one => one.tier === tier && !one.ok).length;
  const [must, should, could] = TIERS.map(missing) as [number, number, number];
  const text = must > 0 ? 'Does not look good.' : should > 0 ? 'Looks good but …' : 'Looks good.';
  const counts = [
    must > 0 ? `Missing: ${must} that must be` : '',
    should > 0 ? `${must > 0 ? '' : 'missing: '}${should} that should be` : '',
    could > 0 ? `${could} could be better` : '',
  ].filter(Boolean);
  const tail = counts.length > 0 ? ` ${counts.join(', ')}.` : '';
  return { text: `${text}${tail}`, status: must > 0 ? 4 : should > 0 ? 1 : 0 };
}
