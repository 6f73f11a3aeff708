/**
 * Two processes that run one projection over a row of events and a store that fails, are stopped, go on as zombies, share
 * lanes and fight for them, rebuild and go back. After each step the store is looked into: whatever has happened, in each
 * generation just those events have taken effect, or are parked, that lie up to its places.
 */
import { setImmediate } from 'node:timers/promises'
import { PenholdError } from '../../src/aggregate/error.ts'
import { BEGINNING } from '../../src/read/all.ts'
import type { FeedEvent } from '../../src/read/event-feed.ts'
import { comparePlaces } from '../../src/read/place.ts'
import { defineProjection, type Projection } from '../../src/read/projection.ts'
import { LaneMoved } from '../../src/read/read-model.ts'
import { isGenerationGone } from '../../src/read/read-model-error.ts'
import { RunningProjection } from '../../src/read/running-projection.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { EventRow, isUpTo, SHARDS } from './event-row.ts'
import { ConnectionLost, FaultyStore, type Fault } from './faulty-store.ts'

/** `times`: its handler fails so often in a row, and then not any more. `for-now`: until it is mended. */
export type Trouble =
  { readonly kind: 'none' } | { readonly kind: 'times'; readonly times: number } | { readonly kind: 'for-now' }

export type Step =
  | { readonly do: 'add'; readonly stream: number; readonly trouble: Trouble; readonly isBeside: boolean }
  | { readonly do: 'add-ignored'; readonly stream: number }
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'faults'; readonly faults: Fault[] }
  | { readonly do: 'away'; readonly isAway: boolean }
  | { readonly do: 'feed-fails' }
  /** The process is stopped, well or by force: then the one that was goes on beside its successor for a while. */
  | { readonly do: 'restart'; readonly process: number; readonly isForced: boolean }
  | { readonly do: 'lanes'; readonly process: number; readonly shards: readonly number[] }
  | { readonly do: 'pause' | 'resume'; readonly process: number }
  | { readonly do: 'mend' }
  | { readonly do: 'retry' | 'skip'; readonly process: number; readonly stream: number; readonly isRebuild: boolean }
  | {
      readonly do: 'rebuild' | 'resume-rebuild' | 'abort-rebuild' | 'promote' | 'roll-back'
      readonly process: number
    }

interface Effects {
  readonly effects: { readonly stream: string; readonly version: number; readonly shard: number }[]
}

export const RETRIES = 2
const ROUNDS_MAX = 4_000
const STREAMS = 5

export class ProjectionWorld {
  readonly clock = new SimulatedClock()
  readonly row = new EventRow()
  readonly store = new FaultyStore<Effects>(() => ({ effects: [] }))
  readonly warnings: string[] = []
  readonly #projection: Projection<Effects>
  readonly #processes: RunningProjection<Effects>[] = []
  readonly #zombies: RunningProjection<Effects>[] = []
  readonly #lanes: (readonly string[])[] = []
  /** By event: how often its handler still fails. */
  readonly #troubles = new Map<string, number>()
  /** By generation. */
  readonly #skipped = new Map<number, Set<string>>()
  /** What the handlers were asked while it was parked in each generation is for the store to say. */
  readonly #problems: string[] = []

