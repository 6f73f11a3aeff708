/**
 * Read models in memory, for tests and for what is quickly read anew: they are gone with the process. A model is an object
 * of Maps; a commit's changes are kept beside them and put in at the end, so that it is whole or not at all, and queries
 * meanwhile see what was committed.
 */
import { assert } from '../aggregate/assert.ts'
import { definitionError, describe } from '../aggregate/error.ts'
import { frozen } from '../aggregate/frozen.ts'
import type { AllPlace } from './all.ts'
import { differenceOf, FIRST, goesLiveItself, type Control } from './control.ts'
import { DraftMap, type ModelMap } from './draft-map.ts'
import { checkProjectionName, noSuchGeneration } from './read-model-error.ts'
import { isAt, LaneMoved, type Change, type ParkedEvent, type ReadModel, type ReadModelStore } from './read-model.ts'

export type { ModelMap } from './draft-map.ts'

// oxlint-disable-next-line typescript/no-explicit-any -- whatever the user's Maps hold
type Maps = { readonly [name: string]: Map<any, any> }

/** What handlers and queries get: the Maps, changed one key at a time, with values that are frozen. */
export type MemoryModel<Model extends Maps> = {
  readonly [Name in keyof Model]: Model[Name] extends Map<infer Key, infer Value> ? ModelMap<Key, Value> : never
}

/**
 * @param create makes the model of a generation as it is at the beginning, such as `() => ({ balances: new Map<string, number>() })`
 */
export function memoryStore<Model extends Maps>(create: () => Model): ReadModelStore<MemoryModel<Model>> {
  if (typeof create !== 'function') {
    throw definitionError(
      `memoryStore was given ${describe(create)}; give a function that makes a model of Maps, as () => ({ balances: new Map() })`,
    )
  }
  const projections = new Map<string, Kept>()
  return {
    async open(projection) {
      checkProjectionName(projection)
      const kept = projections.get(projection) ?? new Kept(projection, create)
      projections.set(projection, kept)
      return new MemoryReadModel<MemoryModel<Model>>(kept)
    },
  }
}

interface Generation {
  readonly maps: ReadonlyMap<string, Map<unknown, unknown>>
  readonly places: Map<string, AllPlace>
  /** By stream and version. */
  readonly parked: Map<string, Map<number, ParkedEvent>>
  /** The commit that was begun last: one waits for the other. */
  last: Promise<unknown>
}

/** What there is of a projection, whoever has it open. */
class Kept {
  readonly projection: string
  readonly #create: () => Maps
  readonly #generations: Map<number, Generation>
  control: Control = FIRST

  constructor(projection: string, create: () => Maps) {
    this.projection = projection
    this.#create = create
    this.#generations = new Map([[FIRST.live, this.#empty()]])
  }

  replaceControl(from: Control, to: Control): boolean {
    if (this.control.revision !== from.revision) return false
    const next = goesLiveItself(from, to)
    if (next !== undefined && this.generation(next).parked.size > 0) return false
    const { begun, dropped } = differenceOf(from, to)
    const fresh = begun.map((number) => [number, this.#empty()] as const)
    for (const [number, generation] of fresh) this.#generations.set(number, generation)
    for (const number of dropped) this.#generations.delete(number)
    this.control = to
    return true
  }

  generation(number: number): Generation {
    const generation = this.#generations.get(number)
    if (generation === undefined) throw noSuchGeneration(this.projection, number)
    return generation
  }

  #empty(): Generation {
    const maps = new Map(Object.entries(this.#create()))
    for (const [name, map] of maps) {
      if (!(map instanceof Map)) throw definitionError(`memoryStore: '${name}' of the model is no Map`)
      for (const value of map.values()) frozen<unknown>(value)
    }
    return { maps, places: new Map(), parked: new Map(), last: Promise.resolve() }
  }
}

class MemoryReadModel<Model> implements ReadModel<Model> {
  readonly #shared: Kept
  #isClosed = false

  constructor(shared: Kept) {
    this.#shared = shared
  }

  get #kept(): Kept {
    assert(!this.#isClosed, 'a read model is asked for nothing once it is closed')
    return this.#shared
  }

  async control(): Promise<Control> {
    return this.#kept.control
  }

  async replaceControl(from: Control, to: Control): Promise<boolean> {
    return this.#kept.replaceControl(from, to)
  }

  async places(generation: number): Promise<ReadonlyMap<string, AllPlace>> {
    return new Map(this.#kept.generation(generation).places)
  }

  async commit(generation: number, change: Change<Model>): Promise<void> {
    const into = this.#kept.generation(generation)
    const before = into.last
    const commit = before.then(() => this.#commit(generation, change))
    into.last = commit.catch(() => undefined)
    await commit
  }

  async #commit(generation: number, { lane, from, to, park, unpark, apply }: Change<Model>): Promise<void> {
    const into = this.#kept.generation(generation)
    const isParked = unpark.every(({ stream, version }) => into.parked.get(stream)?.has(version))
    if (!isParked || !isAt(into.places.get(lane), from)) throw new LaneMoved(lane, from)
    const drafts = [...into.maps].map(([name, map]) => [name, new DraftMap(map)] as const)
    try {
      await apply(Object.fromEntries(drafts) as Model)
    } finally {
      for (const [, draft] of drafts) draft.close('the batch is over: a handler that goes on later must be awaited')
    }
    // Nothing waits from here on, so that nobody sees a part of it.
    for (const [, draft] of drafts) draft.merge()
    into.places.set(lane, to)
    for (const { stream, version } of unpark) {
      const ofStream = into.parked.get(stream)
      if (ofStream?.delete(version) === true && ofStream.size === 0) into.parked.delete(stream)
    }
    for (const event of park) {
      const ofStream = into.parked.get(event.stream) ?? new Map<number, ParkedEvent>()
      if (!ofStream.has(event.version)) ofStream.set(event.version, { ...event })
      into.parked.set(event.stream, ofStream)
    }
  }

  async query<Answer>(generation: number, ask: (model: Model) => Answer | Promise<Answer>): Promise<Answer> {
    const maps = [...this.#kept.generation(generation).maps]
    const views = maps.map(([name, map]) => [name, new DraftMap(map, 'a query changes nothing')] as const)
    return await ask(Object.fromEntries(views) as Model)
  }

  async parkedStreams(generation: number): Promise<ReadonlySet<string>> {
    return new Set(this.#kept.generation(generation).parked.keys())
  }

  async parked(
    generation: number,
    { stream, limit }: { readonly stream?: string; readonly limit: number },
  ): Promise<readonly ParkedEvent[]> {
    const { parked } = this.#kept.generation(generation)
    const streams = stream === undefined ? [...parked.keys()].sort() : [stream]
    const events: ParkedEvent[] = []
    for (const name of streams) {
      if (events.length >= limit) break
      events.push(...[...(parked.get(name)?.values() ?? [])].sort((a, b) => a.version - b.version))
    }
    return events.slice(0, limit)
  }

  async close(): Promise<void> {
    this.#isClosed = true
  }
}
