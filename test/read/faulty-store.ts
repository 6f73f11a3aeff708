/**
 * A store of read models in memory, as faithful as a database's, that fails when it is told to. What it has survives those
 * who use it.
 */
import { setImmediate } from 'node:timers/promises'
import { BEGINNING, type AllPlace } from '../../src/read/all.ts'
import { differenceOf, FIRST, withLive, withNew, without, type Control } from '../../src/read/control.ts'
import { comparePlaces } from '../../src/read/place.ts'
import { noSuchGeneration, readModelUnusable } from '../../src/read/read-model-error.ts'
import {
  LaneMoved,
  type Change,
  type ParkedEvent,
  type ReadModel,
  type ReadModelStore,
} from '../../src/read/read-model.ts'

/**
 * `lost`: nothing happens, and the call fails. `unheard`: it has its effect, and fails. `moved`: it says that somebody else
 * runs the lane. `slow`: it takes some turns. `fine`: nothing.
 */
export type Fault = 'lost' | 'unheard' | 'moved' | 'slow' | 'fine'

export class ConnectionLost extends Error {
  override readonly name = 'ConnectionLost'
}

export interface StoredGeneration<Model> {
  model: Model
  readonly places: Map<string, AllPlace>
  /** By stream and version, ascending. */
  readonly parked: Map<string, ParkedEvent>
}

export class FaultyStore<Model extends object> implements ReadModelStore<Model> {
  readonly generations = new Map<number, StoredGeneration<Model>>()
  control: Control = FIRST
  /** What becomes of the calls that come, one after the other; fine once it is empty. */
  faults: Fault[] = []
  /** All calls fail for as long as it is set. */
  isAway = false
  /** Generations that are damaged. */
  readonly broken = new Set<number>()
  commits = 0
  closings = 0
  /** How often it was asked where the lanes stand. */
  looks = 0
  /** Waited for once the record was read, before it is told. */
  onControl: () => Promise<void> = () => Promise.resolve()
  /** Waited for before a query is answered. */
  onQuery: () => Promise<void> = () => Promise.resolve()
  /** Waited for before it is told which streams have parked events. */
  onLook: (generation: number) => Promise<void> = () => Promise.resolve()
  /** What is thrown in place of what a handler threw. */
  onApplied: (error: unknown) => unknown = (error) => error
  /** Waited for before a generation is promoted. */
  onSwap: () => Promise<void> = () => Promise.resolve()
  /** Called at the moment in which a generation is promoted. */
  onPromote: (generation: number) => unknown = () => undefined
  readonly #empty: () => Model

