/**
 * Checks arbitration.pml with spin: the base is clean, every sabotaged version is caught, and what
 * must be possible is. `node build/test/model/check.js` runs the quick ones, with `--all` all.
 */
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

export const MODEL = 'test/model/arbitration.pml';

/** `clean`: nothing is violated in any state. `found`: an assertion is. */
export interface Check {
  readonly name: string;
  readonly expected: 'clean' | 'found';
  /** Definitions for the model, for example `MAXE=2 MUT=1`. */
  readonly define: string;
  /** Runs in seconds, and belongs to `npm test`. */
  readonly quick: boolean;
  /** Longest path; without it every path is followed to its end. */
  readonly depth?: number;
  /** Random search with a hash of the states only, for what reordering makes too large. */
  readonly random?: boolean;
}

export interface CheckResult {
  readonly outcome: 'clean' | 'found' | 'unfinished';
  readonly states: number;
  readonly seconds: number;
  /** What pan said. */
  readonly said: string;
}

const quick = (name: string, define: string): Check => {
  return { name, expected: 'found', define, quick: true, depth: 400 };
};
const large = (check: Check): Check => ({ ...check, quick: false });
const base = (name: string, define: string, isQuick = false): Check => {
  return { name, expected: 'clean', define, quick: isQuick };
};

export const CHECKS: readonly Check[] = [
  base('base: a crash, one epoch', 'MAXE=1', true),
  base('base: a crash', ''),
  base('base: a coordinator restarts', 'CRASHES=0 RESTARTS=1'),
  base('base: policy hold, one epoch', 'HOLD=1 MAXE=1', true),
  base('base: policy hold', 'HOLD=1'),
  base('base: policy hold, and its operator opens', 'HOLD=1 OPENER=1'),
  base('base: the backup may resign', 'RESIGN=1'),
  base('base: from an absent register', 'CREATE=1'),
  base('base: a crash, double failover', 'MAXG=4'),
  quick('promotes without a grant', 'MUT=1 MAXG=4'),
  quick('goes solo without a grant', 'MUT=2 MAXG=4'),
  quick('acks before the commit', 'MUT=3 MAXG=4'),
  quick('releases before the ack', 'MUT=5 MAXG=4'),
  large({ ...quick('the witness ignores incarnations', 'MUT=6 MAXG=4 REORDER=1'), random: true }),
  quick('an empty host answers as the backup', 'MUT=7 MAXG=4'),
  quick('emits during re-protection', 'MUT=8 MAXG=4'),
  quick('the witness loses its store', 'MUT=9 MAXG=2 CRASHES=0'),
  quick('gives up after the pair was sent', 'MUT=12 MAXG=4'),
  quick('re-emits the last committed epoch', 'MUT=13 MAXG=4'),
  quick('who reaches the gateway runs', 'MUT=14 MAXG=4'),
  large(quick('a grant names the host', 'MUT=15 MAXG=4')),
  large(quick('an ack of another incarnation counts', 'MUT=16 MAXG=4')),
  quick('resigns without dropping', 'MUT=17 MAXG=4 RESIGN=1'),
  quick('forgets the pair in a restart', 'MUT=18 MAXG=4 RESTARTS=1'),
  quick('reached: B is promoted from a checkpoint', 'REACH=1 MAXE=3 MAXG=4'),
  quick('reached: P alone', 'REACH=2 MAXE=3 MAXG=4'),
  large(quick('reached: the swapped pair is protected', 'REACH=3 MAXE=3 MAXG=4')),
  large(quick('reached: a double failover with two epochs', 'REACH=4 MAXG=4')),
  quick('reached: what was held may leave', 'REACH=5 HOLD=1 MAXG=4'),
  quick('reached: speaks without witness and backup', 'REACH=6 RESIGN=1'),
  quick('reached: a pair outlives a restart', 'REACH=7 RESTARTS=1'),
];

const TOOL_MS = 240_000;

/**
 * Runs one check in a folder of its own.
 * @param timeoutMs For the search; when it is over the outcome is `unfinished`.
 */
export async function check(item: Check, timeoutMs = 1_800_000): Promise<CheckResult> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'curling-model-'));
  try {
    const defines = item.define
      .split(' ')
      .filter(Boolean)
      .map(text => `-D${text}`);
    const model = path.resolve(MODEL);
    await run('spin', ['-a', ...defines, model], folder, TOOL_MS);
    const search = item.random ? ['-DBITSTATE', '-DT_RAND', '-DP_RAND'] : ['-DCOLLAPSE'];
    const options = [
      item.expected === 'found' && item.quick ? '-O0' : '-O2',
      '-w',
      '-DSAFETY',
      '-DMEMLIM=6000',
      ...search,
    ];
    await run('gcc', [...options, '-o', 'pan', 'pan.c'], folder, TOOL_MS);
    const depth = `-m${item.depth ?? 3_000_000}`;
    const table = item.random ? ['-w28', '-RS2'] : [item.quick ? '-w22' : '-w25'];
    return judge(await run('./pan', [depth, ...table], folder, timeoutMs));
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

function judge(said: string): CheckResult {
  const errors = /errors: (\d+)/.exec(said)?.[1];
  const states = Number(/([\d.e+]+) states, stored/.exec(said)?.[1] ?? 0);
  const seconds = Number(/elapsed time ([\d.e+-]+)/.exec(said)?.[1] ?? 0);
  const asserted = /assertion violated/.test(said);
  if (errors !== undefined && errors !== '0')
    return { outcome: asserted ? 'found' : 'unfinished', states, seconds, said };
  const whole = errors === '0' && !/search depth too small|out of memory/.test(said);
  return { outcome: whole ? 'clean' : 'unfinished', states, seconds, said };
}

/** What a tool says; that of a search which did not end may be empty. */
function run(
  tool: string,
  args: readonly string[],
  folder: string,
  timeoutMs: number,
): Promise<string> {
  const limits = { timeout: timeoutMs, killSignal: 'SIGKILL', maxBuffer: 1 << 26 } as const;
  return new Promise((resolve, reject) => {
    execFile(tool, args, { cwd: folder, ...limits }, (error, stdout, stderr) => {
      if (error && tool !== './pan') reject(new Error(`${tool} failed: ${error.message}`));
      else resolve(`${stdout}${stderr}`);
    });
  });
}

async function main(all: boolean): Promise<number> {
  let wrong = 0;
  for (const item of CHECKS.filter(each => all || each.quick)) {
    const result = await check(item);
    const right = result.outcome === item.expected;
    if (!right) wrong++;
    const figures = `${result.states} states, ${result.seconds} s`;
    process.stdout.write(
      `${right ? 'ok   ' : 'WRONG'} ${item.name}: ${result.outcome}, ${figures}\n`,
    );
  }
  return wrong === 0 ? 0 : 1;
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href)
  process.exitCode = await main(process.argv.includes('--all'));
