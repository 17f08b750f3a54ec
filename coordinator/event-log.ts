/** The newest events of a coordinator, for who comes later. Pure. */
import type { JsonObject } from '../common/qmp/messages.ts';

/** The oldest of more is forgotten: the log has them all. */
const EVENTS_MAX = 100;

export interface LoggedEvent {
  name: string;
  data: JsonObject;
  /** Wall clock, ISO 8601. */
  at: string;
}

export class EventLog {
  readonly #events: LoggedEvent[] = [];

  /** Oldest first. */
  get events(): readonly LoggedEvent[] {
    return this.#events;
  }

  take(name: string, data: JsonObject, at: Date): LoggedEvent {
    const event = { name, data, at: at.toISOString() };
    this.#events.push(event);
    if (this.#events.length > EVENTS_MAX) this.#events.shift();
    return event;
  }
}
