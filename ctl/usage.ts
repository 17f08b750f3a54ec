import { CurlingError } from '../common/errors.ts';

/** An error of the command line. */
export function usageError(text: string): CurlingError {
  return new CurlingError('CURLING_USAGE', `${text}; curlingctl --help lists what there is`);
}
