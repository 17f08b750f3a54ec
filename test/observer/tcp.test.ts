import test from 'ava';
import { parseTcp } from '../../lab/observer/frames.ts';
import { Offences } from '../../lab/observer/offences.ts';
import { TcpJudge } from '../../lab/observer/tcp-judge.ts';
import { CLIENT_IP, type Segment, tcp } from './frame-builder.ts';

const ISN = 0xffffff00;
const CLIENT_ISN = 1000;

class Talk {
  readonly offences = new Offences();
  readonly judge = new TcpJudge(this.offences, 4);
  guest(segment: Segment, port = 50_000): this {
    this.judge.guest(parseTcp(tcp(7, port, segment))!, CLIENT_IP, 'hostA', 0);
    return this;
  }
  client(segment: Segment, port = 50_000): this {
    this.judge.client(parseTcp(tcp(port, 7, segment))!, CLIENT_IP);
    return this;
  }
  /** A connection that has said 8 bytes both ways; the guest's numbers wrap soon. */
  connected(isn = ISN, clientIsn = CLIENT_ISN): this {
    this.client({ sequence: clientIsn, flags: 'S' });
    this.guest({ sequence: isn, acknowledgement: clientIsn + 1, flags: 'SA' });
    this.client({
      sequence: clientIsn + 1,
      acknowledgement: isn + 1,
      payload: Buffer.from('question'),
    });
    return this.guest({
      sequence: isn + 1,
      acknowledgement: clientIsn + 9,
      payload: Buffer.from('answer 1'),
    });
  }
  get wrong(): string {
    return this.offences.texts().join();
  }
}

test('an ordinary connection, its retransmissions and its end are no offence', t => {
  const talk = new Talk().connected();
  const long = Buffer.alloc(1000, 'x');
  talk.guest({ sequence: ISN + 9, acknowledgement: CLIENT_ISN + 9, payload: long });
  talk.guest({
    sequence: ISN + 5,
    acknowledgement: CLIENT_ISN + 9,
    payload: Buffer.from('er 1xxxx'),
  });
  talk.guest({ sequence: ISN + 1008, acknowledgement: CLIENT_ISN + 9 });
  talk.client({ sequence: CLIENT_ISN + 9, flags: 'FA' });
  talk.guest({ sequence: ISN + 1009, acknowledgement: CLIENT_ISN + 10, flags: 'FA' });
  talk.guest({ sequence: ISN + 1010, flags: 'R' });
  t.is(talk.wrong, '');
  t.like(talk.judge.summary(), {
    connections: 1,
    contradicted: 0,
    payloadBytes: 1016,
    retransmittedBytes: 8,
    unjudgedBytes: 0,
    acksBack: 0,
  });
});

test('other bytes under the same numbers are a contradiction, also after the wrap', t => {
  const first = new Talk().connected().guest({ sequence: ISN + 3, payload: Buffer.from('swer 2') });
  t.regex(first.wrong, /port 7 to 10\.0\.0\.1:50000 on hostA.*another byte at sequence 4294967048/);
  const wrapped = new Talk().connected();
  wrapped.guest({ sequence: ISN + 9, payload: Buffer.alloc(600, 'x') });
  wrapped.guest({ sequence: ISN + 500, payload: Buffer.from('xxxxy') });
  t.regex(wrapped.wrong, /another byte at sequence 248 /);
  t.is(wrapped.judge.summary().contradicted, 1);
});

test('holes in what was captured are filled, not judged', t => {
  const talk = new Talk().connected();
  talk.guest({ sequence: ISN + 29, payload: Buffer.from('later') });
  talk.guest({ sequence: ISN + 9, payload: Buffer.alloc(25, 'l').fill('later', 20) });
  t.is(talk.wrong, '');
  t.is(talk.judge.summary().retransmittedBytes, 5);
});

test('acknowledging what was never sent is a contradiction', t => {
  const talk = new Talk().connected();
  talk.guest({ sequence: ISN + 9, acknowledgement: CLIENT_ISN + 9 });
  t.is(talk.wrong, '');
  talk.guest({ sequence: ISN + 9, acknowledgement: CLIENT_ISN + 12 });
  t.regex(talk.wrong, /acknowledges 3 bytes that were never sent/);
});

test('acknowledging less than before is counted apart', t => {
  const talk = new Talk().connected().guest({ sequence: ISN + 9, acknowledgement: CLIENT_ISN + 1 });
  t.is(talk.wrong, '');
  t.is(talk.judge.summary().acksBack, 1);
});

test('without the client side acknowledgements are not judged', t => {
  const talk = new Talk().guest({ sequence: 1, acknowledgement: 2, payload: Buffer.from('x') });
  talk.guest({ sequence: 2, acknowledgement: 99 });
  t.is(talk.wrong, '');
});

test('resetting a connection in use is a contradiction', t => {
  t.regex(
    new Talk().connected().guest({ sequence: ISN + 9, flags: 'R' }).wrong,
    /resets a connection/,
  );
  const lost = new Talk().client({ sequence: 5, acknowledgement: 5, payload: Buffer.from('data') });
  t.regex(lost.guest({ sequence: 5, flags: 'R' }).wrong, /resets a connection/, 'state lost');
});

test('refusing a connection is none', t => {
  const talk = new Talk().client({ sequence: 5, flags: 'S' });
  talk.guest({ sequence: 0, acknowledgement: 6, flags: 'RA' });
  t.is(talk.wrong, '');
  t.is(talk.judge.summary().refused, 1);
});

test('answering one opening twice, with two numbers, is a contradiction', t => {
  const talk = new Talk().client({ sequence: CLIENT_ISN, flags: 'S' });
  talk.guest({ sequence: 1, acknowledgement: CLIENT_ISN + 1, flags: 'SA' });
  talk.guest({ sequence: 1, acknowledgement: CLIENT_ISN + 1, flags: 'SA' });
  t.is(talk.wrong, '');
  talk.guest({ sequence: 2, acknowledgement: CLIENT_ISN + 1, flags: 'SA' });
  t.regex(talk.wrong, /starts again with sequence 2, after 1/);
});

test('a port used again is a new connection, whoever opens it', t => {
  const served = new Talk().connected();
  served.client({ sequence: CLIENT_ISN + 9, flags: 'FA' });
  served.connected(77, 88);
  t.is(served.wrong, '');
  const opened = new Talk();
  for (const [isn, peerIsn] of [
    [100, 500],
    [9000, 7],
  ] as const) {
    opened.guest({ sequence: isn, flags: 'S' });
    opened.client({ sequence: peerIsn, acknowledgement: isn + 1, flags: 'SA' });
    opened.guest({
      sequence: isn + 1,
      acknowledgement: peerIsn + 1,
      payload: Buffer.from(`${isn}`),
    });
    opened.guest({
      sequence: isn + 1 + `${isn}`.length,
      acknowledgement: peerIsn + 1,
      flags: 'FA',
    });
  }
  t.is(opened.wrong, '');
});

test('too many connections make room: closed ones first, then the oldest, counted', t => {
  const talk = new Talk();
  for (let port = 1; port <= 4; port++)
    talk.guest({ sequence: 1, flags: port < 4 ? 'A' : 'FA' }, port);
  talk.guest({ sequence: 1 }, 5);
  t.is(talk.judge.summary().untracked, 0);
  talk.guest({ sequence: 1 }, 6);
  t.like(talk.judge.summary(), { untracked: 1, connections: 6 });
});
