/**
 * Sees every change of a projection's read model as it lands, from the side of the store, and knows nothing of how
 * projections do it. In each generation an event counts once, in order, or is parked with all that follows it in its
 * stream, or was skipped by somebody; and whoever runs a lane knows where it stands.
 */
import { BEGINNING, type AllPlace } from '../../../src/read/all.ts'
import { comparePlaces } from '../../../src/read/place.ts'
import { isAt } from '../../../src/read/read-model.ts'
import type { Landed, Promoted } from '../../../src/testing/simulated-read-models.ts'
import type { SimulatedThread } from '../../../src/testing/simulated-thread.ts'
import { checkReadModel, nameOf, type FoundEffect } from '../../checker/check-read-model.ts'
import type { LoggedEvent, LoggedStreams } from '../../checker/history.ts'
import { digestOf } from '../bank.ts'
import type { Effect, LedgerModel } from './ledger.ts'
import type { ProjectionSetup } from './plan.ts'

interface Generation {
  readonly places: Map<string, AllPlace>
  readonly row: FoundEffect[]
  readonly done: Set<string>
  readonly parked: Set<string>
  readonly skipped: Set<string>
  /** Who moved a lane last, where they know of it. */
  movedBy: SimulatedThread | undefined
}

export class Witness {
  readonly problems: string[] = []
  readonly #name: string
  readonly #setup: ProjectionSetup
  readonly #generations = new Map<number, Generation>()
  /** Events that somebody was about to skip. */
  readonly #skips = new Set<string>()
  /** Processes that are about to pause it, with how often it had been resumed by then. */
  readonly #pausing = new Map<SimulatedThread, number>()
  /** Since when processes that have paused it know that it is. */
  readonly #pausedSince = new Map<SimulatedThread, number>()
  #resumed = 0
  readonly #onEffects: (count: number) => void
  #live = 1
  #mayGoBack = false
  #mayBeParked = false

  constructor(name: string, setup: ProjectionSetup, onEffects: (count: number) => void) {
    this.#name = name
    this.#setup = setup
    this.#onEffects = onEffects
  }

  get live(): number {
    return this.#live
  }

  /** Events that took effect in what is live. */
  get effects(): number {
    return this.#generation(this.#live).row.length
  }

  /** Whether an event is without effect in a generation, and may be: parked, or skipped by somebody. */
  isExcused(generation: number, event: string): boolean {
    const { parked, skipped } = this.#generation(generation)
    return parked.has(event) || skipped.has(event)
  }

  /** Somebody is about to give an event up. */
  skips(event: string): void {
    this.#skips.add(event)
  }

  /** Somebody is about to go back a generation, or to accept one with parked events. */
  allows(what: 'going back' | 'parked events'): void {
    if (what === 'going back') this.#mayGoBack = true
    else this.#mayBeParked = true
  }

  pauses(thread: SimulatedThread): void {
    this.#pausing.set(thread, this.#resumed)
  }

  /** Unless somebody has had it go on meanwhile. */
  paused(thread: SimulatedThread, now: number): void {
    const isSo = this.#pausing.get(thread) === this.#resumed
    if (isSo) this.#pausedSince.set(thread, Math.min(this.#pausedSince.get(thread) ?? now, now))
  }

  /** Whoever has paused it, whoever resumes it: it is kept with the read model. */
  resumed(): void {
    this.#resumed += 1
    this.#pausedSince.clear()
  }

