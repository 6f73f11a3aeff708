/**
 * The consumers whose commands may still be decided: of a shard, those of its newest epoch (`CommandMessage.sentIn`). Whoever
 * has claimed a shard sends what its former owner has sent and not recorded, and goes by the answers: what comes of the former
 * one after that, however late, has no effect.
 *
 * A look at the claims counts until more messages come in: a command of a newer owner was sent after its claim, so that
 * whoever looks once it is here sees that.
 */
import { reasonOf } from '../aggregate/error.ts'
import type { Log } from '../log/log.ts'
import { senderSuperseded } from './error.ts'
import type { SentIn } from './message.ts'

export class Senders {
  readonly #log: Pick<Log, 'isLastEpoch'>
  /** By shard, the newest epoch, as far as was looked since the last messages came in. */
  readonly #newest = new Map<number, number>()

  constructor(log: Pick<Log, 'isLastEpoch'>) {
    this.#log = log
  }

  /** More messages have come in. */
  forget(): void {
    this.#newest.clear()
  }

  /** @throws PenholdError `ShardUnavailable` where others send in its place now, or that cannot be seen */
  check(sentIn: SentIn): void {
    const { shard, epoch } = sentIn
    if (epoch === 0 || this.#newest.get(shard) === epoch) return
    let isLast: boolean
    try {
      isLast = this.#log.isLastEpoch(shard, epoch)
    } catch (error) {
      throw senderSuperseded(sentIn, `whether there is a newer one cannot be seen (${reasonOf(error)})`)
    }
    if (!isLast) throw senderSuperseded(sentIn, 'there is a newer one')
    this.#newest.set(shard, epoch)
  }
}
