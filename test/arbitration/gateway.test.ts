import test from 'ava';
import fc from 'fast-check';
import { decodeReply, encodeRequest, PAYLOAD_BYTES } from '../../coordinator/arbitration/echo.ts';
import { GatewayMonitor, OUTSTANDING_MAX } from '../../coordinator/arbitration/gateway.ts';

const A = '10.0.0.1';
const B = '10.0.0.2';

test('an answer proves its gateway for a second from the request on', t => {
  const monitor = new GatewayMonitor([A]);
  t.false(monitor.reachable(0), 'nothing was asked yet');
  monitor.sent(A, 'x', 0);
  t.false(monitor.reachable(10), 'a request proves nothing');
  t.true(monitor.answered(A, 'x', 400));
  t.true(monitor.reachable(1_000));
  t.false(monitor.reachable(1_001));
  monitor.sent(A, 'y', 2_000);
  t.true(monitor.answered(A, 'y', 3_500));
  t.false(monitor.reachable(3_500), 'so late it is no news');
});

test('nobody but the gateway that was asked answers, once, with the payload of its request', t => {
  const monitor = new GatewayMonitor([A, B]);
  monitor.sent(A, 'x', 0);
  for (const [address, token] of [
    [B, 'x'],
    ['10.0.0.3', 'x'],
    [A, 'y'],
  ] as const)
    t.false(monitor.answered(address, token, 1));
  t.false(monitor.reachable(1));
  t.true(monitor.answered(A, 'x', 2));
  t.false(monitor.answered(A, 'x', 3), 'a repeated answer');
  t.deepEqual(monitor.counters, { sent: 1, answered: 1, strange: 4, forgotten: 0 });
});

test('an older answer takes nothing back, and settles no newer request', t => {
  const monitor = new GatewayMonitor([A]);
  monitor.sent(A, 'old', 0);
  monitor.sent(A, 'new', 900);
  t.true(monitor.answered(A, 'old', 950));
  t.true(monitor.answered(A, 'new', 960));
  t.true(monitor.reachable(1_900));
  t.false(monitor.answered(A, 'old', 970));
});

test('any one gateway is enough', t => {
  const monitor = new GatewayMonitor([A, B]);
  monitor.sent(A, 'a', 0);
  monitor.sent(B, 'b', 0);
  t.true(monitor.answered(B, 'b', 1));
  t.true(monitor.reachable(1));
  t.regex(monitor.text, /10\.0\.0\.1, 10\.0\.0\.2/);
  t.is(new GatewayMonitor([A]).text, 'gateway 10.0.0.1 does not answer');
});

test('requests that nobody answers are forgotten, the oldest first', t => {
  const monitor = new GatewayMonitor([A]);
  for (let n = 0; n <= OUTSTANDING_MAX; n++) monitor.sent(A, `${n}`, n);
  t.is(monitor.counters.forgotten, 1);
  t.false(monitor.answered(A, '0', 50));
  t.true(monitor.answered(A, '1', 50));
});

const payload = Buffer.from('0123456789abcdef');
const echo = { identifier: 0x1234, sequence: 7, payload };
const ipv4Header = Buffer.from('4500002c00000000400100000a0000010a000002', 'hex');

/** What the other end makes of a request. */
function reply(family: 4 | 6, request: Buffer): Buffer {
  const bytes = Buffer.from(request);
  if (family === 6) {
    bytes[0] = 129;
    return bytes;
  }
  bytes[0] = 0;
  // The type is in the high byte of the first word of the sum (RFC 1624).
  const sum = bytes.readUInt16BE(2) + 0x0800;
  bytes.writeUInt16BE((sum & 0xffff) + (sum >>> 16), 2);
  return Buffer.concat([ipv4Header, bytes]);
}

test('a request is what RFC 792 and RFC 4443 say, and its reply is read', t => {
  t.is(encodeRequest(4, echo).toString('hex'), `0800b68d12340007${payload.toString('hex')}`);
  t.is(encodeRequest(6, echo).toString('hex'), `8000000012340007${payload.toString('hex')}`);
  for (const family of [4, 6] as const)
    t.deepEqual(decodeReply(family, reply(family, encodeRequest(family, echo))), echo);
});

test('a request, a damaged or a cut reply, and any other packet are not for us', t => {
  for (const family of [4, 6] as const) {
    const good = reply(family, encodeRequest(family, echo));
    for (let length = 0; length < good.length; length++)
      t.is(decodeReply(family, good.subarray(0, length)), undefined);
    t.is(decodeReply(family, Buffer.concat([good, Buffer.from([0])])), undefined);
    t.is(decodeReply(family, encodeRequest(family, echo)), undefined);
  }
  const damaged = reply(4, encodeRequest(4, echo));
  damaged[damaged.length - 1]! ^= 1;
  t.is(decodeReply(4, damaged), undefined);
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 80 }),
      fc.constantFrom(4 as const, 6 as const),
      (bytes, family) => {
        const found = decodeReply(family, Buffer.from(bytes));
        return found === undefined || found.payload.length === PAYLOAD_BYTES;
      },
    ),
  );
  t.pass();
});