  constructor(empty: () => Model) {
    this.#empty = empty
    this.generations.set(1, this.#generation())
  }

  open(): Promise<ReadModel<Model>> {
    return Promise.resolve(new FaultyReadModel(this))
  }

  get live(): number {
    return this.control.live
  }

  /** What others do with the record, at once. */
  set live(live: number) {
    this.replace(withLive(this.control, live))
  }

  set isPaused(isPaused: boolean) {
    this.replace({ ...this.control, isPaused })
  }

  get isPaused(): boolean {
    return this.control.isPaused
  }

  add(): number {
    this.replace(withNew(this.control, { state: 'kept' }))
    return this.control.last
  }

  drop(number: number): void {
    this.replace(without(this.control, (generation) => generation.number === number))
  }

  replace(to: Control): void {
    const { begun, dropped } = differenceOf(this.control, to)
    for (const number of begun) this.generations.set(number, this.#generation())
    for (const number of dropped) this.generations.delete(number)
    this.control = { ...to, revision: this.control.revision + 1 }
  }

  generation(number: number): StoredGeneration<Model> {
    if (this.broken.has(number)) throw readModelUnusable(`generation ${number}`, 'it is damaged')
    const generation = this.generations.get(number)
    if (generation === undefined) throw noSuchGeneration('of the test', number)
    return generation
  }

  /** Does something that may fail. */
  async call<T>(effect: () => T): Promise<T> {
    if (this.isAway) throw new ConnectionLost('the store is away')
    const fault = this.faults.shift() ?? 'fine'
    if (fault === 'lost') throw new ConnectionLost('before it had its effect')
    if (fault === 'moved') throw new LaneMoved('?', BEGINNING)
    if (fault === 'slow') for (let turn = 0; turn < 5; turn += 1) await setImmediate()
    await Promise.resolve()
    const value = effect()
    if (fault === 'unheard') throw new ConnectionLost('after it had its effect')
    return value
  }

  #generation(): StoredGeneration<Model> {
    return { model: this.#empty(), places: new Map(), parked: new Map() }
  }
}

class FaultyReadModel<Model extends object> implements ReadModel<Model> {
  readonly #store: FaultyStore<Model>

  constructor(store: FaultyStore<Model>) {
    this.#store = store
  }

  async control(): Promise<Control> {
    const control = await this.#store.call(() => this.#store.control)
    await this.#store.onControl()
    return control
  }

  async replaceControl(from: Control, to: Control): Promise<boolean> {
    const store = this.#store
    if (to.live !== from.live) await store.onSwap()
    return await store.call(() => {
      if (store.control.revision !== from.revision) return false
      if (to.live !== from.live) store.onPromote(to.live)
      store.replace(to)
      return true
    })
  }

  places(generation: number): Promise<ReadonlyMap<string, AllPlace>> {
    this.#store.looks += 1
    return this.#store.call(() => new Map(this.#store.generation(generation).places))
  }

  async commit(number: number, { lane, from, to, park, unpark, apply }: Change<Model>): Promise<void> {
    const store = this.#store
    if (store.isAway) throw new ConnectionLost('the store is away')
    const before = store.generation(number).model
    const model = structuredClone(before)
    try {
      await apply(model)
    } catch (error) {
      throw store.onApplied(error)
    }
    await store.call(() => {
      const generation = store.generation(number)
      if (comparePlaces(generation.places.get(lane) ?? BEGINNING, from) !== 0) throw new LaneMoved(lane, from)
      if (!unpark.every((event) => generation.parked.has(keyOf(event)))) throw new LaneMoved(lane, from)
      // Another lane has changed it meanwhile: a database would have locked, or let one of the two fail.
      if (generation.model !== before) throw new ConnectionLost('could not serialize access')
      generation.model = model
      generation.places.set(lane, to)
      for (const event of unpark) generation.parked.delete(keyOf(event))
      for (const event of park) {
        if (!generation.parked.has(keyOf(event))) generation.parked.set(keyOf(event), event)
      }
      store.commits += 1
    })
  }

  async query<Answer>(generation: number, ask: (model: Model) => Answer | Promise<Answer>): Promise<Answer> {
    await this.#store.onQuery()
    return await ask(await this.#store.call(() => structuredClone(this.#store.generation(generation).model)))
  }

  async parkedStreams(generation: number): Promise<ReadonlySet<string>> {
    await this.#store.onLook(generation)
    return await this.#store.call(
      () => new Set([...this.#store.generation(generation).parked.values()].map(({ stream }) => stream)),
    )
  }

  parked(
    generation: number,
    { stream, limit }: { readonly stream?: string; readonly limit: number },
  ): Promise<readonly ParkedEvent[]> {
    return this.#store.call(() =>
      [...this.#store.generation(generation).parked.values()]
        .filter((event) => stream === undefined || event.stream === stream)
        .toSorted((a, b) => (a.stream < b.stream ? -1 : a.stream > b.stream ? 1 : a.version - b.version))
        .slice(0, limit),
    )
  }

  close(): Promise<void> {
    this.#store.closings += 1
    return Promise.resolve()
  }
}

function keyOf({ stream, version }: { readonly stream: string; readonly version: number }): string {
  return `${stream} ${version}`
}
