/**
 * A small world around an outbox: shards with events, what runs consumers (a window, a checkpoint, retries, parking), and a
 * place that takes messages. Steps are taken by hand, so that a test says what fails when.
 */
import { deriveId } from '../../src/log/identity.ts'
import { EventFailed, OthersWait, type Consumer } from '../../src/react/consumer.ts'
import type { Effects } from '../../src/react/effects.ts'
import { openOutbox, type OpenOutbox } from '../../src/react/open-outbox.ts'
import type { Outbox } from '../../src/react/outbox.ts'
import type { FeedEvent } from '../../src/read/event-feed.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'

export function eventOf(stream: string, version: number, more: Partial<FeedEvent> = {}): FeedEvent {
  const id = deriveId('event', stream, version)
  return {
    id,
    type: 'Deposited',
    data: { euros: version },
    stream,
    version,
    position: version * 100,
    time: new Date(1_763_700_000_000 + version),
    metadata: { commandId: id, correlationId: 'sale-7', causationId: id },
    shard: 0,
    seq: version,
    ...more,
  }
}

const NONE = new Proxy({} as Effects, {
  get: () => {
    throw new Error('an outbox has no effects in Penhold')
  },
})

/** One shard's lane of an outbox. */
export class OutboxWorld {
  readonly events: FeedEvent[]
  readonly #outbox: Outbox
  #life: OpenOutbox
  /** How many of the events are done with, as the log has it. */
  checkpoint = 0
  readonly parked: FeedEvent[] = []
  readonly #parkedStreams = new Set<string>()
  /** In this life. */
  readonly #done = new Set<FeedEvent>()

  constructor(outbox: Outbox, events: readonly FeedEvent[]) {
    this.#outbox = outbox
    this.events = events.map((event, i) => ({ ...event, seq: i + 1, position: (i + 1) * 100 }))
    this.#life = openOutbox(outbox, new SimulatedClock())
  }

  get consumer(): Consumer {
    return this.#life.consumer
  }

  get isDone(): boolean {
    return this.checkpoint === this.events.length
  }

  /** One attempt at a batch from the checkpoint on. What it comes to: all done, one parked, or nothing. */
  async step(batch: number, { isKept = true } = {}): Promise<'done' | 'parked' | 'waits'> {
    const { consumer } = this
    const { does } = consumer
    if (!('many' in does)) throw new Error('an outbox handles many at once')
    const taken = this.events.slice(this.checkpoint, this.checkpoint + Math.min(batch, does.most))
    const wanted = taken.filter(
      (event) => consumer.isWanted(event) && !this.#parkedStreams.has(event.stream) && !this.#done.has(event),
    )
    const behind = taken.filter((event) => consumer.isWanted(event) && this.#parkedStreams.has(event.stream))
    try {
      const signal = new AbortController().signal
      if (wanted.length > 0) await does.many(wanted, { shard: 0, signal, effects: NONE })
    } catch (error) {
      if (error instanceof OthersWait) for (const event of error.done) this.#done.add(event)
      if (!(error instanceof EventFailed)) return 'waits'
      const at = this.events.indexOf(error.event)
      this.parked.push(...behind.filter((event) => this.events.indexOf(event) < at))
      if (error.isAway) {
        this.checkpoint = at
        return 'waits'
      }
      this.parked.push(error.event)
      this.#parkedStreams.add(error.event.stream)
      this.checkpoint = at + 1
      return 'parked'
    }
    this.parked.push(...behind)
    // A crash may come between.
    if (isKept) this.checkpoint += taken.length
    return 'done'
  }

  /** The process dies, and another goes on from the checkpoint. */
  async crash(): Promise<void> {
    await this.#life.close(() => undefined)
    this.#done.clear()
    this.#life = openOutbox(this.#outbox, new SimulatedClock())
  }
}
