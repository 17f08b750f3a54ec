/** What the main thread and the datapath's thread say to each other. */
import type { ErrorCode } from '../common/errors.ts';
import type { FrameCount } from './epoch-ring.ts';

/** A tap to serve. */
export interface TapSetup {
  /** The index of the interface to capture from. */
  tapIndex: number;
  /** The name of the own tap to create. */
  port: string;
}

/** Where the thread puts what it records. */
export interface RecordSetup {
  /** Of a RecordRing; the taps are its interfaces, in their order. */
  memory: SharedArrayBuffer;
  /** Bytes of a frame that are recorded at the most. */
  snapBytes: number;
}

/** Given to the thread at its start. */
export interface DatapathSetup {
  /** One or more. */
  taps: readonly TapSetup[];
  /** All memory for held frames; each tap has an equal share. */
  bufferBytes: number;
  /** Epochs that may be sealed and not released at once. */
  epochsMax: number;
  /** Undefined: nothing is recorded. */
  record?: RecordSetup | undefined;
}

export interface DatapathStatus {
  epoch: { open: number; sealed: number; released: number };
  held: FrameCount & { framesMax: number; bytesMax: number };
  /** Whether the open epoch has frames. */
  pending: boolean;
  /** Per tap, source addresses seen in captured frames since capture began. */
  guestMacs: string[][];
}

/** Since the start of the program. */
export interface DatapathCounters {
  framesCaptured: number;
  bytesCaptured: number;
  framesSent: number;
  bytesSent: number;
  framesDiscarded: number;
  bytesDiscarded: number;
  /** Frames that took a large buffer. */
  framesLarge: number;
  /** Frames whose VLAN tag was put back. */
  framesTagged: number;
  /** Frames that the kernel dropped because they found no room. */
  kernelDrops: number;
  /** Frames longer than the buffers, or shorter than a MAC header: dropped. */
  truncated: number;
  receiveErrors: number;
  /** Attempts to send that the own tap put off; the same frame was tried again. */
  sendRetries: number;
  /** Frames that the own tap refused: lost. */
  sendErrors: number;
  /** How often the buffer was full, or nearly. */
  bufferFullEpisodes: number;
  epochsSealed: number;
  /** Source addresses beyond the bound, each time a frame had one. */
  guestMacsIgnored: number;
}

/** The commands of the datapath: what each takes and what it answers. */
export interface DatapathCommands {
  /** Starts to capture, or sets the open epoch when it does already. */
  capture: { takes: { epoch?: number | undefined }; gives: { epoch: number } };
  seal: { takes: { epoch?: number | undefined }; gives: FrameCount & { epoch: number } };
  release: { takes: { epoch: number }; gives: Record<string, never> };
  discard: { takes: Record<string, never>; gives: FrameCount };
  /** Lets all that is held leave, and what is captured from now on at once. */
  pass: { takes: Record<string, never>; gives: Record<string, never> };
  /** Stops to capture and sends all that is held. */
  passAll: { takes: Record<string, never>; gives: Record<string, never> };
  status: { takes: Record<string, never>; gives: DatapathStatus };
  counters: { takes: Record<string, never>; gives: DatapathCounters };
  stop: { takes: Record<string, never>; gives: Record<string, never> };
}

export type DatapathCommand = keyof DatapathCommands;

export interface CommandMessage<Name extends DatapathCommand = DatapathCommand> {
  id: number;
  command: Name;
  takes: DatapathCommands[Name]['takes'];
}

export type AnswerMessage =
  | { id: number; gives: unknown }
  | { id: number; error: { code: ErrorCode; message: string } };

export type DatapathEvent =
  /** The own tap is there; writing to the eventfd `wakeFd` makes the thread read its commands. */
  | { event: 'ready'; wakeFd: number }
  /** The open epoch has its first frame. */
  | { event: 'pending'; epoch: number }
  /** The buffer is full, or nearly: frames will be lost. */
  | { event: 'full'; epoch: number }
  /** A new source address, as lower-case hex with colons, on the tap with this index in `taps`. */
  | { event: 'guest-mac'; tap: number; mac: string }
  /** The thread ends. */
  | { event: 'failed'; error: { code: ErrorCode; message: string } };

export type DatapathMessage = AnswerMessage | DatapathEvent;
