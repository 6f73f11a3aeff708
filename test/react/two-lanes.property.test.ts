/** Two lanes over one record, as where two owners of a shard, or two processes of an outbox, run at once for a while. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { ConsumerLane } from '../../src/react/consumer-lane.ts'
import { BEGINNING } from '../../src/read/all.ts'
import { inTime } from '../in-time.ts'
import { LaneBench, SHARD } from './lane-bench.ts'
import type { Fault } from './memory-effects.ts'

const numRuns = Number(process.env['PENHOLD_RUNS'] ?? 600)
const SLOW = 'a/0'
const STREAMS = [SLOW, 'a/3', 'a/6'] as const

type Deed = { readonly ms: number } & (
  | { readonly kind: 'add'; readonly stream: string; readonly isPoison: boolean }
  | { readonly kind: 'skip' | 'retry'; readonly stream: string }
  | { readonly kind: 'fault'; readonly faults: readonly Fault[] }
  | { readonly kind: Plain }
)
type Plain = (typeof PLAIN)[number]
const PLAIN = [
  ...(['slow', 'quick', 'late', 'in time', 'two', 'one', 'the other', 'elsewhere'] as const),
  ...(['pause', 'resume'] as const),
] as const

const stream = fc.constantFrom(SLOW, ...STREAMS)
const ms = fc.constantFrom(0, 0, 50, 300, 1_200)
const faults = fc.array(fc.constantFrom<Fault>('before', 'after'), { minLength: 1, maxLength: 4 })
const anyDeed: fc.Arbitrary<Deed> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('add'), stream, isPoison: fc.boolean(), ms }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom('skip', 'retry', 'retry'), stream, ms }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constantFrom(...PLAIN), ms }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('fault'), faults, ms }) },
)

class World {
  readonly bench = new LaneBench({ retries: 0, handlerTimeoutMs: 1e9 })
  readonly skipped = new Set<string>()
  readonly #poison = new Set<string>()
  #lanes: ConsumerLane[] = []
  /** Those of one stream take long; and who begins anew is long in being told from where. */
  #slow: PromiseWithResolvers<void> | undefined
  #late: PromiseWithResolvers<void> | undefined

  constructor() {
    const { bench } = this
    bench.onHandle = async ({ id, stream: of }, { signal }) => {
      if (of === SLOW) await this.#slow?.promise
      // Tried again, it mostly goes well.
      if (this.#poison.delete(id)) throw new Error(`${id} is poison`)
      signal.throwIfAborted()
    }
    const query = bench.effects.query.bind(bench.effects)
    bench.effects.query = async (question) => {
      const answer = await query(question)
      if (question.name === 'state') await this.#late?.promise
      return answer
    }
    this.#lanes.push(bench.open())
  }

  async do(deed: Deed): Promise<void> {
    const { bench } = this
    if ('faults' in deed) bench.effects.faults.push(...deed.faults)
    else if (!('stream' in deed)) await this.#doPlain(deed.kind, deed.ms)
    else if (deed.kind === 'add') {
      bench.add(deed.stream)
      if (deed.isPoison) this.#poison.add(bench.row.events.findLast((event) => event.stream === deed.stream)!.id)
    } else if (deed.kind === 'retry') await this.#operate('retry', { stream: deed.stream })
    else await this.#skip(deed.stream)
    await bench.pass(deed.ms)
  }

  async #doPlain(kind: Plain, closeMs = 0): Promise<void> {
    const { bench } = this
    switch (kind) {
      case 'slow':
        this.#slow ??= Promise.withResolvers()
        return
      case 'quick':
        this.#slow?.resolve()
        this.#slow = undefined
        return
      case 'late':
        this.#late ??= Promise.withResolvers()
        return
      case 'in time':
        this.#late?.resolve()
        this.#late = undefined
        return await bench.turns()
      case 'two':
        if (this.#lanes.length < 2) this.#lanes.push(bench.open())
        return
      case 'pause':
      case 'resume':
        return await this.#operate(kind)
      case 'elsewhere':
        return await this.#elsewhere()
      case 'one':
      case 'the other':
        if (this.#lanes.length < 2) return
        await this.#doPlain('in time')
        await bench.during((kind === 'one' ? this.#lanes.shift() : this.#lanes.pop())!.close(closeMs))
    }
  }

  /** Somebody else takes steps of the record, and is gone: a lane begins anew at its next, and is long in being told from where. */
  async #elsewhere(): Promise<void> {
    const { bench } = this
    const { place = BEGINNING, turn } = bench.effects.record(SHARD)
    const event = { stream: 'a/9', version: 1, type: 'Done', position: 1, reason: 'no', at: 0 }
    await this.#operate('park', { from: place, turn, event })
    await this.#operate('unpark', { from: place, turn: turn + 1, stream: 'a/9', next: 2, until: BEGINNING })
    await this.#doPlain('late')
    bench.add('a/6')
    await bench.pass(1_200)
  }

  /** Whoever operates is not the one who meets faults. */
  async #operate(name: string, payload?: object): Promise<void> {
    const { effects } = this.bench
    const kept = effects.faults.splice(0)
    await this.bench.operate(name, payload)
    effects.faults.unshift(...kept)
  }

  async #skip(of: string): Promise<void> {
    const { version } = this.bench.effects.record(SHARD).parked[of] ?? {}
    if (version === undefined || !this.bench.row.events.some((each) => each.stream === of && each.version === version))
      return
    await this.#operate('skip', { stream: of, version, reason: 'by hand' })
    this.skipped.add(`${of}/${version}`)
  }

  /** All works again with one lane, and what is parked is tried again until nothing is. */
  async heal(): Promise<void> {
    this.bench.effects.faults.length = 0
    for (const kind of ['in time', 'quick', 'one', 'resume'] as const) await this.#doPlain(kind)
    this.#poison.clear()
    await this.bench.pass(11_000)
    for (let round = 0; round < 20; round += 1) {
      const parked = Object.keys(this.bench.effects.record(SHARD).parked)
      if (parked.length === 0) break
      for (const each of parked) await this.bench.operate('retry', { stream: each })
      await this.bench.pass(2_000)
    }
    this.bench.add(...STREAMS)
    await this.bench.pass(3_000)
  }
}

test('whatever two lanes do beside each other, what is not skipped is done, and nothing stays parked', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyDeed, { minLength: 5, maxLength: 60, size: 'max' }), async (deeds) => {
      const world = new World()
      const { bench, skipped } = world
      for (const each of deeds) await world.do(each)
      await world.heal()
      const left = bench.row.events.filter(({ type, id }) => type === 'Done' && !bench.done.includes(id))
      expect(left.map(({ id }) => id).filter((id) => !skipped.has(id))).toEqual([])
      expect(bench.effects.record(SHARD).parked).toEqual({})
      expect(bench.effects.record(SHARD).done).toBeUndefined()
      expect(bench.effects.record(SHARD).place!.position).toBeGreaterThanOrEqual(bench.row.find('a/6', 1).position)
    }),
    { numRuns, ...inTime() },
  )
})
