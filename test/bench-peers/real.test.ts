import test from 'ava';
import { ColoPair } from '../../bench/peers/colo-pair.ts';
import { ColoPeer } from '../../bench/peers/colo-peer.ts';
import { ask, startProbe } from '../../bench/peers/peer.ts';
import { PlainPeer } from '../../bench/peers/plain-peer.ts';
import { NotRunnable } from '../../bench/scenario.ts';
import { SERVICE_PORTS } from '../../lab/client/control.ts';
import { buildImage } from '../../lab/image.ts';
import { Lab } from '../../lab/lab.ts';
import { until } from '../coordinator/bench.ts';

const UNFIT = process.getuid?.() === 0 ? undefined : 'needs root, QEMU and namespaces';
const real = UNFIT ? test.skip : test.serial;

real('(needs root, qemu) COLO comes up, answers, and takes over from a dead primary', async t => {
  t.timeout(120_000);
  const peer = await ColoPeer.start(await buildImage());
  t.teardown(() => peer.close());
  const probe = await startProbe(peer.lab);
  await peer.configure('colo-100');
  for (const port of [SERVICE_PORTS.echo, SERVICE_PORTS.random]) {
    const answer = await ask(probe, `trips ${port} 50 500`);
    t.true((answer.samplesMs as number[]).length >= 10);
    t.is(answer.unanswered, 0);
  }
  // Random replies force checkpoints.
  t.truthy(await peer.pauses());
  await ask(probe, `watch ${SERVICE_PORTS.echo} 50`);
  peer.lab.kill('a');
  await t.throwsAsync(peer.configure('colo-100'));
  await peer.takeOver();
  t.is(((await ask(probe, 'watched')) as { lost: unknown }).lost, null);
  const after = await ask(probe, `trips ${SERVICE_PORTS.echo} 50 300`);
  t.is(after.unanswered, 0);
});

real(
  '(needs root, qemu) filter-buffer holds the output of the guest, until it is gone',
  async t => {
    t.timeout(60_000);
    const peer = await PlainPeer.start(await buildImage());
    t.teardown(() => peer.close());
    const probe = await startProbe(peer.lab);
    const longest = async (variant: string) => {
      await peer.configure(variant);
      const answer = await ask(probe, `trips ${SERVICE_PORTS.echo} 20 1000`);
      return Math.max(...(answer.samplesMs as number[]));
    };
    // A fixed interval of 700 ms: some message waits for most of it, whatever the machine does.
    t.true((await longest('buffer-700')) > 350);
    await peer.configure('unprotected');
    t.is((await ask(probe, `trips ${SERVICE_PORTS.echo} 20 200`)).unanswered, 0);
    t.is(await peer.takeOver(), undefined);
  },
);

real('(needs root, qemu) a pair that QEMU refuses says so in its words', async t => {
  t.timeout(60_000);
  const image = await buildImage();
  const lab = await Lab.create();
  t.teardown(() => lab.destroy());
  // Somebody else has the port of the primary's comparison.
  const host = lab.host('a');
  const taken = 'require("node:net").createServer().listen(9004, "0.0.0.0")';
  host.spawn(process.execPath, ['-e', taken]);
  await until('the port is taken', async () =>
    (await host.run('ss', ['--listening', '--numeric', '--tcp'])).includes(':9004 '),
  );
  const error = await t.throwsAsync(ColoPair.start(lab, image), { instanceOf: NotRunnable });
  t.regex(error!.message, /Address already in use|Failed to/);
});
