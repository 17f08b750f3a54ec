/** What this machine lacks makes an experiment "not runnable", in the words of the tool that said so. */
import { CurlingError, EXIT } from '../../common/errors.ts';
import { NotRunnable } from '../scenario.ts';

/** Runs `work`; an error of the environment becomes NotRunnable. */
export async function orNotRunnable<Result>(work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof CurlingError && error.exitStatus === EXIT.environment)
      throw new NotRunnable(error.message, { cause: error });
    throw error;
  }
}
