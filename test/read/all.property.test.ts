/**
 * `$all` over writers that take shards from each other, are stopped and go on as zombies, are closed or lose power, with
 * clocks that differ by minutes: whoever reads, whenever, gets the same events in the same order, each once, and all that
 * was acknowledged. Who wants rare events alone gets all of them, and reads no segments that have none.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Catalog } from '../../src/log/catalog.ts'
import { Log } from '../../src/log/log.ts'
import type { Address, LogRecord } from '../../src/log/record.ts'
import type { Place, Reign } from '../../src/log/reign.ts'
import { hash64 } from '../../src/log/stream.ts'
import { AllReader, BEGINNING, type Frontier } from '../../src/read/all.ts'
import { PassedOver } from '../../src/read/passed-over.ts'
import { ShardReigns } from '../../src/read/shard-reigns.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { SimulatedStorage } from '../../src/testing/simulated-storage.ts'
import { addEvent } from '../log/noted.ts'

const SHARDS = 3
const MINUTES = 3

type Step =
  /** The owner of a shard writes so many events of it in one batch. */
  | { readonly do: 'write'; readonly shard: number; readonly events: number; readonly isRare: boolean }
  /** Another worker takes the shard over; the one before may not know. */
  | { readonly do: 'move'; readonly shard: number; readonly to: number }
  /** One that has lost shards and has not looked writes to its journal all the same. */
  | { readonly do: 'haunt'; readonly worker: number }
  | { readonly do: 'roll'; readonly worker: number }
  | { readonly do: 'close'; readonly worker: number }
  | { readonly do: 'power-loss' }
  /** Up to where all are, or, where the others are asked for it, the furthest is. */
  | { readonly do: 'read'; readonly reader: number; readonly isAsked: boolean }
  /** The reader takes some more, and begins anew behind the last of them. */
  | { readonly do: 'resume'; readonly reader: number; readonly events: number }

const shard = fc.nat(SHARDS - 1)
const worker = fc.nat(2)
const reader = fc.nat(1)
const anyStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('write' as const),
      shard,
      events: fc.integer({ min: 1, max: 3 }),
      isRare: fc.integer({ min: 0, max: 9 }).map((number) => number === 0),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('move' as const), shard, to: worker }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('haunt' as const), worker }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('roll' as const), worker }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('close' as const), worker }) },
  { weight: 1, arbitrary: fc.constant({ do: 'power-loss' as const }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('read' as const), reader, isAsked: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('resume' as const), reader, events: fc.nat(3) }) },
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
    { numRuns: 300 },
  )
  expect(passedOver, 'events that nobody wanted were left out').toBeGreaterThan(300)
})

interface Seen {
  readonly position: number
  readonly shard: number
  readonly seq: number
  readonly type: string
  readonly address: Address
}

class World {
  /** Events that whoever wants rare ones did not read. */
  passedOver = 0
  readonly #disk = new SimulatedDisk()
  readonly #random: SeededRandom
  /** By worker; made when it is first needed, and again after it has ended. */
  #logs: (Log | undefined)[] = []
  readonly #acknowledged: Seen[] = []
  readonly #readers = [new Reader(this.#disk), new Reader(this.#disk)]
  readonly #rare = new Reader(this.#disk, (type) => type === 'a/Rare@1')

  constructor(seed: number) {
    this.#random = new SeededRandom(seed)
  }

  async take(step: Step): Promise<void> {
    switch (step.do) {
      case 'write':
        return this.#write(await this.#ownerOf(step.shard), step)
      case 'move': {
        const log = await this.#log(step.to)
        if (!log.owns(step.shard)) await takeOver(log, step.shard)
        return
      }
      case 'haunt': {
        const log = await this.#log(step.worker)
        // It does not look: whatever it believes to own it writes, and acknowledges nothing.
        const own = log.ownedShards.map(({ shard: owned }) => owned)
        for (const owned of own) addNext(log, owned)
        if (!log.isBatchEmpty) await log.append(log.cut())
        return
      }
      case 'roll': {
        const log = await this.#log(step.worker)
        log.rollOver()
        await log.append(log.cut())
        return
      }
      case 'close': {
        const log = this.#logs[step.worker]
        if (log !== undefined) await log.close()
        this.#logs[step.worker] = undefined
        return
      }
      case 'power-loss':
        this.#disk.losePower(this.#random)
        this.#logs = []
        return
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
    }
  }

