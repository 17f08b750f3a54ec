/** All that is fuzzed. */
import type { Target } from '../target.ts';
import { CURLING } from './curling.ts';
import { GUEST_ANSWERS } from './guest.ts';
import { MIGRATION } from './migration.ts';
import { PACKED, PACKED_DEVICE } from './packing.ts';
import { FRAMES } from './replication.ts';
import { RECEIVER_END, SENDER_END } from './sessions.ts';
import { proxyTarget, qmpTarget, witnessAnswerTarget, witnessTarget } from './sockets.ts';
import { IDENTITY_FILE, JOURNAL, LINES, MANIFEST_FILE } from './text.ts';

export const TARGETS: readonly Target[] = [
  FRAMES,
  PACKED,
  PACKED_DEVICE,
  RECEIVER_END,
  SENDER_END,
  MIGRATION,
  CURLING,
  GUEST_ANSWERS,
  LINES,
  JOURNAL,
  IDENTITY_FILE,
  MANIFEST_FILE,
  witnessTarget(),
  witnessAnswerTarget(),
  proxyTarget(),
  qmpTarget(),
];
