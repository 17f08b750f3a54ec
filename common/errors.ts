/**
 * Every error that curling reports, by its stable code. docs/errors.md explains each one to an operator; a test keeps
 * the two lists equal.
 *
 * A `CurlingError` is for what the world did wrong: bad input, a missing tool, a lost peer. A programmer's error is an
 * `assert` and ends the process.
 */

/** Exit statuses of the daemons and of curlingctl. */
export const EXIT = {
  ok: 0,
  /** Something failed while running. */
  runtime: 1,
  /** The command line is wrong. */
  usage: 2,
  /** A configuration file is wrong. */
  configuration: 3,
  /** This machine lacks something: a capability, a tap, a tool. */
  environment: 4,
} as const;

export type ExitStatus = (typeof EXIT)[keyof typeof EXIT];

/** Code to exit status. The key without its prefix names the cause. */
export const ERROR_CODES = {
  CURLING_USAGE: EXIT.usage,
  CURLING_INTERNAL: EXIT.runtime,
  CURLING_CONFIG: EXIT.configuration,
  // environment
  CURLING_NOT_ROOT: EXIT.environment,
  CURLING_NO_TUN: EXIT.environment,
  CURLING_TOOL_MISSING: EXIT.environment,
  CURLING_TOOL_FAILED: EXIT.environment,
  // proxy
  CURLING_TAP_NOT_FOUND: EXIT.environment,
  CURLING_TAP_NOT_ON_BRIDGE: EXIT.environment,
  CURLING_TAP_UNSUPPORTED: EXIT.environment,
  CURLING_HOST_LINK: EXIT.environment,
  CURLING_TAP_GONE: EXIT.runtime,
  CURLING_DATAPATH: EXIT.runtime,
  CURLING_EPOCH: EXIT.runtime,
  CURLING_NOT_HOLDING: EXIT.runtime,
  // sockets that speak QMP's shape
  CURLING_SOCKET_IN_USE: EXIT.environment,
  CURLING_CONNECT: EXIT.runtime,
  CURLING_CONNECTION_LOST: EXIT.runtime,
  CURLING_TIMEOUT: EXIT.runtime,
  CURLING_MESSAGE: EXIT.runtime,
  CURLING_COMMAND_UNKNOWN: EXIT.runtime,
  CURLING_COMMAND_FAILED: EXIT.runtime,
  CURLING_BUSY: EXIT.runtime,
  CURLING_SOCKET_FOLDER: EXIT.environment,
  // who is at the other end
  CURLING_KEYS: EXIT.environment,
  CURLING_TLS: EXIT.runtime,
  CURLING_IDENTITY: EXIT.runtime,
  // QEMU
  CURLING_QEMU_STREAM: EXIT.runtime,
  CURLING_QEMU_COLO: EXIT.environment,
  CURLING_QEMU_UNHELD: EXIT.environment,
  CURLING_QEMU_MEMORY: EXIT.environment,
  CURLING_COPY: EXIT.runtime,
  CURLING_QEMU_MISMATCH: EXIT.environment,
  CURLING_QEMU_START: EXIT.environment,
  CURLING_QEMU_RESUME: EXIT.runtime,
  CURLING_QEMU_LOST: EXIT.runtime,
  CURLING_DRILL: EXIT.runtime,
  // replication
  CURLING_REPLICATION_FRAME: EXIT.runtime,
  CURLING_REPLICATION_VERSION: EXIT.runtime,
  CURLING_REPLICATION_IDENTITY: EXIT.runtime,
  CURLING_REPLICATION_REFUSED: EXIT.runtime,
  CURLING_REPLICATION_DIGEST: EXIT.runtime,
  CURLING_REPLICATION_UNPACK: EXIT.runtime,
  CURLING_REPLICATION_LIMIT: EXIT.runtime,
  CURLING_STORE: EXIT.runtime,
  // arbitration
  CURLING_WITNESS_EMPTY: EXIT.environment,
  CURLING_WITNESS_STORE: EXIT.environment,
  CURLING_WITNESS_UNREACHABLE: EXIT.runtime,
  CURLING_REGISTER: EXIT.runtime,
  CURLING_STATE: EXIT.runtime,
} as const satisfies Record<string, ExitStatus>;

export type ErrorCode = keyof typeof ERROR_CODES;

/** An error with a stable code. The message says what was expected, what came, and what to do. */
export class CurlingError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'CurlingError';
    this.code = code;
  }

  /** The status with which a command ends on this error. */
  get exitStatus(): ExitStatus {
    return ERROR_CODES[this.code];
  }
}

/** The message of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Makes anything thrown a CurlingError, keeping it as the cause when it is not one. */
export function asCurlingError(error: unknown, code: ErrorCode = 'CURLING_INTERNAL'): CurlingError {
  return error instanceof CurlingError
    ? error
    : new CurlingError(code, messageOf(error), { cause: error });
}