  /** All that was read is the beginning of what is read in the end, and all that was acknowledged is in there. */
  async end(): Promise<void> {
    const frontier = await this.#frontier(true)
    const last = new Reader(this.#disk)
    await last.read(frontier)
    for (const each of this.#readers) {
      expect(last.seen.slice(0, each.seen.length).map(keyOf)).toEqual(each.seen.map(keyOf))
      await each.read(frontier)
      expect(each.seen.map(keyOf)).toEqual(last.seen.map(keyOf))
    }
    const read = new Set(last.seen.map(keyOf))
    for (const one of this.#acknowledged) expect(read).toContain(keyOf(one))
    await this.#checkRare(last.seen, frontier)
    for (let of = 0; of < SHARDS; of += 1) {
      const seqs = last.seen.filter((one) => one.shard === of).map(({ seq }) => seq)
      expect(seqs).toEqual(seqs.map((_, i) => i + 1))
    }
  }

  async #checkRare(all: readonly Seen[], frontier: Frontier): Promise<void> {
    const fresh = new Reader(this.#disk, (type) => type === 'a/Rare@1')
    await fresh.read(frontier)
    await this.#rare.read(frontier)
    const rare = all.filter(isRare).map(keyOf)
    expect(fresh.seen.filter(isRare).map(keyOf)).toEqual(rare)
    expect(this.#rare.seen.filter(isRare).map(keyOf)).toEqual(rare)
    this.passedOver += all.length - fresh.seen.length
    await this.#checkPassedOver(all, frontier)
  }

  /** Which events a reader believes to have passed over are those that stand there. */
  async #checkPassedOver(all: readonly Seen[], { reigns, ends, position }: Frontier): Promise<void> {
    const known = new ShardReigns()
    for (const [of, ofShard] of reigns) known.set(of, ofShard)
    const storage = new SimulatedStorage(this.#disk)
    const catalog = new Catalog({ storage, clock: new SimulatedClock(), cluster: hash64('test', 0), shards: SHARDS })
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

  async #write(log: Log, { shard: of, events, isRare: ofRare }: Step & { readonly do: 'write' }): Promise<void> {
    const written = Array.from({ length: events }, () => addNext(log, of, ofRare ? 'Rare' : 'Noted'))
    await log.append(log.cut())
    await look(log)
    if (log.owns(of)) this.#acknowledged.push(...written)
  }

  async #ownerOf(of: number): Promise<Log> {
    for (const log of this.#logs) {
      if (log === undefined) continue
      await look(log)
      if (log.owns(of)) return log
    }
    const log = await this.#log(this.#random.below(3))
    await takeOver(log, of)
    return log
  }

  /** What a node learns from the owners. */
  async #frontier(isAsked: boolean): Promise<Frontier> {
    const reigns = new Map<number, readonly Reign[]>()
    const ends = new Map<number, Place>()
    const owners = new Set<Log>()
    for (let of = 0; of < SHARDS; of += 1) owners.add(await this.#ownerOf(of))
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

  async #log(number: number): Promise<Log> {
    const known = this.#logs[number]
    if (known !== undefined) return known
    const clock = new SimulatedClock()
    // Some are alike, so that positions are.
    clock.advance(this.#random.below(MINUTES) * 60_000)
    const storage = new SimulatedStorage(this.#disk)
    const options = { clusterId: 'test', shards: SHARDS, own: [], segmentBytes: 65_536, node: `worker ${number}` }
    const log = await Log.open({ ...options, storage, clock })
    this.#logs[number] = log
    return log
  }
}

class Reader {
  readonly seen: Seen[] = []
  readonly #catalog: Catalog
  #reader: AllReader

  readonly #isWanted: ((type: string) => boolean) | undefined

  constructor(disk: SimulatedDisk, isWanted?: (type: string) => boolean) {
    const storage = new SimulatedStorage(disk)
    this.#catalog = new Catalog({ storage, clock: new SimulatedClock(), cluster: hash64('test', 0), shards: SHARDS })
    this.#isWanted = isWanted
    this.#reader = new AllReader(this.#catalog, { isWanted })
  }

  async read(frontier: Frontier): Promise<void> {
    for await (const events of this.#reader.advance(frontier)) this.seen.push(...events.map(seenOf))
  }

  async resume(frontier: Frontier, count: number): Promise<void> {
    const events: Seen[] = []
    for await (const some of this.#reader.advance(frontier)) events.push(...some.map(seenOf))
    this.seen.push(...events.slice(0, count))
    this.#reader = new AllReader(this.#catalog, { after: this.seen.at(-1) ?? BEGINNING, isWanted: this.#isWanted })
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

async function look(log: Log): Promise<void> {
  if (log.isFenceRaised()) await log.lostShards()
}

async function takeOver(log: Log, of: number): Promise<void> {
  for (const inheritance of await log.inherit([of])) {
    log.open(inheritance)
    await log.append(log.cut())
    await log.serve(inheritance)
  }
  expect(log.refusedShards.size).toBe(0)
}

function addNext(log: Log, of: number, type = 'Noted'): Seen {
  const position = log.positions.next()
  const address = addEvent(log, of, position, { type })
  const { seq, undurable } = log.ownedShards.find(({ shard: owned }) => owned === of)!
  return { position, shard: of, seq: seq + undurable, type, address }
}
