/**
 * Reads a socket into memory of the reader's own. Node does that for sockets that it connects (`onread`), not for those that
 * a server accepted, and for those it allocates 64 KiB a read, with TLS for every 16 KiB: more work than the read itself.
 * So this takes the socket's handle by the two methods behind `onread`. They are not documented: where they are not what
 * is expected, `readInto` does nothing and says so, and the caller reads `data` events.
 */
import net from 'node:net';

export interface IntoReader {
  /** Where the next bytes go. The memory must stay until the socket is closed, or another one was given. */
  space(): Buffer;
  /** So many bytes are there, 1 or more. */
  filled(bytes: number): void;
}

export interface Reading {
  pause(): void;
  resume(): void;
}

/** What Node's stream handles have (lib/internal/stream_base_commons.js). */
interface StreamHandle {
  reading: boolean;
  /** Bytes since the start, those of the call under way included. */
  readonly bytesRead: number;
  /** Without an argument when the bytes are in the buffer of the user, or at the end. What it returns is the next buffer. */
  onread: (this: unknown, bytes?: ArrayBuffer) => unknown;
  useUserBuffer(buffer: Buffer): void;
  readStart(): number;
  readStop(): number;
}

/**
 * From now on bytes go to `reader`; `end`, `error` and `close` are the socket's as before. Undefined, and nothing is
 * changed, when this Node or this socket cannot: bytes that came already would be overtaken.
 */
export function readInto(socket: net.Socket, reader: IntoReader): Reading | undefined {
  const handle = handleOf(socket);
  if (!handle || socket.readableLength > 0) return undefined;
  const before = handle.onread;
  let read = handle.bytesRead;
  let space = reader.space();
  handle.useUserBuffer(space);
  handle.onread = function (bytes) {
    const fresh = handle.bytesRead - read;
    read += fresh;
    if (fresh <= 0 || bytes !== undefined) return before.call(this, bytes);
    reader.filled(fresh);
    space = reader.space();
    return space;
  };
  // The handle knows the address alone.
  socket.once('close', () => void space);
  socket.resume();
  return {
    pause: () => {
      if (socket.destroyed) return;
      handle.reading = false;
      handle.readStop();
    },
    resume: () => {
      if (socket.destroyed) return;
      handle.reading = true;
      handle.readStart();
    },
  };
}

function handleOf(socket: net.Socket): StreamHandle | undefined {
  const handle = (socket as { _handle?: Partial<StreamHandle> | null })._handle;
  if (!(socket instanceof net.Socket) || !handle || socket.destroyed) return undefined;
  const whole =
    typeof handle.onread === 'function' &&
    typeof handle.bytesRead === 'number' &&
    typeof handle.useUserBuffer === 'function' &&
    typeof handle.readStart === 'function' &&
    typeof handle.readStop === 'function';
  return whole ? (handle as StreamHandle) : undefined;
}
