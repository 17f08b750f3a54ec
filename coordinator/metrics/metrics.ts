/** All metrics of a coordinator besides those of every daemon. */
import type { Registry } from 'prom-client';
import { exportFamilies } from '../../common/metric-families.ts';
import { CHECKPOINTS } from './checkpoints.ts';
import { MACHINE } from './machine.ts';
import { OTHERS } from './others.ts';
import type { CoordinatorSource } from './source.ts';

export function exportCoordinator(registry: Registry, source: CoordinatorSource): void {
  exportFamilies(registry, [...MACHINE, ...CHECKPOINTS, ...OTHERS], () => source);
}
