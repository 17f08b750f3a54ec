/** What a Grafana dashboard asks of Prometheus. Pure. */

/** The members of Grafana's format that are read; a row has panels of its own. */
export interface Panel {
  id: number;
  type: string;
  title: string;
  description?: string;
  gridPos: { x: number; y: number; w: number; h: number };
  datasource?: { uid: string };
  targets?: { expr: string; refId: string }[];
  panels?: Panel[];
}

export interface Dashboard {
  uid: string;
  title: string;
  templating: { list: { name: string; type: string; query?: string }[] };
  panels: Panel[];
}

/** All panels, those of collapsed rows included. */
export function panelsOf({ panels }: Pick<Dashboard, 'panels'>): Panel[] {
  return panels.flatMap(panel => [panel, ...panelsOf({ panels: panel.panels ?? [] })]);
}

/** Every expression, with where it stands. */
export function expressionsOf(dashboard: Dashboard): { where: string; expr: string }[] {
  const variables = dashboard.templating.list
    .filter(({ type }) => type === 'query')
    .map(({ name, query = '' }) => ({ where: `variable ${name}`, expr: query }));
  const targets = panelsOf(dashboard).flatMap(({ title, targets: own = [] }) =>
    own.map(({ expr }) => ({ where: `panel "${title}"`, expr })),
  );
  return [...variables, ...targets];
}
