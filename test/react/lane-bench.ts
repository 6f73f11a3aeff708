/** A lane of a consumer over events, a record and a clock in memory. */
import { setImmediate } from 'node:timers/promises'
import { onTestFinished } from 'vitest'
import { IdSource } from '../../src/log/identity.ts'
import type { FeedEvent } from '../../src/read/event-feed.ts'
import type { Consumer, Handling, Reaction } from '../../src/react/consumer.ts'
import { ConsumerLane } from '../../src/react/consumer-lane.ts'
import { ParkedWarnings } from '../../src/react/parked-warnings.ts'
import { Room } from '../../src/read/room.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { EventRow, shardOf } from '../read/event-row.ts'
import { MemoryEffects } from './memory-effects.ts'

/** The shard of streams `a/0`, `a/3`, `a/6` … */
export const SHARD = shardOf('a/0')

export class LaneBench {
  readonly clock = new SimulatedClock()
  readonly row = new EventRow()
  readonly effects = new MemoryEffects()
  readonly warnings: string[] = []
  readonly windows: Room
  /** Events that were begun, and those that were handled, in order. */
  readonly begun: string[] = []
  readonly done: string[] = []
  /** Events whose handlers fail. */
  readonly poison = new Set<string>()
  onHandle: (event: FeedEvent, reaction: Reaction) => unknown = () => undefined
  /** More may be known of first attempts. */
  onTried: (stream?: string) => void = () => undefined
  readonly #settings: Partial<Consumer>
  #lanes = 0

  constructor(settings: Partial<Consumer> = {}, windows: Room = new Room()) {
    this.#settings = settings
    this.windows = windows
    // What operators do stands among the events of the shard.
    this.effects.onRecorded = (stream, type) => void this.row.add(type, stream)
  }

  /** Events of type `Done`, one for each of these streams. */
  add(...streams: readonly string[]): void {
    for (const stream of streams) this.row.add('Done', stream)
  }

  open(does?: Handling, more: Partial<Consumer> = {}): ConsumerLane {
    const consumer: Consumer = {
      kind: 'reactor',
      name: 'mails',
      isWanted: ({ type }) => type === 'Done',
      startAt: 'beginning',
      onFailure: 'park',
      retries: 1,
      handlerTimeoutMs: 10_000,
      concurrency: 4,
      does: does ?? { one: (event, reaction) => this.#handle(event, reaction) },
      ...this.#settings,
      ...more,
    }
    const onWarning = (message: string): void => void this.warnings.push(message)
    const warnings = new ParkedWarnings('reactor mails', { clock: this.clock, onWarning })
    const lane = new ConsumerLane({
      consumer,
      shard: SHARD,
      feeds: this.row.feeds('shard'),
      effects: this.effects,
      // Two that run at once give their steps ids of their own.
      ids: new IdSource(this.clock, new SeededRandom((this.#lanes += 1))),
      clock: this.clock,
      windows: this.windows,
      onWarning,
      onParked: (event, error) => warnings.parked(event, error),
      onTried: (stream) => this.onTried(stream),
    })
    onTestFinished(() => this.during(lane.close(0)))
    return lane
  }

  async turns(count = 5): Promise<void> {
    for (let turn = 0; turn < count; turn += 1) await setImmediate()
  }

  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 50) {
      await this.turns(2)
      this.clock.advance(50)
    }
    await this.turns()
  }

  async until(isSo: () => boolean): Promise<void> {
    for (let turn = 0; turn < 4_000; turn += 1) {
      if (isSo()) return
      await setImmediate()
      this.clock.advance(10)
    }
    throw new Error(`it does not come: ${JSON.stringify({ done: this.done, warnings: this.warnings })}`)
  }

  /** What work comes to while time passes. */
  async during<Result>(work: Promise<Result>): Promise<Result> {
    let isSettled = false
    const settle = (): void => void (isSettled = true)
    work.then(settle, settle)
    await this.until(() => isSettled)
    return await work
  }

  /** As an operator does it. */
  async operate(name: string, payload?: object): Promise<void> {
    const stream = this.effects.inShard(SHARD, '$consumer', 'reactor:mails')
    const cause = { correlationId: '', causationId: '', after: 0 }
    await this.effects.ask({ stream, name, payload, commandId: `${this.effects.steps.length} ${name}`, ...cause })
  }

  #handle(event: FeedEvent, reaction: Reaction): unknown {
    this.begun.push(event.id)
    if (this.poison.has(event.id)) throw new Error(`${event.id} is poison`)
    const returned = this.onHandle(event, reaction)
    if (!(returned instanceof Promise)) {
      this.done.push(event.id)
      return returned
    }
    return returned.then(() => this.done.push(event.id))
  }
}
