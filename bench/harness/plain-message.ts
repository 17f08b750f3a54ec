/** Error messages for a report: what they say of a machine's folders is no concern of its reader. */
import { messageOf } from '../../common/errors.ts';
import { REPOSITORY } from '../../lab/paths.ts';

/** The message of an error without the paths of this machine. */
export function plainMessage(error: unknown): string {
  return messageOf(error)
    .replaceAll(process.execPath, 'node')
    .replaceAll(`${REPOSITORY}/`, '')
    .replace(/\/(?:run\/curling-lab|tmp|dev\/shm)\/[^\s/'"]+/g, 'RUN');
}
