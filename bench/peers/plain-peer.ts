/** A guest without protection, and the same guest behind QEMU's filter-buffer. */
import { CurlingError, messageOf } from '../../common/errors.ts';
import { QmpClient } from '../../common/qmp/client.ts';
import type { GuestImage } from '../../lab/image.ts';
import { Lab } from '../../lab/lab.ts';
import { startGuest } from '../../lab/qemu.ts';
import { NotRunnable } from '../scenario.ts';
import { bufferCommand } from './colo-plan.ts';
import type { Peer } from './peer.ts';

const FILTER = 'buffer0';

export class PlainPeer implements Peer {
  readonly lab: Lab;
  readonly #qmp: QmpClient;
  #filtered = false;

  private constructor(lab: Lab, qmp: QmpClient) {
    this.lab = lab;
    this.#qmp = qmp;
  }

  static async start(image: GuestImage): Promise<PlainPeer> {
    const lab = await Lab.create();
    try {
      const { qmpPath } = await startGuest(lab.host('a'), { image });
      return new PlainPeer(lab, await QmpClient.connect(qmpPath));
    } catch (error) {
      await lab.destroy();
      throw error;
    }
  }

  /** `unprotected`, or `buffer-N`: filter-buffer with N ms. @throws NotRunnable when QEMU refuses it */
  async configure(variant: string): Promise<void> {
    if (this.#filtered) await this.#qmp.execute('object-del', { id: FILTER });
    this.#filtered = false;
    const [, ms] = /^buffer-(\d+)$/.exec(variant) ?? [];
    if (ms === undefined) return;
    const { execute, arguments: args } = bufferCommand(FILTER, Number(ms) * 1000);
    await this.#qmp.execute(execute, args).catch(error => {
      throw new NotRunnable(messageOf(error));
    });
    this.#filtered = true;
  }

  async pauses(): Promise<undefined> {
    if (this.#qmp.closedBy)
      throw new CurlingError('CURLING_CONNECTION_LOST', this.#qmp.closedBy.message);
  }

  async takeOver(): Promise<undefined> {}

  async close(): Promise<void> {
    this.#qmp.close();
    await this.lab.destroy();
  }
}
