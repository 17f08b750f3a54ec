/** The primary role, as coordinator/primary.ts: looks for a backup, runs the protection, watches the peer. */
import { CurlingError } from '../../common/errors.ts';
import type { Owner } from '../../coordinator/arbitration/register.ts';
import { SenderSession } from '../../coordinator/replication/sender.ts';
import { MAIN_BYTES } from './guest.ts';
import { type Life, TIMES } from './life.ts';
import { End } from './network.ts';
import { LocalConnection, type SimTimer } from './process.ts';
import { SimProtection } from './protection.ts';
import type { SimQemu } from './qemu.ts';
import { SimWatch } from './watch.ts';
import { VM } from './witness.ts';

const END_ATTEMPTS = 3;
const CHECKPOINTS_MAX = 3;

export class SimPrimary {
  readonly #life: Life;
  #qemu: SimQemu | undefined;
  #monitor: LocalConnection | undefined;
  #seekTimer: SimTimer | undefined;
  #nextPeer = 0;
  #link: SenderSession | undefined;
  #peer: Owner | undefined;
  #watch: SimWatch | undefined;
  protection: SimProtection | undefined;
  #lastTaken = -1;

  constructor(life: Life) {
    this.#life = life;
  }

  get guest(): SimQemu | undefined {
    return this.#qemu;
  }

  attach(qemu: SimQemu): void {
    this.#qemu = qemu;
    const monitor = new LocalConnection(this.#life.process, qemu.process, () => {
      if (this.#qemu !== qemu) return;
      this.#link?.guestLost('QEMU is gone');
      this.#life.dispatch({ type: 'guest-lost', reason: 'QEMU is gone' });
    });
    this.#monitor = monitor;
  }

  detach(): void {
    this.leave();
    this.#qemu = undefined;
  }

  leave(): void {
    this.#dropLink('this host does not run the machine any more');
    this.protection = undefined;
  }

  /** Ends the guest's QEMU. */
  quit(done: () => void): void {
    const qemu = this.#qemu;
    if (!qemu?.process.alive) return done();
    // Its answer is the end of the connection; a QEMU that stands still ends when it wakes.
    const { process } = this.#life;
    let over = false;
    qemu.process.onDeath(() => {
      process.loop.after(0.1, () =>
        process.read(() => {
          if (over) return;
          over = true;
          done();
        }),
      );
    });
    process.effect(() =>
      process.loop.after(0.05, () => qemu.process.read(() => qemu.process.kill())),
    );
  }

  seek(): void {
    this.#life.process.clear(this.#seekTimer);
    this.#seekTimer = this.#life.process.timer(TIMES.seekMs / 10, () => this.#seekOnce());
  }

  begin(): boolean {
    if (this.protection?.phase !== 'held') return false;
    this.protection.begin();
    return true;
  }

  activate(): void {
    this.protection?.activate();
  }

  /** The operator wants the backup to take over. */
  yieldTo(reason: string): void {
    this.#link?.guestLost(reason);
  }

