import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { ConsumerLane } from '../../src/react/consumer-lane.ts'
import type { Reaction } from '../../src/react/consumer.ts'
import type { FeedEvent } from '../../src/read/event-feed.ts'
import { LaneBench, SHARD } from './lane-bench.ts'
import { away, type Fault } from './memory-effects.ts'

const parameters = {
  numRuns: Number(process.env['PENHOLD_RUNS'] ?? 150),
  interruptAfterTimeLimit: 30_000,
}

/** Its events are under way for as long as it is held, so that the place stays before what comes after. */
const HELD = 'a/6'
const STREAMS = ['a/0', 'a/3'] as const

type DeedWithStream =
  | { readonly kind: 'add'; readonly stream: string; readonly isPoison: boolean }
  | { readonly kind: 'skip' | 'retry'; readonly stream: string }
type Deed = { readonly ms: number } & (
  DeedWithStream | { readonly kind: 'fault'; readonly faults: readonly Fault[] } | { readonly kind: Plain }
)
type Plain = (typeof PLAIN)[number]
const PLAIN = [
  ...(['hold', 'release', 'mend', 'pause', 'resume', 'slow', 'quick', 'away', 'back', 'hand over'] as const),
  ...(['late', 'answered late', 'in time'] as const),
] as const
/** What a lane tells its record. */
const STEPS: ReadonlySet<string> = new Set(['begin', 'advance', 'park', 'unpark'])

const stream = fc.constantFrom(...STREAMS)
/** Most come while what was before them is under way. */
const ms = fc.constantFrom(0, 0, 0, 50, 300, 1_200)
const faults = fc.array(fc.constantFrom<Fault>('before', 'after'), { minLength: 1, maxLength: 4 })
const anyDeed: fc.Arbitrary<Deed> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('add'), stream, isPoison: fc.boolean(), ms }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom('skip', 'retry'), stream, ms }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constantFrom(...PLAIN), ms }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('fault'), faults, ms }) },
)

class World {
  readonly bench = new LaneBench({ retries: 0, handlerTimeoutMs: 1e9 })
  /** By event, how many had been begun once it was skipped. */
  readonly skipped = new Map<string, number>()
  /** Where each life of the lane begins in what was begun. */
  readonly lives: number[] = [0]
  /** What was begun though the lane was paused. */
  readonly begunPaused: string[] = []
  /** What was begun, and what was told of as skipped, in order. */
  readonly order: { readonly kind: 'begun' | 'told'; readonly id: string }[] = []
  /** What was told of while it was under way. */
  readonly toldEarly: string[] = []
  readonly #underWay = new Map<string, AbortSignal>()
  /** Events that fail when they are at their end. */
  readonly #poison = new Set<string>()
  #held: PromiseWithResolvers<void> | undefined = Promise.withResolvers()
  #slow: PromiseWithResolvers<void> | undefined
  /** Steps of the record come late, or their answers do. */
  #late: PromiseWithResolvers<void> | undefined
  #answers: PromiseWithResolvers<void> | undefined
  #isAway = false
  #isPaused = false
  #lane: ConsumerLane

  constructor() {
    const { bench } = this
    bench.onHandle = (event, reaction) => this.#handle(event, reaction)
    bench.effects.onSent = async () => {
      if (this.#isAway) throw away()
      return { kind: 'accepted', version: 1, position: 1 }
    }
    const ask = bench.effects.ask.bind(bench.effects)
    bench.effects.ask = async (command) => {
      if (!STEPS.has(command.name)) return await ask(command)
      await this.#late?.promise
      const outcome = await ask(command)
      await this.#answers?.promise
      return outcome
    }
    bench.add(HELD)
    this.#lane = this.#open()
  }

  #open(): ConsumerLane {
    return this.bench.open(undefined, { givesUp: (event, reaction) => this.#givesUp(event, reaction) })
  }

  async #handle(event: FeedEvent, reaction: Reaction): Promise<void> {
    const { id, stream: of } = event
    this.order.push({ kind: 'begun', id })
    this.#underWay.set(id, reaction.signal)
    try {
      await (of === HELD ? this.#held : this.#slow)?.promise
      if (of !== HELD) await this.#send(event, reaction)
      if (this.#poison.has(id)) throw new Error(`${id} is poison`)
      // What is begun no more is done by nobody.
      reaction.signal.throwIfAborted()
    } finally {
      this.#underWay.delete(id)
    }
  }

  async #givesUp(event: FeedEvent, reaction: Reaction): Promise<void> {
    const { id } = event
    if (this.#underWay.get(id)?.aborted === false) this.toldEarly.push(id)
    await this.#slow?.promise
    await this.#send(event, reaction)
    reaction.signal.throwIfAborted()
    this.order.push({ kind: 'told', id })
  }

  async #send({ id, position }: FeedEvent, { effects }: Reaction): Promise<void> {
    const ids = { commandId: id, correlationId: '', causationId: id }
    await effects.ask({ stream: 'b/1', name: 'go', payload: undefined, ...ids, after: position })
  }

  async do(deed: Deed): Promise<void> {
    const { bench } = this
    const isPaused = this.#isPaused && this.#lane.condition === 'paused'
    const begun = bench.begun.length
    if ('stream' in deed) await this.#doWith(deed)
    else if ('faults' in deed) bench.effects.faults.push(...deed.faults)
    else await this.#doPlain(deed.kind)
    await bench.pass(deed.ms)
    if (isPaused && deed.kind !== 'resume') this.begunPaused.push(...bench.begun.slice(begun))
  }

  async #doWith(deed: DeedWithStream): Promise<void> {
    const { bench } = this
    switch (deed.kind) {
      case 'add':
        bench.add(deed.stream)
        if (deed.isPoison) this.#poison.add(bench.row.events.findLast((event) => event.stream === deed.stream)!.id)
        break
      case 'skip':
        await this.#skip(deed.stream)
        break
      case 'retry':
        await this.#operate('retry', { stream: deed.stream })
    }
  }

  async #doPlain(kind: Plain): Promise<void> {
    const { bench } = this
    switch (kind) {
      case 'hold':
        this.#held ??= Promise.withResolvers()
        bench.add(HELD)
        break
      case 'release':
        this.#held?.resolve()
        this.#held = undefined
        break
      case 'slow':
        this.#slow ??= Promise.withResolvers()
        break
      case 'quick':
        this.#slow?.resolve()
        this.#slow = undefined
        break
      case 'away':
      case 'back':
        this.#isAway = kind === 'away'
        break
      case 'pause':
      case 'resume':
        await this.#operate(kind)
        // What was read before is obeyed now, or not at all.
        await bench.turns()
        this.#isPaused = kind === 'pause'
        break
      case 'mend':
        this.#poison.clear()
        break
      case 'late':
        this.#late ??= Promise.withResolvers()
        break
      case 'answered late':
        this.#answers ??= Promise.withResolvers()
        break
      case 'in time':
        await this.#inTime()
        break
      case 'hand over':
        // What a lane says when it has handed over is refused, or has whoever is next begin anew.
        await this.#inTime()
        await bench.during(this.#lane.close(0))
        this.lives.push(bench.begun.length)
        this.#lane = this.#open()
    }
  }

  async #inTime(): Promise<void> {
    this.#late?.resolve()
    this.#late = undefined
    this.#answers?.resolve()
    this.#answers = undefined
    await this.bench.turns()
  }

