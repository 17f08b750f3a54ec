/** The backup role, as coordinator/backup.ts and replication/listener.ts around the production's session. */
import { CurlingError } from '../../common/errors.ts';
import { ReceiverSession } from '../../coordinator/replication/receiver.ts';
import { type Hello, MESSAGE } from '../../coordinator/replication/types.ts';
import { SimKeeper } from './keeper.ts';
import { type Life, TIMES } from './life.ts';
import { End } from './network.ts';
import { LocalConnection, type SimTimer } from './process.ts';
import type { SimQemu } from './qemu.ts';
import { eventually, SimStore } from './store.ts';
import { SimWatch } from './watch.ts';
import { VM } from './witness.ts';

const RESUME_TIMEOUT_MS = 10_000;
const TYPE_OFFSET = 6;

export class SimBackup {
  readonly #life: Life;
  readonly #keeper: SimKeeper;
  store: SimStore;
  #session: ReceiverSession | undefined;
  #watch: SimWatch | undefined;
  #saidBye = false;
  /** What a sabotaged backup has acknowledged before its time. */
  #early = -1;
  #farewell: SimTimer | undefined;

  constructor(life: Life) {
    this.#life = life;
    this.#keeper = new SimKeeper(life);
    this.store = this.#newStore();
  }

  get canResume(): boolean {
    return this.#keeper.hopeful;
  }

  listen(): void {
    this.#keeper.endOrphan();
    this.#life.host.listener = client => this.#accept(client);
  }

  freeze(): void {
    this.#session?.freeze();
  }

