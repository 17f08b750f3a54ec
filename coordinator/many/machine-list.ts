/** Which machines are begun and ended when the list is read again. Pure. */

export interface ListChange {
  /** In the list, and not there yet. */
  begin: string[];
  /** There, and not in the list any more. */
  end: string[];
  /** In both. */
  keep: string[];
}

/** All are sorted by name; one process serves MACHINES_MAX at most, those before in the alphabet. */
export function changeOf(known: Iterable<string>, listed: Iterable<string>): ListChange {
  const [old, now] = [new Set(known), new Set(listed)];
  return {
    begin: [...now].filter(name => !old.has(name)).sort(),
    end: [...old].filter(name => !now.has(name)).sort(),
    keep: [...now].filter(name => old.has(name)).sort(),
  };
}
