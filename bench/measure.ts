/** Runs scenarios on this machine: the thin shell between the runner and the world. */
import { EXIT } from '../common/errors.ts';
import { createLogger } from '../common/log.ts';
import { createLoadMeter } from './harness/load.ts';
import { machineFacts } from './harness/machine.ts';
import { createProbe } from './harness/probe.ts';
import { Progress } from './harness/progress.ts';
import { type Results, SCHEMA } from './harness/results.ts';
import { runScenarios } from './harness/runner.ts';
import { experimentText } from './report/terminal.ts';
import { paintFor } from './report/text.ts';
import type { Scenario } from './scenario.ts';
import type { Settings } from './settings.ts';

/**
 * Runs the scenarios; prints the progress to stderr and the table of each experiment to stdout. SIGINT and SIGTERM end
 * it early, with what there is; a second one ends the process at once.
 */
export async function measure(
  scenarios: readonly Scenario[],
  settings: Settings,
): Promise<Results> {
  const { quick, names, rounds } = settings;
  const readTicks = createLoadMeter();
  const progress = new Progress(process.stderr);
  const paint = paintFor(process.stdout, process.env);
  const signal = signalOfEnd(name => progress.say(`${name}: ending; once more to end at once`));
  const machine = await machineFacts(readTicks);
  const started = new Date();
  const start = performance.now();
  const bench = {
    ...{ quick, signal, roundsAsked: rounds },
    log: createLogger('bench', settings.logLevel),
    now: () => performance.now(),
    probe: createProbe(),
    ticks: readTicks,
    at: progress.at.bind(progress),
    say: progress.say.bind(progress),
  };
  const run = await runScenarios(scenarios, bench, {
    onExperiment(experiment) {
      progress.clear();
      process.stdout.write(experimentText(experiment, paint));
    },
  });
  return {
    schema: SCHEMA,
    started: started.toISOString(),
    finished: new Date().toISOString(),
    seconds: (performance.now() - start) / 1000,
    ...{ quick, roundsAsked: rounds ?? null, only: names, complete: !signal.aborted },
    ...{ machine, scenarios: run },
  };
}

/** npm passes on the signal that a terminal has sent to us already: a person takes longer to ask again. */
const ASK_AGAIN_MS = 1000;

/** Aborted by the first SIGINT or SIGTERM. */
function signalOfEnd(onEnd: (name: string) => void): AbortSignal {
  const controller = new AbortController();
  let askedMs = 0;
  const onSignal = (name: NodeJS.Signals) => {
    const nowMs = performance.now();
    if (controller.signal.aborted) {
      if (nowMs - askedMs > ASK_AGAIN_MS) process.exit(EXIT.runtime);
      return;
    }
    askedMs = nowMs;
    onEnd(name);
    controller.abort(new Error(`ended by ${name}`));
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  return controller.signal;
}
