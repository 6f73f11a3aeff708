/**
 * `$all` over writers that take shards from each other, are stopped and go on as zombies, are closed or lose power, with
 * clocks that differ by minutes: whoever reads, whenever, gets the same events in the same order, each once, and all that
 * was acknowledged.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Catalog } from '../../src/log/catalog.ts'
import { Log } from '../../src/log/log.ts'
import type { LogRecord } from '../../src/log/record.ts'
import type { Place, Reign } from '../../src/log/reign.ts'
import { hash64 } from '../../src/log/stream.ts'
import { AllReader, BEGINNING, type Frontier } from '../../src/read/all.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { SimulatedStorage } from '../../src/testing/simulated-storage.ts'
import { addEvent } from '../log/noted.ts'

const SHARDS = 3
const MINUTES = 3

type Step =
  /** The owner of a shard writes so many events of it in one batch. */
  | { readonly do: 'write'; readonly shard: number; readonly events: number }
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
    arbitrary: fc.record({ do: fc.constant('write' as const), shard, events: fc.integer({ min: 1, max: 3 }) }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('move' as const), shard, to: worker }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('haunt' as const), worker }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('roll' as const), worker }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('close' as const), worker }) },
  { weight: 1, arbitrary: fc.constant({ do: 'power-loss' as const }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('read' as const), reader, isAsked: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('resume' as const), reader, events: fc.nat(3) }) },
)

test('whoever reads everything reads the same', { timeout: 120_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyStep, { minLength: 5, maxLength: 40 }), fc.nat(), async (steps, seed) => {
      const world = new World(seed)
      for (const each of steps) await world.take(each)
      await world.end()
    }),
    { numRuns: 300 },
  )
})

interface Seen {
  readonly position: number
  readonly shard: number
  readonly seq: number
}

class World {
  readonly #disk = new SimulatedDisk()
  readonly #random: SeededRandom
  /** By worker; made when it is first needed, and again after it has ended. */
  #logs: (Log | undefined)[] = []
  readonly #acknowledged: Seen[] = []
  readonly #readers = [new Reader(this.#disk), new Reader(this.#disk)]

  constructor(seed: number) {
    this.#random = new SeededRandom(seed)
  }

  async take(step: Step): Promise<void> {
    switch (step.do) {
      case 'write':
        return this.#write(await this.#ownerOf(step.shard), step.shard, step.events)
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
        await given.read(await this.#frontier(step.isAsked))
        return
      }
      case 'resume':
        return this.#readers[step.reader]!.resume(await this.#frontier(true), step.events)
    }
  }

  /** All that was read is the beginning of what is read in the end, and all that was acknowledged is in there. */
  async end(): Promise<void> {
    const frontier = await this.#frontier(true)
    const last = new Reader(this.#disk)
    await last.read(frontier)
    for (const each of this.#readers) {
      expect(last.seen.slice(0, each.seen.length)).toEqual(each.seen)
      await each.read(frontier)
      expect(each.seen).toEqual(last.seen)
    }
    const read = new Set(last.seen.map((one) => JSON.stringify(one)))
    for (const one of this.#acknowledged) expect(read).toContain(JSON.stringify(one))
    for (let of = 0; of < SHARDS; of += 1) {
      const seqs = last.seen.filter((one) => one.shard === of).map(({ seq }) => seq)
      expect(seqs).toEqual(seqs.map((_, i) => i + 1))
    }
  }

  async #write(log: Log, of: number, count: number): Promise<void> {
    const written = Array.from({ length: count }, () => addNext(log, of))
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

  constructor(disk: SimulatedDisk) {
    const storage = new SimulatedStorage(disk)
    this.#catalog = new Catalog({ storage, clock: new SimulatedClock(), cluster: hash64('test', 0), shards: SHARDS })
    this.#reader = new AllReader(this.#catalog)
  }

  async read(frontier: Frontier): Promise<void> {
    for await (const events of this.#reader.advance(frontier)) this.seen.push(...events.map(seenOf))
  }

  async resume(frontier: Frontier, count: number): Promise<void> {
    const events: Seen[] = []
    for await (const some of this.#reader.advance(frontier)) events.push(...some.map(seenOf))
    this.seen.push(...events.slice(0, count))
    this.#reader = new AllReader(this.#catalog, { after: this.seen.at(-1) ?? BEGINNING })
  }
}

function seenOf({ position, shard: of, seq }: LogRecord): Seen {
  return { position, shard: of, seq }
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

function addNext(log: Log, of: number): Seen {
  const position = log.positions.next()
  addEvent(log, of, position)
  const { seq, undurable } = log.ownedShards.find(({ shard: owned }) => owned === of)!
  return { position, shard: of, seq: seq + undurable }
}
