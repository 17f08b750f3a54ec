/**
 * Runs one number, or one cell, again and writes down every step with its virtual time:
 *
 *   node build/test/sim/replay.js --seed N [--pair] [--cell POINT,FAULT]
 */
import { parseArgs } from 'node:util';
import { POINTS } from '../faults/points.ts';
import { judgeCell } from './cell.ts';
import { runOne } from './explore.ts';
import { FAULTS } from './faults.ts';
import { Simulation } from './simulation.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    pair: { type: 'boolean', default: false },
    cell: { type: 'string' },
  },
});

let sim: Simulation | undefined;
let end = 'no violation';
try {
  const seed = Number(values.seed);
  if (values.cell !== undefined) {
    const [point, fault] = values.cell.split(',');
    const known = POINTS.find(name => name === point || name.startsWith(`${point}-`));
    const struck = FAULTS.find(name => name === fault);
    if (!known || !struck) throw new Error('--cell: expected POINT,FAULT as in test/faults');
    sim = new Simulation({ seed, trace: true });
    end = judgeCell(sim, known, struck).outcome;
  } else {
    runOne({ kind: values.pair ? 'pair' : 'seed', seed, trace: true }, made => {
      sim = made;
    });
  }
} catch (error) {
  end = String((error as Error).stack);
}
console.log([...(sim?.trace ?? []), end].join('\n'));
