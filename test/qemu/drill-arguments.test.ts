/** What of a command line a drill's QEMU gets: the devices, and nothing that the standby or the outside could notice. */
import test from 'ava';
import { drillArguments } from '../../coordinator/qemu/drill-arguments.ts';

/** The words between what is put in front and what is added at the end. */
function inert(...argv: string[]): string[] {
  const words = drillArguments(argv);
  const end = ['-display', 'none', '-monitor', 'none'];
  if (words.slice(-end.length).join() !== end.join()) throw new Error(words.join(' '));
  return words.slice(3, -end.length);
}

test('it ends with whoever started it', t => {
  t.deepEqual(drillArguments(['qemu']).slice(0, 4), ['setpriv', '--pdeathsig', 'KILL', 'qemu']);
});

test('taps become others, with all that the guest sees of them', t => {
  const other = 'ifname=curldrill%d,script=no,downscript=no';
  const cases: Record<string, string> = {
    'tap,id=net0,ifname=tap0,script=no,downscript=no,vhost=off': `tap,id=net0,vhost=off,${other}`,
    'tap,id=net0,fd=23,vhostfd=24,queues=2': `tap,id=net0,queues=2,${other}`,
    'tap,ifname=tap0,id=net0,script=/etc/a,,b,sndbuf=1': `tap,id=net0,sndbuf=1,${other}`,
    'bridge,br=br0,id=net0,helper=/x': `tap,id=net0,${other}`,
    'user,id=n0,hostfwd=tcp::22-:22,restrict=on': 'user,id=n0,restrict=on,restrict=on',
    'hubport,id=h0,hubid=1': 'hubport,id=h0,hubid=1',
  };
  for (const [given, expected] of Object.entries(cases)) {
    t.deepEqual(inert('qemu', '-netdev', given), ['qemu', '-netdev', expected]);
    t.deepEqual(inert('qemu', '--netdev', given), ['qemu', '--netdev', expected]);
  }
  const nic = 'tap,model=virtio,mac=52:54:00:12:34:56,ifname=tap0';
  const kept = `tap,model=virtio,mac=52:54:00:12:34:56,${other}`;
  t.deepEqual(inert('-nic', nic, '-net', nic), ['-nic', kept, '-net', kept]);
  t.deepEqual(inert('-nic', 'none', '-net', 'nic,model=e1000'), [
    ...['-nic', 'none', '-net', 'nic,model=e1000'],
  ]);
  const json = '{"type":"tap","ifname":"tap0","id":"net0","vhost":false}';
  const [, made] = inert('-netdev', json);
  t.deepEqual(JSON.parse(made!), {
    ...{ type: 'tap', id: 'net0', vhost: false },
    ...{ ifname: 'curldrill%d', script: 'no', downscript: 'no' },
  });
});

test('other networks, and options in a file, are refused', t => {
  const refusal = { code: 'CURLING_DRILL' };
  for (const value of ['socket,id=a,listen=:1', 'vhost-user,id=a,chardev=c', '{"type":"vde"}', '{'])
    t.throws(() => inert('-netdev', value), refusal, value);
  t.throws(() => inert('-nic', 'socket,listen=:1'), refusal);
  t.throws(() => inert('-readconfig', 'file'), { ...refusal, message: /-readconfig file/ });
});

test('what the standby listens on, writes to or shows is not taken from it', t => {
  const argv = [
    ...['env', 'A=b', 'qemu', '-nodefaults', '-s', '-daemonize', '-vnc', ':1', '-gdb', 'tcp::1'],
    ...['-qmp', 'unix:a,server=on', '-mon', 'chardev=m', '-pidfile', 'p', '-D', 'log', '-m', '64'],
    ...['-chardev', 'socket,id=m,path=/run/a,server=on,mux=on', '-chardev', 'file,path=f,id=s0'],
    ...['-serial', 'chardev:s0', '-serial', 'file:x', '-parallel', 'none', '-monitor', 'stdio'],
    ...['-object', 'filter-dump,id=d,netdev=n,file=f', '-object', 'rng-random,id=r'],
    ...['-display', 'gtk', '-audiodev', 'alsa,id=snd0,in.dev=x', '-append', '-serial', '-S'],
  ];
  t.deepEqual(inert(...argv), [
    ...['env', 'A=b', 'qemu', '-nodefaults', '-m', '64'],
    ...['-chardev', 'null,id=m,mux=on', '-chardev', 'null,id=s0'],
    ...['-serial', 'chardev:s0', '-serial', 'null', '-parallel', 'none'],
    ...['-object', 'rng-random,id=r', '-audiodev', 'none,id=snd0', '-append', '-serial', '-S'],
  ]);
});
