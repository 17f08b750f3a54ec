/** Reads manual pages in mdoc(7). Pure. */

/** The pages that a page refers to, as `name.section`. */
export function references(text: string): string[] {
  const found = [...text.matchAll(/^\.(?:It )?Xr ([\w.-]+) (\d)/gm)];
  return found.map(([, name, section]) => `${name}.${section}`);
}

/** The titles of its sections. */
export function sectionTitles(text: string): string[] {
  return [...text.matchAll(/^\.Sh (.+)$/gm)].map(match => match[1]!);
}