  constructor({ order, onFailure }: Pick<Projection, 'order' | 'onFailure'>) {
    this.#projection = defineProjection({
      name: 'effects',
      from: 'all',
      order,
      onFailure,
      retries: RETRIES,
      batchMax: 4,
      store: this.store,
      on: {
        Done: ({ stream, version }, { effects }) => {
          const key = `${stream} ${version}`
          effects.push({ stream, version, shard: this.row.find(stream, version).shard })
          const left = this.#troubles.get(key) ?? 0
          if (left === 0) return
          this.#troubles.set(key, left - 1)
          throw new Error(`not yet: ${left}`)
        },
      },
    })
    this.store.onPromote = (generation) => this.#checkPromotion(generation)
  }

  async start(): Promise<void> {
    for (const process of [0, 1]) await this.#open(process)
    await this.#run(1, [])
    await this.#run(0, this.row.feeds(this.#projection.order).lanes)
  }

  async take(step: Step): Promise<void> {
    // What is done by hand may wait for a swap that is under way.
    await this.#whileTimePasses(this.#take(step))
    await this.#turns(3)
    this.#check()
  }

  /** Everything works again, one process runs all lanes, and what is parked is retried: then all must have taken effect. */
  async end(): Promise<void> {
    this.store.isAway = false
    this.store.faults = []
    this.row.failures = 0
    this.#troubles.clear()
    for (const zombie of this.#zombies) await zombie.close()
    await this.#run(1, [])
    const [last] = this.#processes
    await this.#whileTimePasses(last!.resume())
    const { lanes } = this.row.feeds(this.#projection.order)
    await this.#run(0, lanes)
    // An attempt that was under way in a lane, of what is live or is being rebuilt, may still fail, and halt it after all.
    let halts = 0
    await this.#until(async () => {
      const status = await last!.status()
      const isHalted = status.state === 'halted' || status.rebuild?.state === 'halted'
      if (isHalted && halts < 2 * lanes.length) {
        halts += 1
        await last!.resume()
      }
      // It may have to wait for a swap that is under way.
      if (status.rebuild !== undefined) void last!.promote().catch(() => undefined)
      // What the other has swapped is noticed after a while.
      const isLive = status.generation === this.store.live
      return isLive && status.state === 'caught up' && status.rebuild === undefined
    })
    for (const stream of new Set((await last!.parked({ limit: 1_000 })).map((event) => event.stream))) {
      const retried = await last!.retryParked(stream)
      if (retried.failed !== undefined) this.#problems.push(`${stream} stays parked: ${retried.failed.reason}`)
    }
    this.#check()
    const { live } = this.store
    const { model, parked } = this.store.generation(live)
    const missing = this.#handled().filter(
      ({ stream, version }) =>
        this.#skipped.get(live)?.has(`${stream} ${version}`) !== true &&
        !model.effects.some((effect) => effect.stream === stream && effect.version === version),
    )
    if (missing.length > 0) this.#problems.push(`without effect: ${missing.map(({ id }) => id).join(', ')}`)
    if (parked.size > 0) this.#problems.push(`still parked: ${[...parked.keys()].join(', ')}`)
    for (const process of this.#processes) await process.close()
    if (this.#problems.length > 0) throw new Error(this.#problems.join('\n'))
  }

  async #take(step: Step): Promise<void> {
    switch (step.do) {
      case 'add': {
        const { stream, version } = this.row.add('Done', `a/${step.stream % STREAMS}`)
        // Before a feed has said that nothing else stands at this position.
        if (step.isBeside) this.row.add('Done', `a/${(step.stream + 1) % STREAMS}`, {}, true)
        const times = { none: 0, times: step.trouble.kind === 'times' ? step.trouble.times : 0, 'for-now': 1e9 }
        this.#troubles.set(`${stream} ${version}`, times[step.trouble.kind])
        return
      }
      case 'add-ignored':
        this.row.add('Ignored', `a/${step.stream % STREAMS}`)
        return
      case 'wait':
        return await this.#pass(step.ms)
      case 'faults':
        this.store.faults.push(...step.faults)
        return
      case 'away':
        this.store.isAway = step.isAway
        return
      case 'feed-fails':
        this.row.failures += 1
        this.row.changed.ring()
        return
      case 'restart':
        return await this.#restart(step.process, step.isForced)
      case 'lanes': {
        const { lanes } = this.row.feeds(this.#projection.order)
        return await this.#run(
          step.process,
          lanes.filter((_, index) => step.shards.includes(index)),
        )
      }
      case 'mend':
        this.#troubles.clear()
        return
      case 'pause':
      case 'resume':
      case 'retry':
      case 'skip':
      case 'rebuild':
      case 'resume-rebuild':
      case 'abort-rebuild':
      case 'promote':
      case 'roll-back':
        return await this.#byHand(step)
    }
  }

  async #byHand(step: Extract<Step, { readonly process: number }>): Promise<void> {
    const process = this.#processes[step.process]!
    try {
      switch (step.do) {
        case 'pause':
          return await process.pause()
        case 'resume':
          return await process.resume()
        case 'retry':
          await process.retryParked(`a/${step.stream % STREAMS}`, { generation: step.isRebuild ? 'rebuild' : 'live' })
          return
        case 'skip':
          return await this.#skip(process, `a/${step.stream % STREAMS}`, step.isRebuild ? 'rebuild' : 'live')
        case 'rebuild':
          await process.rebuild()
          return
        case 'resume-rebuild':
          await process.resumeRebuild()
          return
        case 'abort-rebuild':
          return await process.abortRebuild()
        case 'promote':
          return await process.promote()
        case 'roll-back':
          await process.rollBack()
          return
        case 'restart':
        case 'lanes':
      }
    } catch (error) {
      const isRefusal = error instanceof PenholdError && error.code === 'ProjectionState'
      const isFault = error instanceof ConnectionLost || error instanceof LaneMoved
      if (!isRefusal && !isFault && !isGenerationGone(error)) throw error
    }
  }

  async #skip(process: RunningProjection<Effects>, stream: string, generation: 'live' | 'rebuild'): Promise<void> {
    const [parked] = await process.parked({ stream, limit: 1, generation })
    if (parked === undefined) return
    const status = await process.status()
    const number = generation === 'live' ? status.generation : status.rebuild!.generation
    const { version } = parked
    const isParked = (): boolean => this.store.generations.get(number)?.parked.has(`${stream} ${version}`) ?? false
    const wasParked = isParked()
    const skipped = this.#skipped.get(number) ?? new Set()
    this.#skipped.set(number, skipped)
    const before = this.store.generations.get(number)?.model.effects.length
    try {
      await process.skipParked({ stream, version, reason: 'by hand' }, { generation })
    } finally {
      // Also where the answer was lost.
      const isEffect = this.store.generations
        .get(number)
        ?.model.effects.slice(before)
        .some((effect) => effect.stream === stream && effect.version === version)
      if (wasParked && !isParked() && isEffect === false) skipped.add(`${stream} ${version}`)
    }
  }

  async #open(process: number): Promise<void> {
    const { faults, isAway } = this.store
    this.store.faults = []
    this.store.isAway = false
    this.#processes[process] = await RunningProjection.open({
      projection: this.#projection,
      feeds: this.row.feeds(this.#projection.order),
      clock: this.clock,
      onWarning: (message) => this.warnings.push(message),
    })
    this.store.faults = faults
    this.store.isAway = isAway
  }

  async #restart(process: number, isForced: boolean): Promise<void> {
    const before = this.#processes[process]!
    if (isForced) this.#zombies.push(before)
    else await before.close()
    await this.#open(process)
    await this.#run(process, this.#lanes[process] ?? [])
  }

  async #run(process: number, lanes: readonly string[]): Promise<void> {
    this.#lanes[process] = lanes
    await this.#whileTimePasses(this.#processes[process]!.run(lanes))
  }

  async #whileTimePasses(work: Promise<unknown>): Promise<void> {
    let isDone = false
    void work.finally(() => (isDone = true)).catch(() => undefined)
    await this.#until(() => Promise.resolve(isDone))
    await work
  }

  async #until(isSo: () => Promise<boolean>): Promise<void> {
    for (let round = 0; round < ROUNDS_MAX; round += 1) {
      await setImmediate()
      if (await isSo()) return
      this.clock.advance(100)
    }
    const status = await this.#processes[0]!.status()
    throw new Error(`never came to be: ${JSON.stringify(status)}\n${this.warnings.slice(-10).join('\n')}`)
  }

  async #pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 50) {
      await this.#turns(2)
      this.clock.advance(50)
      this.#check()
    }
  }

  async #turns(times: number): Promise<void> {
    for (let turn = 0; turn < times; turn += 1) await setImmediate()
  }

  #handled(): readonly FeedEvent[] {
    return this.row.events.filter(({ type }) => type === 'Done')
  }

  /** Exactly the events up to a generation's places have taken effect once, or are parked, or were skipped by hand. */
  #check(): void {
    for (const [number, { model, places, parked }] of this.store.generations) {
      const skipped = this.#skipped.get(number) ?? new Set()
      const seen = new Map<string, number>()
      for (const { stream, version } of model.effects) countUp(seen, `${stream} ${version}`)
      for (const key of parked.keys()) countUp(seen, key)
      for (const key of skipped) countUp(seen, key)
      const due = this.#handled().filter((event) => isUpTo(event, places))
      for (const { stream, version } of due) {
        const times = seen.get(`${stream} ${version}`) ?? 0
        if (times !== 1) this.#problems.push(`generation ${number}: ${stream} ${version} counts ${times} times`)
        seen.delete(`${stream} ${version}`)
      }
      for (const key of seen.keys()) this.#problems.push(`generation ${number}: ${key} lies behind its place`)
      this.#checkOrder(number)
    }
    if (this.#problems.length > 0) throw new Error(this.#problems.join('\n'))
  }

  /** Per stream in order; per lane too, where nothing was ever parked. */
  #checkOrder(number: number): void {
    const { model, parked } = this.store.generation(number)
    const versions = new Map<string, number>()
    for (const { stream, version } of model.effects) {
      if (version <= (versions.get(stream) ?? 0)) this.#problems.push(`generation ${number}: ${stream} is out of order`)
      versions.set(stream, version)
    }
    for (const { stream, version } of parked.values()) {
      if (version < (versions.get(stream) ?? 0)) {
        this.#problems.push(
          `generation ${number}: something of ${stream} went past version ${version}, which is parked`,
        )
      }
    }
    if (this.#projection.onFailure === 'park') return
    for (const shard of this.#projection.order === 'all' ? [undefined] : Array.from({ length: SHARDS }, (_, n) => n)) {
      const events = model.effects
        .filter((effect) => shard === undefined || effect.shard === shard)
        .map(({ stream, version }) => this.row.find(stream, version))
      for (const [index, event] of events.entries()) {
        if (index > 0 && comparePlaces(events[index - 1]!, event) >= 0) {
          this.#problems.push(`generation ${number}: ${event.id} is out of order in its lane`)
        }
      }
    }
  }

  /**
   * What is made live has all that the one before has, but where somebody goes back by hand. Where others run lanes of the
   * live one too they may be ahead by what they have just committed.
   */
  #checkPromotion(generation: number): void {
    const { live } = this.store
    const isShared = this.#zombies.length > 0 || this.#lanes.every((lanes) => lanes.length > 0)
    if (generation <= live || isShared) return
    const places = this.store.generation(generation).places
    for (const [lane, place] of this.store.generation(live).places) {
      if (comparePlaces(places.get(lane) ?? BEGINNING, place) < 0) {
        this.#problems.push(`generation ${generation} goes live before it has caught up in lane ${lane}`)
      }
    }
  }
}

function countUp(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}
