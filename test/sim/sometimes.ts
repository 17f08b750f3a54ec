/** What a search must have seen to mean anything. */
import { POINTS } from '../faults/points.ts';
import { FAULTS } from './faults.ts';

export const SOMETIMES: readonly string[] = [
  ...POINTS.map(point => `struck at ${point}`),
  ...FAULTS.map(fault => `struck ${fault}`),
  ...['PROT → PRES', 'PROT → HALT', 'PRES → SOLO', 'PRES → HALT', 'SOLO → SYNC', 'SOLO → HALT'],
  ...['SYNC → SRES', 'SYNC → SOLO', 'SYNC → HALT', 'SRES → PROT', 'SRES → PRES', 'SRES → HALT'],
  ...['JOIN → BACK', 'BACK → FROZ', 'BACK → JOIN', 'FROZ → SOLO', 'FROZ → JOIN', 'HALT → JOIN'],
  ...['the backup won', 'the primary won', 'double failover', 'resumed from a checkpoint'],
  ...['refused pair', 'refused solo-by-primary', 'refused solo-by-backup'],
  ...['no answer to pair', 'no answer to solo-by-primary', 'no answer to solo-by-backup'],
  ...['started in PRES', 'started in SOLO', 'started in HALT'],
  ...['a proxy was full', 'the window was closed', 'a seal failed', 'kernel frames were lost'],
  ...['discarded frames were lost', 'frames were lost without a proxy'],
  ...['a committed frame left late, in PRES', 'a committed frame left late, in HALT'],
  ...['a standby was replaced', 'a second primary was refused', 'resume-failed'],
  ...['a checkpoint was given up half way', 'a frame came to a connection that was over'],
  ...['the operator asked for a takeover', 'protected again', 'stopped', 'held output left again'],
];
