/** What a coordinator of a deployment exports, while a real guest is protected. */
import type { ExecutionContext } from 'ava';
import { type ExposedFamily, parseExposition } from '../../install/metrics/exposition.ts';
import type { Deployment } from '../../lab/deployment.ts';

const READ = "fetch('http://127.0.0.1:7710/metrics').then(r => r.text()).then(t => console.log(t))";
const DURATIONS = [
  ...['curling_pause_duration_seconds', 'curling_commit_duration_seconds'],
  ...['curling_output_delay_seconds', 'curling_epoch_duration_seconds'],
];

export async function metricsOf(deployment: Deployment, host: string): Promise<ExposedFamily[]> {
  return parseExposition(await deployment.lab.host(host).run(process.execPath, ['-e', READ]));
}

/** The value of a metric whose sample has these labels. */
export function sampleOf(
  families: readonly ExposedFamily[],
  name: string,
  labels: Record<string, string> = {},
): number | undefined {
  const samples = families.flatMap(family => family.samples);
  const fits = (own: Record<string, string>) =>
    Object.entries(labels).every(([label, value]) => own[label] === value);
  return samples.find(each => each.name === name && fits(each.labels))?.value;
}

/** A host that protects a guest which speaks has measured everything, and what it says fits together. */
export function assertMeasured(t: ExecutionContext, families: readonly ExposedFamily[]): void {
  const value = (name: string) => sampleOf(families, name) ?? Number.NaN;
  t.is(value('curling_protected'), 1);
  const epochs = value('curling_epochs_total');
  t.true(epochs > 10, `${epochs} epochs`);
  t.is(value('curling_commit_duration_seconds_count'), epochs);
  t.true(value('curling_checkpoint_bytes_total') > epochs * 4_096);
  t.true(value('curling_dirty_pages') > 0);
  t.true(Date.now() / 1_000 - value('curling_last_commit_timestamp_seconds') < 30);
  t.true(value('curling_peer_rtt_seconds') > 0);
  for (const name of DURATIONS) {
    const mean = value(`${name}_sum`) / value(`${name}_count`);
    t.true(mean > 0.0001 && mean < 5, `${name}: ${mean} s`);
    t.log(`${name}: ${(mean * 1_000).toFixed(2)} ms in the mean of ${value(`${name}_count`)}`);
  }
  // Output waits for a checkpoint and its commit: its delay is not shorter than a commit takes.
  const mean = (name: string) => value(`${name}_sum`) / value(`${name}_count`);
  t.true(mean('curling_output_delay_seconds') > mean('curling_commit_duration_seconds') / 2);
}
