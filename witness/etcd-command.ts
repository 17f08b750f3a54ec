/** What curling-witness does when the registers are in etcd: nothing is served, only cared for. */
import { CurlingError } from '../common/errors.ts';
import type { CommandLine } from '../common/options.ts';
import type { EtcdConfig } from '../coordinator/arbitration/etcd-options.ts';
import { EtcdRegister } from '../coordinator/arbitration/etcd-register.ts';
import { parseName } from '../coordinator/arbitration/register-json.ts';
import { forgetIn, forgotten } from './forget.ts';

/** An operator can wait; an election of etcd's takes a second or two. */
const REQUEST_MS = 10_000;

/**
 * `init` or `forget VM` in etcd.
 * @throws CurlingError CURLING_USAGE; else as EtcdRegister.init, and forgetIn.
 */
export async function etcdCommand(line: CommandLine, config: EtcdConfig): Promise<number> {
  const { values, positionals } = line;
  for (const option of ['listen', 'store'])
    if (values[option] !== undefined)
      throw new CurlingError('CURLING_USAGE', `--${option} does not go with --etcd`);
  const [verb, vm, ...rest] = positionals;
  const register = new EtcdRegister(config, { requestTimeoutMs: REQUEST_MS });
  try {
    if (verb === 'init' && vm === undefined) return await init(register);
    if (verb === 'forget' && vm !== undefined && rest.length === 0) {
      const name = parseName('VM', vm);
      const terminal = { input: process.stdin, output: process.stderr };
      const open = () => register;
      const yes = values.yes === true;
      process.stdout.write(forgotten(vm, await forgetIn(register.name, open, name, yes, terminal)));
      return 0;
    }
  } finally {
    register.close();
  }
  const text = `with --etcd: expected init or forget VM, got ${positionals.join(' ') || 'nothing'}`;
  throw new CurlingError('CURLING_USAGE', text);
}

async function init(register: EtcdRegister): Promise<number> {
  const { store, existed } = await register.init();
  if (existed) process.stderr.write(`${register.name} has a store already; its id:\n`);
  process.stdout.write(`${store}\n`);
  return 0;
}
