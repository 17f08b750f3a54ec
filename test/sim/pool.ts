/** Spreads numbers over threads and adds up what they find; the order in which they come back changes nothing. */
import { Worker } from 'node:worker_threads';
import { addCounts, type Failure, type Findings } from './explore.ts';
import type { Found, Task } from './worker.ts';

const THREADS = 2;
/** Runs of one task. */
const TASK_RUNS = 250;

/** Runs `task` in parts, until one fails; of several failures the smallest number is told. */
export async function exploreAll(task: Task): Promise<Findings> {
  const parts: Task[] = [];
  for (let done = 0; done < task.count; done += TASK_RUNS) {
    const count = Math.min(TASK_RUNS, task.count - done);
    parts.push({ ...task, first: task.first + done, count });
  }
  const sum: Findings = { runs: 0, counts: new Map(), failure: null };
  await Promise.all(Array.from({ length: THREADS }, () => work(parts, sum)));
  return sum;
}

function work(parts: Task[], sum: Findings): Promise<void> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./worker.js', import.meta.url), {
      resourceLimits: { maxYoungGenerationSizeMb: 64 },
    });
    const next = () => {
      const part = sum.failure ? undefined : parts.shift();
      if (part) worker.postMessage(part);
      else void worker.terminate().then(() => resolve());
    };
    worker.on('message', (found: Found) => {
      sum.runs += found.runs;
      addCounts(sum.counts, found.counts);
      sum.failure = earlier(sum.failure, found.failure);
      next();
    });
    worker.on('error', reject);
    next();
  });
}

function earlier(a: Failure | null, b: Failure | null): Failure | null {
  return a && b ? (a.seed < b.seed ? a : b) : (a ?? b);
}
