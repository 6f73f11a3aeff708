/** Whether a row of events goes on as its feed promises: in order, and of a whole row one by one (I4). */
import { BEGINNING, type AllPlace } from './all.ts'
import { feedBroken } from './error.ts'
import type { EventFeed, FeedEvent } from './event-feed.ts'
import { comparePlaces } from './place.ts'

export class Continuity {
  readonly #lane: string
  /** The only one that the lane has, where it has one. */
  readonly #shard: number | undefined
  readonly #isWhole: boolean
  /** Up to where it was accepted. */
  #place: AllPlace = BEGINNING
  /** By shard: the last event's number up to there, where it is known. */
  readonly #seqs = new Map<number, number>()
  /** All shards that have had events are in `#seqs`. */
  #isFromBeginning = true
  /** Up to where it was checked, and the numbers since what was accepted. */
  #checked: AllPlace = BEGINNING
  readonly #since = new Map<number, number>()

  constructor(lane: string, { isWhole }: EventFeed) {
    this.#lane = lane
    this.#shard = lane === 'all' ? undefined : Number(lane)
    this.#isWhole = isWhole
  }

  /** The row is read behind this place from now on. */
  startAt(place: AllPlace): void {
    this.#since.clear()
    this.#checked = place
    if (comparePlaces(place, this.#place) === 0) return
    this.#seqs.clear()
    this.#place = place
    this.#isFromBeginning = comparePlaces(place, BEGINNING) === 0
  }

  /** The next events of the row, which reach to this place. @throws PenholdError `FeedBroken` */
  check(events: readonly FeedEvent[], to: AllPlace): void {
    for (const event of events) {
      if (this.#shard !== undefined && this.#shard !== event.shard) {
        throw this.#broken(`${textOf(event)} is not of this lane`)
      }
      const { position, shard } = this.#checked
      if (comparePlaces(event, this.#checked) <= 0) {
        throw this.#broken(`${textOf(event)} comes behind position ${position} of shard ${shard}`)
      }
      if (this.#isWhole) this.#count(event)
      this.#checked = event
    }
    if (comparePlaces(to, this.#checked) < 0) {
      throw this.#broken(`the feed goes back from position ${this.#checked.position} to ${to.position}`)
    }
    this.#checked = to
  }

  /** What was checked has taken effect up to its end. */
  accept(): void {
    for (const [shard, seq] of this.#since) this.#seqs.set(shard, seq)
    this.#since.clear()
    this.#place = this.#checked
  }

  #count(event: FeedEvent): void {
    const { shard, seq } = event
    const before = this.#since.get(shard) ?? this.#seqs.get(shard) ?? (this.#isFromBeginning ? 0 : undefined)
    if (before !== undefined && seq !== before + 1) {
      throw this.#broken(`${textOf(event)} has seq ${seq}, and ${before + 1} was to come`)
    }
    this.#since.set(shard, seq)
  }

  #broken(problem: string): Error {
    return feedBroken(this.#lane, this.#place, problem)
  }
}

function textOf({ stream, version, shard, position }: FeedEvent): string {
  return `version ${version} of ${stream}, in shard ${shard} at position ${position},`
}
