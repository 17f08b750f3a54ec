#!/usr/bin/env node
/** `curlingctl`: what an operator sees of coordinators and what they tell them. */
import { EXIT } from '../common/errors.ts';
import { helpText } from '../common/options.ts';
import { versionLine, withExitStatus } from '../common/program.ts';
import { CTL, specOf } from './command.ts';
import { COMMANDS } from './commands.ts';
import { ctlHelp, parseCtlLine } from './line.ts';

// Who reads our output may have seen enough (`| head`): that is no failure.
process.stdout.on('error', error => {
  if ((error as NodeJS.ErrnoException).code !== 'EPIPE') throw error;
  process.exit(EXIT.ok);
});

await withExitStatus(CTL, async () => {
  const { name, line } = parseCtlLine(COMMANDS, process.argv.slice(2));
  const command = name === undefined ? undefined : COMMANDS[name]!;
  if (line.values.help) {
    process.stdout.write(command ? helpText(specOf(name!, command)) : ctlHelp(COMMANDS));
    return EXIT.ok;
  }
  if (!command || line.values.version) {
    process.stdout.write(versionLine(CTL));
    return EXIT.ok;
  }
  return (await command.run(line)) ?? EXIT.ok;
});
