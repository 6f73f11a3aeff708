/**
 * `$all` over writers that take shards from each other, are stopped and go on as zombies, are closed or lose power, with
 * clocks that differ by minutes: whoever reads, whenever, gets the same events in the same order, each once, and all that
 * was acknowledged. Who wants rare events alone gets all of them, and reads no segments that have none.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Catalog } from '../../src/log/catalog.ts'
import type { Log } from '../../src/log/log.ts'
import type { LogRecord } from '../../src/log/record.ts'
import type { Place, Reign } from '../../src/log/reign.ts'
import { hash64 } from '../../src/log/stream.ts'
import { AllReader, BEGINNING, type AcceptedLoss, type Frontier } from '../../src/read/all.ts'
import { PassedOver } from '../../src/read/passed-over.ts'
import { ShardReigns } from '../../src/read/shard-reigns.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import type { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { SimulatedStorage } from '../../src/testing/simulated-storage.ts'
import { CLUSTER, look, Writers, type WriterStep, type Written } from './writers.ts'
import { inTime } from '../in-time.ts'

const SHARDS = 3
const WORKERS = 3

type Step =
  | WriterStep
  /** Up to where all are, or, where the others are asked for it, the furthest is. */
  | { readonly do: 'read'; readonly reader: number; readonly isAsked: boolean }
  /** The reader takes some more, and begins anew behind the last of them. */
  | { readonly do: 'resume'; readonly reader: number; readonly events: number }
  /** All are stopped, one of the acknowledged events is accepted as lost, and all begin anew behind what they have read. */
  | { readonly do: 'lose'; readonly event: number }

const shard = fc.nat(SHARDS - 1)
const worker = fc.nat(WORKERS - 1)
const reader = fc.nat(1)
const anyStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('write' as const),
      shard,
      events: fc.integer({ min: 1, max: 3 }),
      type: fc.integer({ min: 0, max: 9 }).map((number) => (number === 0 ? 'Rare' : 'Noted')),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('move' as const), shard, to: worker, isAlone: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('die' as const), shard, to: worker }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('stall' as const), shard }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('haunt' as const), worker }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('roll' as const), worker }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('close' as const), worker }) },
  { weight: 1, arbitrary: fc.constant({ do: 'power-loss' as const }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('read' as const), reader, isAsked: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('resume' as const), reader, events: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('lose' as const), event: fc.nat(100) }) },
)

test('whoever reads everything reads the same', { timeout: 120_000 }, async () => {
  let passedOver = 0
  await fc.assert(
    fc.asyncProperty(fc.array(anyStep, { minLength: 5, maxLength: 40 }), fc.nat(), async (steps, seed) => {
      const world = new World(seed)
      for (const each of steps) await world.take(each)
      await world.end()
      passedOver += world.passedOver
    }),
    { numRuns: Number(process.env['PENHOLD_RUNS'] ?? 300), ...inTime() },
  )
  // Of these plans 330, give or take 45.
  expect(passedOver, 'events that nobody wanted were left out').toBeGreaterThan(100)
})

type Seen = Written

class World {
  /** Events that whoever wants rare ones did not read. */
  passedOver = 0
  readonly #writers: Writers
  readonly #readers: readonly Reader[]
  readonly #rare: Reader

  constructor(seed: number) {
    this.#writers = new Writers({ shards: SHARDS, workers: WORKERS, random: new SeededRandom(seed) })
    const { disk } = this.#writers
    this.#readers = [new Reader(disk), new Reader(disk)]
    this.#rare = new Reader(disk, (type) => type === 'a/Rare@1')
  }

