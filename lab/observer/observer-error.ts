/**
 * What the observer cannot read or start. It has its own errors: it shares no code with what it
 * observes.
 */
export class ObserverError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ObserverError';
  }
}
