/** `curlingctl top`: the machines of this host, live. */
import os from 'node:os';
import { COLOR_OPTION, paintFor } from './color.ts';
import { type CtlCommand, SOCKET_OPTION, socketsIn, usageError } from './command.ts';
import { coordinatorSockets } from './sockets.ts';
import { type TopMachine, topOrder, topScreen } from './top/screen.ts';
import { type Key, Terminal } from './top/terminal.ts';
import { Watcher } from './top/watcher.ts';

const EVERY_MS = 1_000;

export const TOP: CtlCommand = {
  usage: '',
  words: 'none',
  summary: 'shows the machines of this host live, with their last minute',
  options: { ...SOCKET_OPTION, ...COLOR_OPTION },
  notes: ['Keys: q ends it, the arrows choose a machine.'],
  async run(line) {
    const { stdin, stdout } = process;
    if (!stdin.isTTY || !stdout.isTTY)
      throw usageError('top needs a terminal; status --watch S writes to a file too', 'top');
    const paint = paintFor(line.values.color, stdout);
    const watchers = new Map<string, Watcher>();
    let machines: TopMachine[] = [];
    let selected: string | undefined;
    let over = () => {};
    const ended = new Promise<void>(resolve => {
      over = resolve;
    });
    const draw = () => {
      const state = { host: os.hostname(), machines, selected, nowMs: Date.now() };
      terminal.draw(topScreen(state, terminal.size, paint));
    };
    const onKey = (key: Key) => {
      if (key === 'quit') return over();
      selected = neighbour(machines, selected, key);
      draw();
    };
    const terminal = new Terminal(stdin, stdout, onKey, draw);
    let timer: NodeJS.Timeout | undefined;
    let isOver = false;
    const look = async () => {
      machines = await lookAt(coordinatorSockets(socketsIn(line)), watchers);
      // A look that was under way at the end must not begin another one.
      if (isOver) return;
      draw();
      timer = setTimeout(look, EVERY_MS);
    };
    try {
      draw();
      const looking = look();
      await Promise.race([ended, looking.then(() => ended)]);
    } finally {
      isOver = true;
      clearTimeout(timer);
      terminal.close();
      for (const watcher of watchers.values()) watcher.close();
    }
    return undefined;
  },
};

/** Looks at those that are there now; those that have gone are forgotten. */
async function lookAt(
  sockets: readonly string[],
  watchers: Map<string, Watcher>,
): Promise<TopMachine[]> {
  for (const [socket, watcher] of watchers) {
    if (sockets.includes(socket)) continue;
    watcher.close();
    watchers.delete(socket);
  }
  for (const socket of sockets)
    if (!watchers.has(socket)) watchers.set(socket, new Watcher(socket));
  return Promise.all([...watchers.values()].map(watcher => watcher.look()));
}

/** The machine above or below the selected one, in the order of the screen. */
function neighbour(
  machines: readonly TopMachine[],
  selected: string | undefined,
  key: 'up' | 'down',
): string | undefined {
  const order = topOrder(machines).map(({ socket }) => socket);
  const at = Math.max(0, order.indexOf(selected ?? ''));
  return order[Math.min(order.length - 1, Math.max(0, at + (key === 'up' ? -1 : 1)))];
}