  landed({ generation: number, change, thread, sentAt, isAwaited, model }: Landed<LedgerModel>): void {
    const generation = this.#generation(number)
    const { lane, from, to } = change
    const isByHand = comparePlaces(from, to) === 0
    const before = generation.places.get(lane)
    if (!isAt(before, from)) {
      this.#say(number, `somebody commits from position ${from.position}, and its lane stands at ${before?.position}`)
    }
    const pausedSince = this.#pausedSince.get(thread)
    if (!isByHand && pausedSince !== undefined && sentAt > pausedSince) {
      this.#say(number, `somebody who was paused goes on to position ${to.position}`)
    }
    const retried = this.#unpark(number, change.unpark)
    const effects = Array.from({ length: model.row.size - generation.row.length }, (_, i): FoundEffect => {
      const { by, ...effect } = model.row.get(generation.row.length + i)!
      return { ...effect, commandId: String(by), isRetried: retried.has(nameOf(effect)) }
    })
    for (const effect of effects) this.#takeEffect(number, effect, { from, to })
    for (const name of retried) if (!generation.done.has(name)) this.#giveUp(number, name)
    for (const event of change.park) this.#park(number, event)
    generation.places.set(lane, to)
    if (!isByHand) generation.movedBy = isAwaited ? thread : undefined
    if (number === this.#live) this.#onEffects(generation.row.length)
  }

  promoted({ generation: number, thread }: Promoted): void {
    const [before, after] = [this.#generation(this.#live), this.#generation(number)]
    // Two who go back at once.
    if (number === this.#live) return
    const isBack = number < this.#live
    this.#live = number
    if (isBack) {
      if (!this.#mayGoBack) this.#say(number, 'is live again, and nobody has said so')
      return
    }
    if (after.parked.size > 0 && !this.#mayBeParked)
      this.#say(number, 'is live with parked events, and nobody has said so')
    // What another process, or a call that was given up, has committed in this very moment nobody here can know.
    if (before.movedBy !== thread) return
    for (const [lane, place] of before.places) {
      const at = after.places.get(lane) ?? BEGINNING
      if (comparePlaces(at, place) >= 0) continue
      this.#say(number, `is live at position ${at.position}, and the one before stood at ${place.position}`)
    }
  }

  /** That what queries see in the end is what was seen to land, and comes to what the log comes to. */
  compare({ row, accounts }: LedgerModel, log: LoggedStreams): string[] {
    const live = this.#generation(this.#live)
    const landed = live.row.map(nameOf).join(', ')
    if ([...row.values()].map(nameOf).join(', ') !== landed) this.#say(this.#live, `queries do not see ${landed}`)
    const skipped = new Set([...live.skipped].map(streamOf))
    for (const [stream, view] of accounts) {
      if (skipped.has(stream)) continue
      const digest = log.get(stream)?.[view.count - 1]?.digest
      if (digest !== digestOf(view))
        this.#say(this.#live, `${stream} comes to ${digestOf(view)}, and to ${digest} in the log`)
    }
    return this.problems
  }

  /** What is wrong with all generations that there ever were, now that the log is known. */
  broken(log: LoggedStreams): string[] {
    for (const [number, generation] of this.#generations) {
      const laneOf = (event: LoggedEvent): string => this.#laneOf(event)
      const isDue = (event: LoggedEvent): boolean =>
        number === this.#live || comparePlaces(event, generation.places.get(laneOf(event)) ?? BEGINNING) <= 0
      const found = { ...generation, laneOf, isDue }
      for (const problem of checkReadModel(found, log)) this.#say(number, problem)
    }
    return this.problems
  }

  #laneOf({ shard }: LoggedEvent): string {
    return this.#setup.order === 'all' ? 'all' : String(shard)
  }

  /** What is taken off the list of parked events. */
  #unpark(number: number, events: readonly Pick<Effect, 'stream' | 'version'>[]): ReadonlySet<string> {
    const { parked } = this.#generation(number)
    const names = new Set(events.map(nameOf))
    for (const name of names) if (!parked.delete(name)) this.#say(number, `${name} is retried, and was not parked`)
    return names
  }

  #takeEffect(
    number: number,
    effect: FoundEffect,
    { from, to }: { readonly from: AllPlace; readonly to: AllPlace },
  ): void {
    const { row, done, skipped } = this.#generation(number)
    const { isRetried, position } = effect
    const name = nameOf(effect)
    if (done.has(name)) this.#say(number, `${name} takes effect twice`)
    if (skipped.has(name)) this.#say(number, `${name} was skipped, and takes effect`)
    if (!isRetried && (position < from.position || position > to.position)) {
      this.#say(number, `${name} takes effect between places that it is not between`)
    }
    this.#checkBefore(number, effect, [done, skipped])
    row.push(effect)
    done.add(name)
  }

  #giveUp(number: number, name: string): void {
    if (!this.#skips.has(name)) this.#say(number, `${name} is parked no more, without effect, and nobody has said so`)
    this.#generation(number).skipped.add(name)
  }

  #park(number: number, event: Pick<Effect, 'stream' | 'version'>): void {
    const { done, parked, skipped } = this.#generation(number)
    const name = nameOf(event)
    if (this.#setup.onFailure === 'halt') this.#say(number, `${name} is parked by a projection that halts`)
    if (done.has(name) || skipped.has(name)) this.#say(number, `${name} is parked, and is done with`)
    this.#checkBefore(number, event, [done, parked, skipped])
    parked.add(name)
  }

  /** That the event before it in its stream has not been left out, and is not parked where this one goes on. */
  #checkBefore(
    number: number,
    { stream, version }: Pick<Effect, 'stream' | 'version'>,
    some: readonly ReadonlySet<string>[],
  ): void {
    const before = nameOf({ stream, version: version - 1 })
    if (version === 1 || some.some((names) => names.has(before))) return
    this.#say(number, `version ${version} of ${stream} goes past ${before}`)
  }

  #generation(number: number): Generation {
    const known = this.#generations.get(number)
    if (known !== undefined) return known
    const fresh = {
      places: new Map<string, AllPlace>(),
      row: [],
      done: new Set<string>(),
      parked: new Set<string>(),
      skipped: new Set<string>(),
      movedBy: undefined,
    }
    this.#generations.set(number, fresh)
    return fresh
  }

  #say(generation: number, problem: string): void {
    this.problems.push(`projection ${this.#name}, generation ${generation}: ${problem}`)
  }
}

function streamOf(event: string): string {
  return event.slice(0, event.lastIndexOf('@'))
}
