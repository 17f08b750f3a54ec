/** The one coordinator that a command means, and telling it something. */
import type { CommandLine } from '../common/options.ts';
import { headline } from '../coordinator/headline.ts';
import { socketsIn, usageError } from './command.ts';
import { type Answer, askAll, connect, coordinatorSockets } from './sockets.ts';

/**
 * What an answer may take beyond the time that the command itself says. The coordinator would answer much sooner, to
 * `drill` too; what it does else the operator sees by its events.
 */
const TELL_TIMEOUT_MS = 30_000;

/**
 * The coordinator of the machine that is named, or of the only one there is.
 * @throws CurlingError CURLING_USAGE when that is none or several; and what kept one of them from answering, for it could
 *   be the one that is meant.
 */
export async function targetOf(line: CommandLine): Promise<Answer> {
  const [vm] = line.positionals;
  const answers = await askAll(coordinatorSockets(socketsIn(line)));
  const lost = answers.find(answer => answer.error);
  if (lost?.error) throw lost.error;
  const meant = answers.filter(answer => vm === undefined || answer.status?.vm === vm);
  if (meant.length === 1) return meant[0]!;
  const found =
    answers.map(answer => `${answer.status?.vm} (${headline(answer.status!).word})`).join(', ') ||
    'none';
  throw usageError(`expected the name of one machine, found ${found}`);
}

/**
 * Sends a command with the machine's name, and returns what the coordinator answers.
 * @param more Further arguments; `timeoutMs` is waited for too.
 * @throws CurlingError what it answers instead
 */
export async function tell(
  { socket, status }: Answer,
  command: string,
  more: { timeoutMs?: number } = {},
): Promise<unknown> {
  const client = await connect(socket);
  try {
    const timeoutMs = TELL_TIMEOUT_MS + (more.timeoutMs ?? 0);
    return await client.execute(command, { vm: status!.vm, ...more }, { timeoutMs });
  } finally {
    client.close();
  }
}
