/** Reads the captures of a run from their files and asks the oracle. */
import { createReadStream } from 'node:fs';
import type { CaptureResult } from './capture.ts';
import { ObserverError } from './observer-error.ts';
import {
  type CapturedFrame,
  type Evidence,
  Oracle,
  type OracleOptions,
  type Verdict,
} from './oracle.ts';
import { PcapReader } from './pcap-file.ts';

/**
 * The verdict on ended captures; or on running ones, as far as `untilMs`, wall clock, when their files are known to have
 * come so far.
 * @throws ObserverError when a file is no capture; an Error of Node when it cannot be read.
 */
export async function observe(
  captures: readonly CaptureResult[],
  options: OracleOptions,
  evidence: Evidence,
  untilMs = Number.POSITIVE_INFINITY,
): Promise<Verdict> {
  const oracle = new Oracle(options);
  const sources = captures.map(capture => frames(capture.port, capture.file));
  for await (const frame of mergeByTime(sources)) {
    if (frame.atMs > untilMs) break;
    oracle.see(frame);
  }
  const missing = [...options.hostPorts, ...(options.clientPorts ?? [])]
    .filter(port => !captures.some(capture => capture.port === port))
    .map(port => `there is no capture of ${port}`);
  const incomplete = captures.filter(capture => capture.dropped !== 0).map(dropText);
  return oracle.verdict({
    ...evidence,
    incomplete: [...(evidence.incomplete ?? []), ...missing, ...incomplete],
  });
}

function dropText({ port, dropped }: CaptureResult): string {
  return dropped === undefined
    ? `the capture of ${port} did not say whether it dropped frames`
    : `the capture of ${port} dropped ${dropped} frames`;
}

/** Whether a capture's file has come to a frame later than `atMs`; before that, earlier ones may be missing. */
export async function hasComeTo(port: string, file: string, atMs: number): Promise<boolean> {
  for await (const frame of frames(port, file)) if (frame.atMs > atMs) return true;
  return false;
}

/**
 * The frames of a capture file, in its order; what a killed capture left half written at the end
 * is left out.
 */
export async function* frames(port: string, file: string): AsyncGenerator<CapturedFrame> {
  const reader = new PcapReader();
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) {
    for (const { atMs, bytes, cut } of reader.push(chunk as Buffer))
      yield { port, atMs, bytes, cut };
  }
  if (!reader.started) throw new ObserverError(`${file} is not a whole pcap header`);
}

/** Merges sources that are each in order of time. */
export async function* mergeByTime(
  sources: readonly AsyncIterable<CapturedFrame>[],
): AsyncGenerator<CapturedFrame> {
  const iterators = sources.map(source => source[Symbol.asyncIterator]());
  try {
    const heads = await Promise.all(iterators.map(iterator => iterator.next()));
    for (;;) {
      let next = -1;
      for (let i = 0; i < heads.length; i++) {
        const head = heads[i]!;
        if (!head.done && (next < 0 || head.value.atMs < heads[next]!.value.atMs)) next = i;
      }
      if (next < 0) return;
      yield heads[next]!.value;
      heads[next] = await iterators[next]!.next();
    }
  } finally {
    // Whoever stops early leaves no file open.
    await Promise.all(iterators.map(iterator => iterator.return?.()));
  }
}
