/**
 * The process that runs a coordinator's hooks: `runner.js FOLDER TIMEOUT-MS`, events on standard input, what came of them
 * on standard output (messages.ts). A process of its own, because a program that the coordinator starts stops it for as
 * long as the kernel copies its page tables: 13 ms were measured at 300 MiB, and 0.2 ms to tell this process instead.
 *
 * It ends with its standard input: when its coordinator has gone, however that was, so have its hooks.
 */
import os from 'node:os';
import { argv, stdin, stdout } from 'node:process';
import { LineSplitter } from '../../common/qmp/lines.ts';
import { runHook } from './child.ts';
import { hookEnvironment, hookInput } from './environment.ts';
import { readHookFolder } from './folder.ts';
import { type HookEvent, LINE_BYTES_MAX, type RunnerMessage } from './messages.ts';

/** Of nice(1): hooks are less urgent than what protects the machine. */
const NICE = 10;

const folder = argv[2]!;
const timeoutMs = Number(argv[3]);
const told = new Set<string>();
const nothingRuns = () => {};
let killRunning = nothingRuns;

function say(message: RunnerMessage): void {
  stdout.write(`${JSON.stringify(message)}\n`);
}

/** Called for one event at a time: the next one comes when `done` was said. */
async function take(event: HookEvent): Promise<void> {
  const { hooks, skipped } = readHookFolder(folder);
  for (const text of skipped.filter(one => !told.has(one))) {
    told.add(text);
    say({ type: 'skipped', text });
  }
  const environment = hookEnvironment(event);
  const input = hookInput(event);
  for (const hook of hooks) {
    const run = runHook({ hook, environment, input, timeoutMs }, kill => {
      killRunning = kill;
    });
    const result = await run;
    // Its pid may be another's from now on.
    killRunning = nothingRuns;
    say(result);
  }
  say({ type: 'done' });
}

os.setPriority(NICE);
const lines = new LineSplitter(LINE_BYTES_MAX);
stdin.on('data', (chunk: Buffer) => {
  for (const line of lines.push(chunk)) void take(JSON.parse(line) as HookEvent);
});
const end = () => {
  killRunning();
  process.exit();
};
stdin.on('end', end);
stdin.on('error', end);
stdout.on('error', end);
