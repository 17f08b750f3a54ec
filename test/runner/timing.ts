/**
 * Loaded by AVA into the process of every test file (package.json): at its end that process adds what it took to a
 * file, as one line of JSON. The run of all tests names the file by TIMES_VARIABLE; without it nothing is written.
 */

import { appendFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { procText } from '../../lab/processes.ts';
import { type FileTime, TIMES_VARIABLE } from './times.ts';

/** /proc counts in ticks of USER_HZ, which is 100 wherever Node runs. */
const TICK_MS = 10;

const path = process.env[TIMES_VARIABLE];
if (path) process.on('exit', () => appendFileSync(path, `${JSON.stringify(timeOfThisFile())}\n`));

function timeOfThisFile(): FileTime {
  const { user, system } = process.cpuUsage();
  return {
    path: fileURLToPath(test.meta.file),
    node: process.version,
    wallMs: Math.round(performance.now()),
    cpuMs: Math.round((user + system) / 1000) + childrenMs(),
  };
}

/** User and system time of the children that ended and were waited for: fields 16 and 17 of proc(5)'s stat. */
function childrenMs(): number {
  const stat = procText(process.pid, 'stat');
  // The fields behind the program's name in parentheses begin with the third.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[13]) + Number(fields[14])) * TICK_MS;
}
