/** `curlingctl protect` and `unprotect`: whether protection is wanted. */
import { type CtlCommand, SOCKET_OPTION } from './command.ts';
import { targetOf, tell } from './target.ts';

function wanting(command: 'protect' | 'unprotect', summary: string): CtlCommand {
  return {
    usage: '[VM]',
    words: 'machine',
    summary,
    options: SOCKET_OPTION,
    notes: [
      'Returns when the coordinator has accepted it; what comes of it is in events and status.',
    ],
    async run(line) {
      await tell(await targetOf(line), command);
      return undefined;
    },
  };
}

export const PROTECT = wanting('protect', 'looks for a backup for a machine that runs here');
export const UNPROTECT = wanting('unprotect', 'ends the protection of a machine that runs here');
