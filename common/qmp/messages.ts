/**
 * The shape of QMP messages, which QEMU's own monitor and all of curling's control sockets speak:
 *
 *   server:  {"QMP": {"version": …, "capabilities": []}}            greeting
 *   client:  {"execute": "name", "arguments": {…}, "id": any}
 *   server:  {"return": any, "id": any}
 *            {"error": {"class": "GenericError", "desc": "…", "code": "CURLING_…"}, "id": any}
 *            {"event": "NAME", "data": {…}, "timestamp": {"seconds": s, "microseconds": µs}}
 *
 * A client sends `qmp_capabilities` first. `code` is curling's addition; QMP clients ignore keys that they do not know.
 */

export type JsonObject = Record<string, unknown>;

/** How QMP names the class of an error; curling uses two of QEMU's. */
export type ErrorClass = 'GenericError' | 'CommandNotFound';

export interface QmpEvent {
  event: string;
  data: JsonObject;
  timestamp: { seconds: number; microseconds: number };
}

/** Whether a parsed JSON value is an object, not null and not a list. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** An event as it goes over the wire; `nowMs` is wall-clock milliseconds since 1970. */
export function eventMessage(event: string, data: JsonObject, nowMs: number): QmpEvent {
  const seconds = Math.floor(nowMs / 1000);
  return {
    event,
    data,
    timestamp: { seconds, microseconds: Math.floor((nowMs - seconds * 1000) * 1000) },
  };
}