  acknowledge(epoch: number): void {
    const { sim, process, host, state } = this.#life;
    const session = this.#session;
    const { identity } = this.store;
    if (session?.state !== 'admitted' || !identity) return;
    if (epoch <= this.#early) return;
    const { me } = state();
    process.effect(() => sim.outside.acked(me, identity.generation, epoch));
    session.ack(epoch);
    if (epoch > 0 && state().name === 'BACK') sim.point('E12-ack-sent', host);
  }

  /** The operator wants this host to take over. */
  takeOver(): void {
    this.#suspect('the operator asked for it');
  }

  /** Resumes the guest from the committed checkpoint. May be tried again. */
  resume(epoch: number, done: (qemu: SimQemu | undefined) => void): void {
    const { sim, process, host, state } = this.#life;
    const guest = this.store.finalize();
    if (guest.epoch !== epoch && !sim.mutated) return done(undefined);
    this.#keeper.ready(standby => {
      if (!standby) return done(undefined);
      process.effect(() => {
        host.loading = standby;
      });
      sim.point('F5-loading', host);
      standby.owner = state().me;
      this.#load(standby, guest, (runs, mayHaveRun) => {
        if (!runs) {
          // A guest that has run has changed the shadow, and may have been heard: another one would contradict it.
          if (mayHaveRun) this.#keeper.end();
          else this.#keeper.discard(standby);
          return done(undefined);
        }
        this.#keeper.release();
        this.#endSession('this host has taken over');
        this.#replaceStore();
        done(standby);
      });
    });
  }

  drop(): void {
    this.#endSession('this backup gave up its copy');
    this.#replaceStore();
    this.#keeper.end();
  }

  /** Feeds the standby, lets its guest run when all is read, and believes that it runs when QEMU says so. */
  #load(
    standby: SimQemu,
    { main, other, device }: { main: Buffer; other: Buffer; device: Buffer },
    done: (runs: boolean, mayHaveRun: boolean) => void,
  ): void {
    const { process, sim, host } = this.#life;
    let over = false;
    let mayHaveRun = false;
    const finish = (runs: boolean) => {
      if (over) return;
      over = true;
      monitor.close();
      done(runs, mayHaveRun);
    };
    const monitor = new LocalConnection(process, standby.process, () => finish(false));
    process.timer(RESUME_TIMEOUT_MS, () => finish(false));
    const loaded = () => {
      sim.point('F6-loaded', host);
      monitor.call(
        () => standby.paused,
        (error, paused) => {
          if (error || !paused) return finish(false);
          this.#becomesGuest(standby);
          mayHaveRun = true;
          monitor.call(() => standby.cont(), runs);
        },
      );
    };
    const runs = (failed: Error | null) => {
      if (failed) return finish(false);
      monitor.call(
        () => standby.running,
        (error, on) => finish(!error && on!),
      );
    };
    process.effect(() => {
      process.loop.after(0.05, () =>
        standby.process.read(() =>
          standby.incoming(main, other, device, () => monitor.tell(loaded)),
        ),
      );
    });
  }

  /** Whoever starts after us must not end it as a standby, but go on with it. */
  #becomesGuest(standby: SimQemu): void {
    const { process, host } = this.#life;
    process.effect(() => {
      host.standby = undefined;
      host.qemu = standby;
      if (host.identity) host.identity.guest = standby;
    });
  }

  #replaceStore(): void {
    this.store.close();
    this.store = this.#newStore();
  }

  #newStore(): SimStore {
    const { sim, host, process, state } = this.#life;
    const store: SimStore = new SimStore({
      work: done => void process.timer(1, done),
      passed: (point, epoch) => {
        if (point === 'aborted') return sim.reached('a checkpoint was given up half way');
        const incremental = state().name === 'BACK' || state().name === 'FROZ';
        if (point === 'committed' && process.alive) {
          const { identity, deviceState } = store;
          const { host: name, incarnation } = state().me;
          const moment = {
            steps: deviceState!.readUInt32BE(0),
            version: deviceState!.readUInt32BE(4),
          };
          const owner = { host: name, incarnation };
          sim.outside.committed(owner, identity!.generation, epoch, moment);
        }
        if (!incremental) return;
        if (point === 'verified') sim.point('E10-verified', host);
        else if (point === 'committed') sim.point('E11-committed', host);
        else sim.point('E16-applied', host);
      },
    });
    return store;
  }

  #accept(client: End): End {
    const { sim, process, host, state } = this.#life;
    const end: End = new End(sim.network, process, host.index, {
      data: bytes => this.#data(session, bytes),
      closed: () => session.channel.lost(),
    });
    end.peer = client;
    const session: ReceiverSession = new ReceiverSession(
      { vm: VM, host: host.name, incarnation: state().me.incarnation },
      this.store,
      end,
      {
        hello: hello => this.#admit(session, hello),
        full: () => this.#mayReceive(),
        committed: epoch => this.#committed(epoch),
        heard: now => {
          if (this.#session === session) this.#watch?.heard(now);
        },
        guestLost: reason => this.#suspect(`the primary says: ${reason}`),
        bye: () => {
          this.#saidBye = true;
        },
        closed: error => {
          if (this.#session !== session) return;
          this.#session = undefined;
          this.#closed(error);
        },
      },
    );
    process.timer(TIMES.handshakeMs, () => {
      if (session.hello) return;
      session.channel.destroy(new CurlingError('CURLING_TIMEOUT', 'no HELLO'));
    });
    sim.beat(process, session.channel, () => session.state === 'admitted');
    return end;
  }

  #data(session: ReceiverSession, bytes: Buffer): void {
    const { sim, host, state, process } = this.#life;
    const back = session === this.#session && state().name === 'BACK';
    if (back && bytes[TYPE_OFFSET] === MESSAGE.commit) {
      sim.point('E9-received', host);
      if (sim.mutation.ackOnArrival) this.#ackEarly(session);
    }
    session.channel.receive(bytes, process.loop.now);
  }

  /** A deliberate defect: says that a checkpoint is committed before it is. */
  #ackEarly(session: ReceiverSession): void {
    const { identity, committed } = this.store;
    if (!identity || committed === undefined || session.state !== 'admitted') return;
    const { me } = this.#life.state();
    const epoch = committed + 1;
    this.#early = epoch;
    const { sim, process } = this.#life;
    process.effect(() => sim.outside.acked(me, identity.generation, epoch));
    session.channel.send(MESSAGE.ack, { ...identity, epoch, vmId: sim.vmId });
  }

  #admit(session: ReceiverSession, hello: Hello): Promise<void> {
    const refuse = (text: string) =>
      eventually((_done, failed) => failed(new CurlingError('CURLING_REPLICATION_REFUSED', text)));
    if (this.#session) {
      this.#life.sim.reached('a second primary was refused');
      return refuse(`host ${this.#session.hello?.host} is the primary already`);
    }
    this.#session = session;
    const { generation, epoch, host, sender } = hello;
    const from = { host, incarnation: sender };
    this.#life.dispatch({ type: 'never-paired', generation, epoch, from });
    if (this.#life.state().name !== 'JOIN') return refuse('no full copy is taken');
    return eventually((done, failed) => {
      this.#keeper.ready(standby => {
        if (!standby) return failed(new CurlingError('CURLING_QEMU_START', 'no standby'));
        try {
          this.#mayReceive();
        } catch (error) {
          return failed(error as Error);
        }
        this.#saidBye = false;
        this.#life.process.clear(this.#farewell);
        this.#watchCopy(session);
        done();
      }, hello.mainBytes > 0);
    });
  }

  #mayReceive(): void {
    const { name } = this.#life.state();
    if (name === 'JOIN') return;
    throw new CurlingError('CURLING_REPLICATION_REFUSED', `${name} takes no full copy`);
  }

  #committed(epoch: number): void {
    const { state, dispatch, process } = this.#life;
    const pair = this.store.identity;
    const hello = this.#session?.hello;
    if (!pair || !hello) return;
    const { generation, sender, receiver } = pair;
    if (state().name !== 'JOIN') {
      return dispatch({ type: 'checkpoint-committed', generation, epoch });
    }
    this.#watch?.stop();
    const silenceMs = TIMES.silenceMs + TIMES.patienceMs;
    this.#watch = new SimWatch(process, { silenceMs, beatMs: TIMES.beatMs }, () =>
      this.#suspect('the primary was silent'),
    );
    const from = { host: hello.host, incarnation: sender };
    dispatch({ type: 'full-received', generation, epoch, from, to: receiver });
  }

  #watchCopy(session: ReceiverSession): void {
    this.#watch?.stop();
    const silenceMs = TIMES.copySilenceMs;
    this.#watch = new SimWatch(this.#life.process, { silenceMs, beatMs: TIMES.beatMs }, () => {
      session.channel.destroy(new CurlingError('CURLING_TIMEOUT', 'silent in its copy'));
    });
  }

  #suspect(reason: string): void {
    const { dispatch } = this.#life;
    if (!this.#keeper.hopeful) return dispatch({ type: 'doubt', reason });
    const incarnation = this.store.identity?.sender;
    dispatch({ type: 'suspect-peer', reason, ...(incarnation ? { incarnation } : {}) });
  }

  #closed(error: CurlingError | undefined): void {
    const { state, dispatch, process } = this.#life;
    const reason = error?.message ?? 'the primary ended the connection';
    if (state().name === 'JOIN') return this.store.abort();
    if (error?.code === 'CURLING_CONNECTION_LOST' && !this.#saidBye) return this.#suspect(reason);
    this.#watch?.stop();
    dispatch({ type: 'doubt', reason });
    this.#farewell = process.timer(TIMES.farewellMs, () => this.#suspect(reason));
  }

  #endSession(reason: string): void {
    this.#life.process.clear(this.#farewell);
    this.#watch?.stop();
    this.#watch = undefined;
    this.#session?.bye(reason);
  }
}
