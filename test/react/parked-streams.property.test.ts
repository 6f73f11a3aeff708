import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { ConsumerLane } from '../../src/react/consumer-lane.ts'
import { LaneBench, SHARD } from './lane-bench.ts'

const parameters = {
  numRuns: Number(process.env['PENHOLD_RUNS'] ?? 150),
  seed: Number(process.env['PENHOLD_SEED'] ?? Date.now() % 2 ** 31),
  interruptAfterTimeLimit: 30_000,
}

/** Its events are under way for as long as it is held, so that the place stays before what comes after. */
const HELD = 'a/6'
const STREAMS = ['a/0', 'a/3'] as const

type Deed =
  | { readonly kind: 'add'; readonly stream: string; readonly isPoison: boolean }
  | { readonly kind: 'skip' | 'retry'; readonly stream: string }
  | { readonly kind: 'hold' | 'release' | 'mend' | 'hand over' }

const stream = fc.constantFrom(...STREAMS)
const anyDeed: fc.Arbitrary<Deed> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('add'), stream, isPoison: fc.boolean() }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom('skip', 'retry'), stream }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('hold', 'release', 'mend') }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('hand over') }) },
)

class World {
  readonly bench = new LaneBench({ retries: 0, handlerTimeoutMs: 1e9 })
  /** By event, how many had been begun once it was skipped, and that was known. */
  readonly skipped = new Map<string, number>()
  /** Where each life of the lane begins in what was begun. */
  readonly lives: number[] = [0]
  #isHeld = true
  #release = Promise.withResolvers<void>()
  #lane: ConsumerLane

  constructor() {
    this.bench.onHandle = (event) => (this.#isHeld && event.stream === HELD ? this.#release.promise : Promise.resolve())
    this.bench.add(HELD)
    this.#lane = this.bench.open()
  }

  async do(deed: Deed): Promise<void> {
    const { bench } = this
    switch (deed.kind) {
      case 'add': {
        bench.add(deed.stream)
        if (deed.isPoison) bench.poison.add(bench.row.events.findLast((event) => event.stream === deed.stream)!.id)
        break
      }
      case 'skip': {
        const parked = bench.effects.record(SHARD).parked[deed.stream]
        // What waits behind another may be no event yet.
        const event = bench.row.events.find((each) => each.stream === deed.stream && each.version === parked?.version)
        if (parked === undefined || event === undefined) break
        await bench.operate('skip', { stream: deed.stream, version: parked.version, reason: 'by hand' })
        await bench.pass(1_500)
        this.skipped.set(event.id, bench.begun.length)
        break
      }
      case 'retry':
        await bench.operate('retry', { stream: deed.stream })
        break
      case 'hold':
        this.#isHeld = true
        bench.add(HELD)
        break
      case 'release':
        this.release()
        break
      case 'mend':
        bench.poison.clear()
        break
      case 'hand over':
        await bench.during(this.#lane.close(0))
        this.lives.push(bench.begun.length)
        this.#lane = bench.open()
    }
    await bench.pass(1_200)
  }

  release(): void {
    this.#isHeld = false
    this.#release.resolve()
    this.#release = Promise.withResolvers()
  }

  /** All works again, and what is parked is tried again until nothing is. */
  async heal(): Promise<void> {
    this.release()
    this.bench.poison.clear()
    for (let round = 0; round < 20; round += 1) {
      const parked = Object.keys(this.bench.effects.record(SHARD).parked)
      if (parked.length === 0) break
      for (const each of parked) await this.bench.operate('retry', { stream: each })
      await this.bench.pass(2_000)
    }
    await this.bench.pass(3_000)
  }
}

/** Streams whose versions were not begun in order. */
function outOfOrder(begun: readonly string[]): string[] {
  const last = new Map<string, number>()
  return begun.filter((id) => {
    const at = id.lastIndexOf('/')
    const [of, version] = [id.slice(0, at), Number(id.slice(at + 1))]
    const isBehind = version < (last.get(of) ?? 0)
    last.set(of, version)
    return isBehind
  })
}

test('whoever runs a lane, what was skipped is not begun again, and all else is done, in order in each life', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyDeed, { minLength: 5, maxLength: 40 }), async (deeds) => {
      const world = new World()
      const { bench, skipped, lives } = world
      for (const each of deeds) await world.do(each)
      await world.heal()
      for (const [id, begun] of skipped) expect(bench.begun.slice(begun), `skipped ${id}`).not.toContain(id)
      const left = bench.row.events.filter(({ type, id }) => type === 'Done' && !bench.done.includes(id))
      expect(left.map(({ id }) => id).filter((id) => !skipped.has(id))).toEqual([])
      for (const [life, from] of lives.entries())
        expect(outOfOrder(bench.begun.slice(from, lives[life + 1]))).toEqual([])
      expect(bench.effects.record(SHARD).done).toBeUndefined()
    }),
    parameters,
  )
})