  async #skip(of: string): Promise<void> {
    const { bench, skipped } = this
    const parked = bench.effects.record(SHARD).parked[of]
    // What waits behind another may be no event yet.
    const event = bench.row.events.find((each) => each.stream === of && each.version === parked?.version)
    if (event === undefined) return
    await this.#operate('skip', { stream: of, version: event.version, reason: 'by hand' })
    // An attempt for which the record was looked at just before is begun now, or not at all.
    await bench.turns(2)
    skipped.set(event.id, bench.begun.length)
  }

  /** Whoever operates is not the one who meets faults. */
  async #operate(name: string, payload?: object): Promise<void> {
    const { effects } = this.bench
    const kept = effects.faults.splice(0)
    await this.bench.operate(name, payload)
    effects.faults.unshift(...kept)
  }

  /** All works again, and what is parked is tried again until nothing is. */
  async heal(): Promise<void> {
    this.bench.effects.faults.length = 0
    for (const kind of ['in time', 'release', 'quick', 'back', 'mend', 'resume'] as const) await this.#doPlain(kind)
    // Who waits looks again after 10 s at the latest.
    await this.bench.pass(11_000)
    for (let round = 0; round < 20; round += 1) {
      const parked = Object.keys(this.bench.effects.record(SHARD).parked)
      if (parked.length === 0) break
      for (const each of parked) await this.#operate('retry', { stream: each })
      await this.bench.pass(2_000)
    }
    await this.bench.pass(3_000)
  }
}

function partsOf(id: string): readonly [string, number] {
  const at = id.lastIndexOf('/')
  return [id.slice(0, at), Number(id.slice(at + 1))]
}

/** Whether a skipped event was told of, before any that stands behind it was begun. */
function isToldInTime(id: string, order: World['order']): boolean {
  const [mine, version] = partsOf(id)
  const first = order.find((each) => {
    const [of, at] = partsOf(each.id)
    return each.kind === 'told' ? each.id === id : of === mine && at > version
  })
  return first?.kind === 'told'
}

/** Streams whose versions were not begun in order. */
function outOfOrder(begun: readonly string[]): string[] {
  const last = new Map<string, number>()
  return begun.filter((id) => {
    const [of, version] = partsOf(id)
    const isBehind = version < (last.get(of) ?? 0)
    last.set(of, version)
    return isBehind
  })
}

test('whoever runs a lane, what was skipped is told of and not begun again, and all else is done, in order in each life', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyDeed, { minLength: 5, maxLength: 60 }), async (deeds) => {
      const world = new World()
      const { bench, skipped, lives, begunPaused, order, toldEarly } = world
      for (const each of deeds) await world.do(each)
      await world.heal()
      for (const [id, begun] of skipped) expect(bench.begun.slice(begun), `skipped ${id}`).not.toContain(id)
      const left = bench.row.events.filter(({ type, id }) => type === 'Done' && !bench.done.includes(id))
      expect(left.map(({ id }) => id).filter((id) => !skipped.has(id))).toEqual([])
      for (const [life, from] of lives.entries())
        expect(outOfOrder(bench.begun.slice(from, lives[life + 1]))).toEqual([])
      const givenUp = [...skipped.keys()].filter((id) => !bench.done.includes(id))
      expect(givenUp.filter((id) => !isToldInTime(id, order))).toEqual([])
      expect(toldEarly).toEqual([])
      expect(begunPaused).toEqual([])
      expect(bench.effects.record(SHARD).parked).toEqual({})
      expect(bench.effects.record(SHARD).done).toBeUndefined()
    }),
    parameters,
  )
})
