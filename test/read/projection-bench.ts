/** One projection that notes what it has seen, over a row of events, a store and a clock that a test holds in its hand. */
import { setImmediate } from 'node:timers/promises'
import type { FeedEvent } from '../../src/read/event-feed.ts'
import { defineProjection, type ProjectionSettings } from '../../src/read/projection.ts'
import { RunningProjection } from '../../src/read/running-projection.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { EventRow } from './event-row.ts'
import { FaultyStore } from './faulty-store.ts'

interface Seen {
  readonly seen: string[]
}

export class ProjectionBench {
  readonly clock = new SimulatedClock()
  readonly row: EventRow
  readonly store: FaultyStore<Seen>
  readonly warnings: string[] = []
  /** Ids of events whose handler fails. */
  readonly poison = new Set<string>()
  /** Every call of a handler. */
  readonly calls: string[] = []
  onHandle: (event: { readonly id: string }) => void | Promise<void> = () => undefined
  readonly settings: ProjectionSettings

  constructor(
    settings: ProjectionSettings = {},
    { row = new EventRow(), store = new FaultyStore<Seen>(() => ({ seen: [] })) } = {},
  ) {
    this.settings = settings
    this.row = row
    this.store = store
  }

  async open(lanes: readonly string[] = this.row.feeds(this.settings.order).lanes): Promise<RunningProjection<Seen>> {
    const projection = defineProjection({
      name: 'seen',
      from: 'all',
      store: this.store,
      on: {
        Done: async (event, { seen }) => {
          this.calls.push(event.id)
          seen.push(event.id)
          await this.onHandle(event)
          if (this.poison.has(event.id)) throw new Error(`${event.id} is poison.`)
        },
      },
      ...this.settings,
    })
    const running = await RunningProjection.open({
      projection,
      feeds: this.row.feeds(this.settings.order),
      clock: this.clock,
      onWarning: (message) => this.warnings.push(message),
    })
    await running.run(lanes)
    return running
  }

  add(...streams: readonly string[]): FeedEvent[] {
    return streams.map((stream) => this.row.add('Done', stream))
  }

  seen(generation = this.store.live): readonly string[] {
    return this.store.generation(generation).model.seen
  }

  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 50) {
      for (let turn = 0; turn < 3; turn += 1) await setImmediate()
      this.clock.advance(50)
    }
    for (let turn = 0; turn < 3; turn += 1) await setImmediate()
  }

  async until(isSo: () => boolean | Promise<boolean>): Promise<void> {
    for (let round = 0; round < 2_000; round += 1) {
      if (await isSo()) return
      await this.pass(50)
    }
    throw new Error('it never came to be so')
  }
}
