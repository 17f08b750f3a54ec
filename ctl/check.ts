/** `curlingctl check`: whether this host can do what curling asks of it, and what to do where it cannot. */
import { CONFIG_DIR } from '../config/files.ts';
import { CHECK_STATUSES, verdict } from './check/finding.ts';
import { checkScreen } from './check/screen.ts';
import { survey } from './check/survey.ts';
import { COLOR_OPTION, paintFor } from './color.ts';
import type { CtlCommand } from './command.ts';

export const CHECK: CtlCommand = {
  usage: '[VM]',
  words: 'machine',
  summary: 'looks whether this host can protect machines, and what to do where not',
  options: {
    config: { type: 'string', value: 'DIR', help: `configuration files (default ${CONFIG_DIR})` },
    tap: { type: 'string', value: 'TAP', multiple: true, help: 'look at this tap too' },
    qemu: { type: 'string', value: 'PROGRAM', help: 'look at this QEMU' },
    json: { type: 'boolean', help: 'one JSON document' },
    ...COLOR_OPTION,
  },
  statuses: CHECK_STATUSES,
  async run({ values, positionals }) {
    const paint = paintFor(values.color, process.stdout);
    const findings = await survey({
      config: String(values.config ?? CONFIG_DIR),
      vm: positionals[0],
      taps: (values.tap as string[] | undefined) ?? [],
      qemu: values.qemu as string | undefined,
    });
    const json = () => `${JSON.stringify(findings, null, 2)}\n`;
    process.stdout.write(values.json === true ? json() : checkScreen(findings, paint));
    return verdict(findings).status;
  },
};
