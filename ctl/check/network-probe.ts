/** Looks at a tap for network.ts. Changes nothing. */
import { run } from '../../common/run.ts';
import { readIngress } from '../../proxy/drop-filter.ts';
import { parseRows, readLink } from '../../proxy/links.ts';
import type { TapFacts } from './network.ts';

/** @param bridge The bridge that its proxy is told, if any. @throws CurlingError when `ip` or `tc` fails. */
export async function probeTap(name: string, bridge: string | undefined): Promise<TapFacts> {
  const tap = await readLink(name);
  const master = tap?.master === undefined ? undefined : await readLink(tap.master);
  return {
    name,
    tap,
    master,
    bridge,
    ingressTaken: tap ? (await readIngress(name)).taken : false,
    defaultRoutes: await defaultRoutes(),
    addresses: tap ? await addressesOf(name) : [],
  };
}

async function defaultRoutes(): Promise<string[]> {
  const texts = await Promise.all(
    ['-4', '-6'].map(family => run('ip', [family, '-json', 'route', 'show', 'default'])),
  );
  return texts.flatMap(text => parseRows(text).map(row => String(row.dev)));
}

/** Link-local ones are put on any interface that is up. */
async function addressesOf(name: string): Promise<string[]> {
  const rows = parseRows(await run('ip', ['-json', 'addr', 'show', 'dev', name]));
  const infos = rows.flatMap(row => (Array.isArray(row.addr_info) ? row.addr_info : []));
  return infos.filter(info => info.scope === 'global').map(info => String(info.local));
}