  async take(step: Step): Promise<void> {
    switch (step.do) {
      case 'write':
      case 'move':
      case 'die':
      case 'stall':
      case 'haunt':
      case 'roll':
      case 'close':
      case 'power-loss':
        return await this.#writers.take(step)
      case 'read': {
        const given = this.#readers[step.reader]!
        const frontier = await this.#frontier(step.isAsked)
        await given.read(frontier)
        await this.#rare.read(frontier)
        return
      }
      case 'resume':
        await this.#readers[step.reader]!.resume(await this.#frontier(true), step.events)
        if (step.events === 0) await this.#rare.resume(await this.#frontier(true), step.events)
        return
      case 'lose':
        await this.#writers.lose(step.event)
        for (const each of [...this.#readers, this.#rare]) each.beginAnew()
    }
  }

  /** All that was read is the beginning of what is read in the end, and all that was acknowledged is in there. */
  async end(): Promise<void> {
    const frontier = await this.#frontier(true)
    const last = new Reader(this.#writers.disk)
    await last.read(frontier)
    const all = this.#withoutLost(last.seen)
    for (const each of this.#readers) {
      const seen = this.#withoutLost(each.seen)
      expect(all.slice(0, seen.length)).toEqual(seen)
      await each.read(frontier)
      expect(this.#withoutLost(each.seen)).toEqual(all)
    }
    const read = new Set(all)
    for (const one of this.#writers.kept) expect(read).toContain(keyOf(one))
    await this.#checkRare(last.seen, frontier)
    for (let of = 0; of < SHARDS; of += 1) {
      const seqs = last.seen.filter((one) => one.shard === of).map(({ seq }) => seq)
      const lost = [...this.#writers.lost].filter((one) => one.shard === of).map(({ seq }) => seq)
      const missing = Array.from({ length: seqs.at(-1) ?? 0 }, (_, i) => i + 1).filter((seq) => !seqs.includes(seq))
      expect(seqs).toEqual([...new Set(seqs)].toSorted((a, b) => a - b))
      expect(missing.filter((seq) => !lost.includes(seq))).toEqual([])
      for (const { shard: told, firstSeq, lastSeq } of [...this.#readers, this.#rare, last].flatMap(
        ({ losses }) => losses,
      )) {
        for (let seq = firstSeq; seq <= lastSeq && told === of; seq += 1) expect(lost).toContain(seq)
      }
    }
  }

  /** Who had read what is lost has it, and so has an heir that carried it elsewhere. */
  #withoutLost(seen: readonly Seen[]): readonly string[] {
    const lost = new Set([...this.#writers.lost].map(keyOf))
    return seen.map(keyOf).filter((key) => !lost.has(key))
  }

  async #checkRare(all: readonly Seen[], frontier: Frontier): Promise<void> {
    const fresh = new Reader(this.#writers.disk, (type) => type === 'a/Rare@1')
    await fresh.read(frontier)
    await this.#rare.read(frontier)
    const rare = this.#withoutLost(all.filter(isRare))
    expect(this.#withoutLost(fresh.seen.filter(isRare))).toEqual(rare)
    expect(this.#withoutLost(this.#rare.seen.filter(isRare))).toEqual(rare)
    this.passedOver += all.length - fresh.seen.length
    // What is lost stood in segments that have said of themselves what they had.
    if (this.#writers.lost.size === 0) await this.#checkPassedOver(all, frontier)
  }

  /** Which events a reader believes to have passed over are those that stand there. */
  async #checkPassedOver(all: readonly Seen[], { reigns, ends, position }: Frontier): Promise<void> {
    const known = new ShardReigns()
    for (const [of, ofShard] of reigns) known.set(of, ofShard)
    const storage = new SimulatedStorage(this.#writers.disk)
    const catalog = new Catalog({ storage, clock: new SimulatedClock(), cluster: hash64(CLUSTER, 0), shards: SHARDS })
    const passed = new PassedOver({ catalog, reigns: known, isWanted: (type) => type === 'a/Rare@1' })
    const standing: Seen[] = []
    // Journals are read side by side: here the later ones first.
    for (const stretch of known.stretches(ends).toReversed()) {
      for (let { segment } = stretch.from; segment <= stretch.to.segment; segment += 1) {
        if (!(await passed.take(stretch, segment, position))) continue
        const isThere = ({ address }: Seen): boolean =>
          address.journal === stretch.journal && address.segment === segment
        standing.push(...all.filter(isThere))
      }
    }
    for (let of = 0; of < SHARDS; of += 1) {
      const seqs = new Set(standing.filter((one) => one.shard === of).map(({ seq }) => seq))
      for (let seq = 0; seq <= all.length; seq += 1) {
        let last = seq
        while (seqs.has(last + 1)) last += 1
        expect(passed.lastBehind(of, seq)).toBe(last)
      }
    }
  }

  /** What a node learns from the owners. */
  async #frontier(isAsked: boolean): Promise<Frontier> {
    const reigns = new Map<number, readonly Reign[]>()
    const ends = new Map<number, Place>()
    const owners = new Set<Log>()
    for (let of = 0; of < SHARDS; of += 1) owners.add(await this.#writers.ownerOf(of, isAsked))
    const wanted = Math.max(...[...owners].map(({ head }) => head.position))
    let position = Number.POSITIVE_INFINITY
    for (const log of owners) {
      if (isAsked && log.head.position < wanted) {
        log.mark(wanted)
        await log.append(log.cut())
      }
      const { head } = log
      await look(log)
      ends.set(head.journal, head.end)
      position = Math.min(position, head.position)
      for (const { shard: owned } of log.ownedShards) reigns.set(owned, log.reigns(owned))
    }
    return { reigns, ends, position }
  }
}

class Reader {
  readonly seen: Seen[] = []
  /** What it was told to be missing. */
  readonly losses: AcceptedLoss[] = []
  readonly #catalog: Catalog
  #reader: AllReader

  readonly #isWanted: ((type: string) => boolean) | undefined

  constructor(disk: SimulatedDisk, isWanted?: (type: string) => boolean) {
    const storage = new SimulatedStorage(disk)
    this.#catalog = new Catalog({ storage, clock: new SimulatedClock(), cluster: hash64(CLUSTER, 0), shards: SHARDS })
    this.#isWanted = isWanted
    this.#reader = new AllReader(this.#catalog, { isWanted, onLoss: (loss) => void this.losses.push(loss) })
  }

  async read(frontier: Frontier): Promise<void> {
    for await (const events of this.#reader.advance(frontier)) this.seen.push(...events.map(seenOf))
  }

  async resume(frontier: Frontier, count: number): Promise<void> {
    const events: Seen[] = []
    for await (const some of this.#reader.advance(frontier)) events.push(...some.map(seenOf))
    this.seen.push(...events.slice(0, count))
    this.beginAnew()
  }

  beginAnew(): void {
    const after = this.seen.at(-1) ?? BEGINNING
    const onLoss = (loss: AcceptedLoss): void => void this.losses.push(loss)
    this.#reader = new AllReader(this.#catalog, { after, isWanted: this.#isWanted, onLoss })
  }
}

function seenOf({ position, shard: of, seq, type, address }: LogRecord): Seen {
  return { position, shard: of, seq, type, address }
}

function isRare({ type }: Seen): boolean {
  return type === 'Rare'
}

/** An heir may have carried it elsewhere. */
function keyOf({ position, shard: of, seq, type }: Seen): string {
  return JSON.stringify([position, of, seq, type])
}
