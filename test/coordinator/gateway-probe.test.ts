/** The real probe, in a namespace and on loopback. */
import test from 'ava';
import { GATEWAY_ADDRESS } from '../../lab/addresses.ts';
import { Lab } from '../../lab/lab.ts';

const root = process.getuid?.() === 0 ? test : test.skip;
const PROBE = new URL('../../coordinator/gateway-probe.js', import.meta.url);
const CLOCK = new URL('../../common/clock.js', import.meta.url);

/** Prints what the first change says, or the code of the error. */
function script(addresses: readonly string[]): string[] {
  const text = `
    import { GatewayProbe } from ${JSON.stringify(PROBE)};
    import { monotonicClock } from ${JSON.stringify(CLOCK)};
    const log = { error: console.error };
    GatewayProbe.open(${JSON.stringify(addresses)}, monotonicClock, log).then(
      probe => {
        setTimeout(() => {}, 30_000).unref();
        const alive = setInterval(() => {}, 1_000);
        probe.once('change', reachable => {
          console.log(reachable);
          probe.close();
          clearInterval(alive);
        });
      },
      error => console.log(error.code),
    );`;
  return ['--input-type=module', '-e', text];
}

root(
  'a gateway that is there answers, one that is not does not (needs root, namespaces)',
  async t => {
    const lab = await Lab.create({ hosts: ['a'] });
    t.teardown(() => lab.destroy());
    const host = lab.host('a');
    const probe = async (...addresses: string[]) =>
      (await host.run(process.execPath, script(addresses))).trim();
    t.is(await probe(GATEWAY_ADDRESS), 'true');
    t.is(await probe('10.77.0.50'), 'false');
    t.is(await probe('10.77.0.50', GATEWAY_ADDRESS), 'true', 'any one is enough');
    t.is(await probe('198.51.100.1'), 'false', 'no route');
    await lab.cut('a', 'lan');
    t.is(await probe(GATEWAY_ADDRESS), 'false');
  },
);

root('over IPv6 as well, and without the capability it says so (needs root)', async t => {
  const lab = await Lab.create({ hosts: ['a'] });
  t.teardown(() => lab.destroy());
  const { lan } = lab;
  const enable = 'echo 0 > /proc/sys/net/ipv6/conf/lo/disable_ipv6';
  await lan.run('sh', ['-c', enable]);
  t.is((await lan.run(process.execPath, script(['::1']))).trim(), 'true');
  const bare = ['--bounding-set=-net_raw', process.execPath, ...script(['127.0.0.1'])];
  t.is((await lan.run('setpriv', bare)).trim(), 'CURLING_NOT_ROOT');
});
