import test from 'ava';
import { pino } from 'pino';
import { type Reloadable, reloadService } from '../../common/reload.ts';

function configuration(logLevel: string, keys?: Record<string, string>): Reloadable {
  if (!keys) return { logLevel };
  const pairs = Object.entries(keys).map(([host, key]) => [host, Buffer.from(key)] as const);
  return { logLevel, credentials: { kind: 'keys', keys: new Map(pairs) } };
}

test('what has changed is said, and only that', t => {
  const log = pino({ level: 'info', enabled: false });
  log.level = 'info';
  const running = configuration('info', { a: '1', b: '2' });
  const reload = (level: string, keys?: Record<string, string>) =>
    reloadService(log, running, configuration(level, keys));
  t.is(reload('info', { a: '1', b: '2' }), 'nothing has changed');
  t.is(reload('info', { a: '1', b: '3' }), 'keys of a, b');
  t.is(reload('info', { a: '1', b: '3' }), 'nothing has changed');
  t.is(reload('debug', { a: '1', b: '3' }), "the log's level is debug");
  t.is(reload('warn', { b: '3' }), "the log's level is warn; keys of b");
  t.is(reload('warn', {}), 'keys of no host');
  t.is(reload('warn'), 'nothing has changed');
  t.is(log.level, 'warn');
});

test('a daemon without keys has a level all the same', t => {
  const log = pino({ level: 'info', enabled: false });
  log.level = 'info';
  t.is(reloadService(log, { logLevel: 'info' }, { logLevel: 'info' }), 'nothing has changed');
  t.is(reloadService(log, { logLevel: 'info' }, { logLevel: 'warn' }), "the log's level is warn");
});
