/**
 * What `curlingctl events` prints, in the shape of drbdsetup's events2: `exists` for all that is, `exists -` when that is
 * all, then `change` for every event, `create` and `destroy` for coordinators that come and go. Pure.
 */
import type { QmpEvent } from '../common/qmp/messages.ts';
import type { CoordinatorStatus } from '../coordinator/status.ts';

export interface EventLine {
  kind: 'exists' | 'create' | 'change' | 'destroy';
  /** Of a change: the event's name, as in docs/protocol.md. */
  name?: string;
  /** Undefined: the snapshot is complete. */
  data: Record<string, unknown> | undefined;
  at: Date;
}

/** What is said of a coordinator that is, comes, or goes. */
export function aboutStatus(
  kind: 'exists' | 'create' | 'destroy',
  status: CoordinatorStatus,
  at: Date,
): EventLine {
  const { vm, host, role, state, generation, epoch } = status;
  const who = { vm, host };
  if (kind === 'destroy') return { kind, data: who, at };
  const data = { ...who, role, state, protected: status.protected, generation };
  return { kind, data: { ...data, epoch: epoch.committed }, at };
}

/** An event of a coordinator, at its own time. */
export function aboutEvent({ event, data, timestamp }: QmpEvent): EventLine {
  const ms = timestamp.seconds * 1000 + timestamp.microseconds / 1000;
  return { kind: 'change', name: event, data, at: new Date(ms) };
}

/** `change FAILED_OVER vm:web host:kvm2 reason:"kvm1 is silent"`; values with spaces are JSON. */
export function lineText(line: EventLine, hasTime: boolean): string {
  const words = line.data
    ? Object.entries(line.data).map(([key, value]) => `${key}:${word(value)}`)
    : ['-'];
  const head = [...(hasTime ? [line.at.toISOString()] : []), line.kind, line.name];
  return [...head, ...words].filter(Boolean).join(' ');
}

function word(value: unknown): string {
  if (typeof value === 'object') return JSON.stringify(value);
  const text = String(value);
  return text === '' || /[\s"]/.test(text) ? JSON.stringify(text) : text;
}

/** One document; `event` is the kind, and of a change the event's name. The end of the snapshot has no `vm`. */
export function lineJson({ kind, name, data, at }: EventLine): string {
  return JSON.stringify({ time: at.toISOString(), event: name ?? kind, ...data });
}