  endProtection(done: () => void): void {
    const { protection } = this;
    this.protection = undefined;
    if (protection) this.#lastTaken = Math.max(this.#lastTaken, protection.takenEpoch);
    this.#dropLink('protection has ended');
    this.#end(protection, 0, () => {
      this.seek();
      done();
    });
  }

  #end(protection: SimProtection | undefined, attempt: number, done: () => void): void {
    if (!protection || attempt === END_ATTEMPTS) return done();
    const ended = (error: Error | null) => {
      if (error && this.#monitor?.open) this.#end(protection, attempt + 1, done);
      else done();
    };
    if (attempt === 0) protection.end(this.#monitor, ended);
    else this.#monitor?.call(() => this.#qemu?.endColo(), ended);
  }

  get #mayProtect(): boolean {
    const state = this.#life.state();
    return (
      !this.protection && !this.#link && state.name === 'SOLO' && state.running && !!this.#qemu
    );
  }

  #seekOnce(): void {
    const peers = this.#life.sim.hosts.filter(host => host !== this.#life.host);
    if (!this.#mayProtect || peers.length === 0) return;
    const peer = peers[this.#nextPeer++ % peers.length]!;
    // What describes the guest takes a few questions to its monitor.
    this.#monitor?.call(
      () => this.#qemu?.guest !== undefined,
      error => {
        if (error) this.#later();
        else if (this.#mayProtect) this.#dial(peer.index);
      },
      TIMES.commandTimeoutMs,
    );
  }

  #later(): void {
    this.#life.process.clear(this.#seekTimer);
    this.#seekTimer = this.#life.process.timer(TIMES.seekMs, () => this.#seekOnce());
  }

  #dial(to: number): void {
    const { sim, process, host, state } = this.#life;
    const { generation, me, lastEpoch } = state();
    const end: End = new End(sim.network, process, host.index, {
      opened: () => link.start(),
      data: bytes => link.channel.receive(bytes, process.loop.now),
      closed: how => {
        const code = how === 'refused' ? 'CURLING_CONNECT' : 'CURLING_CONNECTION_LOST';
        if (how === 'refused') link.channel.destroy(new CurlingError(code, 'nobody listens'));
        else link.channel.lost();
      },
    });
    const link: SenderSession = new SenderSession(
      {
        vm: VM,
        host: host.name,
        guest: {},
        generation,
        mainBytes: MAIN_BYTES,
        epoch: Math.max(0, lastEpoch),
        sender: me.incarnation,
        checkpointsMax: CHECKPOINTS_MAX,
      },
      end,
      {
        welcome: welcome => {
          if (state().name !== 'SOLO') return this.#dropLink('not wanted any more');
          this.#peer = { host: welcome.host, incarnation: welcome.receiver };
          this.#watch = new SimWatch(process, TIMES, () => {
            this.#dropLink('the backup is silent');
            this.#peerLost('the backup was silent');
          });
          this.#protect(link);
        },
        ack: epoch => this.#acknowledged(epoch),
        windowOpen: () => this.protection?.windowOpen(),
        heard: now => this.#watch?.heard(now),
        refused: () => {},
        bye: () => {},
        closed: error => {
          if (link !== this.#link) return;
          this.#link = undefined;
          this.#peerLost(error?.message ?? 'the connection to the backup closed');
        },
      },
    );
    this.#link = link;
    sim.connect(end, to);
    sim.beat(process, link.channel, () => link.state === 'ready');
    process.timer(TIMES.dialTimeoutMs, () => {
      if (link.state !== 'greeting') return;
      link.channel.destroy(new CurlingError('CURLING_TIMEOUT', 'the backup did not answer'));
    });
  }

  #protect(link: SenderSession): void {
    const { generation, lastEpoch } = this.#life.state();
    const epoch = Math.max(lastEpoch, this.#lastTaken) + 1;
    this.protection = new SimProtection(
      this.#life,
      { generation: generation + 1, epoch, link, qemu: this.#qemu! },
      {
        snapshot: snapshot => {
          this.#life.sim.point('R1-snapshot', this.#life.host);
          this.#life.dispatch({ type: 'protect-requested', snapshot });
        },
        // The monitor closes as well, and says it.
        guestLost: () => {},
      },
    );
    this.protection.start();
  }

  #acknowledged(epoch: number): void {
    const { state, dispatch, sim, host } = this.#life;
    const { name, generation, snapshot } = state();
    const peer = this.#peer;
    if (!peer) return;
    if (name === 'SYNC' && epoch === snapshot) {
      sim.point('R4-copy-acknowledged', host);
      dispatch({ type: 'full-acked', generation: generation + 1, epoch, from: peer });
      return;
    }
    const pair = name === 'SRES' ? generation + 1 : generation;
    if (name === 'PROT') sim.point('E13-acknowledged', host);
    dispatch({ type: 'ack', generation: pair, epoch, incarnation: peer.incarnation });
  }

  #peerLost(reason: string): void {
    this.#watch?.stop();
    const incarnation = this.#peer?.incarnation;
    const { state, dispatch } = this.#life;
    if (state().name === 'SOLO') {
      if (this.protection) this.endProtection(() => this.#later());
      else this.#later();
      return;
    }
    // Nobody says this in production; a sabotaged build would listen.
    if (this.#life.sim.mutated && state().name === 'SRES') dispatch({ type: 'give-up', reason });
    dispatch({ type: 'suspect-peer', reason, ...(incarnation ? { incarnation } : {}) });
  }

  #dropLink(reason: string): void {
    this.#watch?.stop();
    this.#watch = undefined;
    const link = this.#link;
    this.#link = undefined;
    link?.bye(reason);
  }
}
