/** The pure parts of the register in etcd, and the options that lead to it. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'ava';
import { openRegister } from '../../coordinator/arbitration/backend.ts';
import { EndpointOrder } from '../../coordinator/arbitration/endpoint-order.ts';
import { encodeTransaction } from '../../coordinator/arbitration/etcd-messages.ts';
import { etcdConfig } from '../../coordinator/arbitration/etcd-options.ts';
import { EtcdRegister } from '../../coordinator/arbitration/etcd-register.ts';
import { WitnessClient } from '../../coordinator/arbitration/witness-client.ts';
import { storePath } from '../witness/support.ts';

const USAGE = { code: 'CURLING_USAGE' };

test('a transaction that writes compares, and reads where it may not', t => {
  const transaction = {
    conditions: [
      { key: 'k', revision: '7' },
      { key: 's', value: 'id' },
    ],
    put: { key: 'k', value: 'v' },
    ranges: ['s', 'k'],
  };
  t.deepEqual(JSON.parse(encodeTransaction(transaction)), {
    compare: [
      { key: 'aw==', result: 'EQUAL', target: 'MOD', mod_revision: '7' },
      { key: 'cw==', result: 'EQUAL', target: 'VALUE', value: 'aWQ=' },
    ],
    success: [{ request_put: { key: 'aw==', value: 'dg==' } }],
    failure: [{ request_range: { key: 'cw==' } }, { request_range: { key: 'aw==' } }],
  });
  t.deepEqual(JSON.parse(encodeTransaction({ ranges: ['k'] })), {
    success: [{ request_range: { key: 'aw==' } }],
  });
});

test('endpoints that failed come last for a while, the longest ago first', t => {
  const order = new EndpointOrder(3);
  t.deepEqual(order.order(0), [0, 1, 2]);
  order.failed(0, 1_000);
  t.deepEqual(order.order(1_000), [1, 2, 0]);
  order.failed(1, 2_000);
  t.deepEqual(order.order(2_000), [2, 0, 1]);
  order.failed(2, 3_000);
  t.deepEqual(order.order(3_000), [0, 1, 2]);
  order.answered(1);
  t.deepEqual(order.order(3_000), [1, 0, 2]);
  t.deepEqual(order.order(6_500), [0, 1, 2]);
});

test('endpoints are origins, and plain ones stay on this machine unless allowed', t => {
  const origins = (...etcd: string[]) =>
    etcdConfig({ etcd })?.endpoints.map(({ origin }) => origin);
  t.is(etcdConfig({}), undefined);
  t.deepEqual(origins('http://127.0.0.1:2379', 'https://e1.example:2379/'), [
    'http://127.0.0.1:2379',
    'https://e1.example:2379',
  ]);
  t.deepEqual(origins('http://[::1]:2379'), ['http://[::1]:2379']);
  const wrong = ['e1:2379', 'ftp://e1', 'https://e1/v3', 'https://u:p@e1', 'https://e1?x', ''];
  for (const url of wrong) t.throws(() => origins(url), USAGE, url);
  for (const url of ['http://192.0.2.9:2379', 'http://127.evil.example'])
    t.throws(() => origins(url), { ...USAGE, message: /--etcd-plaintext/ });
  t.truthy(etcdConfig({ etcd: ['http://192.0.2.9:2379'], 'etcd-plaintext': true }));
  t.throws(() => origins(...new Array<string>(10).fill('https://e1')), USAGE);
});

test('certificates are for https, and come whole', t => {
  const file = path.join(path.dirname(storePath(t)), 'x.pem');
  writeFileSync(file, 'PEM');
  const etcd = ['https://e1:2379'];
  const all = { 'etcd-ca': file, 'etcd-cert': file, 'etcd-key': file };
  const pem = Buffer.from('PEM');
  t.like(etcdConfig({ etcd, ...all }), { ca: pem, cert: pem, key: pem });
  t.is(etcdConfig({ etcd, 'etcd-ca': file })?.cert, undefined);
  t.throws(() => etcdConfig(all), { ...USAGE, message: /--etcd-ca needs --etcd URL/ });
  t.throws(() => etcdConfig({ etcd, 'etcd-cert': file }), { ...USAGE, message: /together/ });
  t.throws(() => etcdConfig({ etcd, 'etcd-ca': `${file}.none` }), USAGE);
  const mixed = [...etcd, 'http://127.0.0.1:1'];
  t.throws(() => etcdConfig({ etcd: mixed, 'etcd-ca': file }), USAGE);
});

test('a register is opened where it is configured', t => {
  const none = { witness: undefined, etcd: undefined, witnessStore: undefined };
  const witness = { host: '127.0.0.1', port: 1 };
  const first = openRegister({ ...none, witness, witnessStore: 'a'.repeat(32) });
  t.true(first instanceof WitnessClient);
  first.close();
  const second = openRegister({ ...none, etcd: { endpoints: [new URL('http://127.0.0.1:1')] } });
  t.true(second instanceof EtcdRegister);
  second.close();
});
