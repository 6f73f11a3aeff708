/**
 * Writers on one simulated disk that take shards from each other, are stopped and go on as zombies, die in the middle of a
 * sync, or lose power, with clocks that differ by minutes. Each event has an id, and often another event as its cause.
 */
import fc from 'fast-check'
import { expect } from 'vitest'
import { Catalog } from '../../src/log/catalog.ts'
import { encodeIdentity } from '../../src/log/cluster-identity.ts'
import { encode } from '../../src/log/codec.ts'
import { Log } from '../../src/log/log.ts'
import { CLUSTER_PATH } from '../../src/log/path.ts'
import { NOWHERE, RecordKind, type Address, type LogRecord } from '../../src/log/record.ts'
import type { Place, Reign } from '../../src/log/reign.ts'
import { sliceOf } from '../../src/log/slice.ts'
import { hash64 } from '../../src/log/stream.ts'
import type { Inheritance } from '../../src/log/take-over.ts'
import { AllReader, type Frontier } from '../../src/read/all.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { SimulatedStorage, type Fault } from '../../src/testing/simulated-storage.ts'
import { putFile } from '../log/small-log.ts'

const SHARDS = 3
const WORKERS = 3
const CLUSTER = 'test'
const MINUTES = 3

export type Step =
  /** The owner of a shard writes so many events of it in one batch, caused by the last that was acknowledged. */
  | { readonly do: 'write'; readonly shard: number; readonly events: number }
  /** An event of one shard, and one of another that it causes. */
  | { readonly do: 'chain'; readonly from: number; readonly to: number }
  /** Another worker claims the shard, reads what was left, and is about to open it. */
  | { readonly do: 'claim'; readonly shard: number; readonly to: number }
  /** It opens what it has claimed. */
  | { readonly do: 'open'; readonly worker: number }
  /** One that has lost shards and has not looked writes to its journal all the same. */
  | { readonly do: 'haunt'; readonly worker: number }
  /** It dies with a batch that was written and not synced. */
  | { readonly do: 'die'; readonly worker: number }
  | { readonly do: 'roll'; readonly worker: number }
  | { readonly do: 'close'; readonly worker: number }

const shard = fc.nat(SHARDS - 1)
const worker = fc.nat(WORKERS - 1)
export const anyStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constant('write' as const), shard, events: fc.integer({ min: 1, max: 3 }) }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('chain' as const), from: shard, to: shard }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('claim' as const), shard, to: worker }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('open' as const), worker }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('haunt' as const), worker }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('die' as const), worker }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('roll' as const), worker }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('close' as const), worker }) },
)

interface Writer {
  readonly log: Log
  readonly pending: Inheritance[]
  /** What happens at its next sync. */
  readonly fate: { sync: Fault }
}

export interface SeenEvent {
  readonly id: string
  readonly cause: string
  /** The id of the command's first event. */
  readonly command: string
  readonly position: number
  readonly stream: string
  readonly version: number
  readonly seq: number
}

export class WritersWorld {
  readonly disk = new SimulatedDisk()
  /** The ids of events that were acknowledged. */
  readonly acknowledged: string[] = []
  readonly #random: SeededRandom
  readonly #hasCauses: boolean
  #writers: (Writer | undefined)[] = []
  #events = 0
  #last: { readonly id: string; readonly position: number } | undefined

  /** Without causes, writers whose clocks are alike give the same positions. */
  constructor(seed: number, hasCauses = true) {
    this.#hasCauses = hasCauses
    this.#random = new SeededRandom(seed)
    putFile(this.disk, CLUSTER_PATH, encodeIdentity({ format: 1, clusterId: CLUSTER, name: 'x', shards: SHARDS }))
  }

  async take(step: Step): Promise<void> {
    switch (step.do) {
      case 'write':
        return this.#write(step.shard, step.events)
      case 'chain':
        await this.#write(step.from, 1)
        return this.#write(step.to, 1)
      case 'claim':
        return this.#claim(await this.#writer(step.to), step.shard)
      case 'open':
        return this.#open(await this.#writer(step.worker))
      case 'haunt': {
        const { log } = await this.#writer(step.worker)
        for (const { shard: owned } of log.ownedShards) await this.#add(log, owned, 1)
        if (!log.isBatchEmpty) await log.append(log.cut())
        return
      }
      case 'die': {
        const { log, fate } = await this.#writer(step.worker)
        for (const { shard: owned } of log.ownedShards) await this.#add(log, owned, 1)
        fate.sync = 'die-before'
        if (!log.isBatchEmpty) await log.append(log.cut()).catch(() => undefined)
        this.#writers[step.worker] = undefined
        return
      }
      case 'roll': {
        const { log } = await this.#writer(step.worker)
        log.rollOver()
        await log.append(log.cut())
        return
      }
      case 'close': {
        await this.#writers[step.worker]?.log.close()
        this.#writers[step.worker] = undefined
        return
      }
    }
  }

  losePower(): void {
    this.disk.losePower(this.#random)
    this.#writers = []
  }

  /** All events that count, with their positions, in their order. */
  async allEvents(): Promise<readonly SeenEvent[]> {
    for (let of = 0; of < SHARDS; of += 1) await this.#ownerOf(of)
    return eventsOf(this.disk, this.#frontier())
  }

  #frontier(): Frontier {
    const reigns = new Map<number, readonly Reign[]>()
    const ends = new Map<number, Place>()
    for (const writer of this.#writers) {
      if (writer === undefined) continue
      const { log } = writer
      ends.set(log.head.journal, log.head.end)
      for (const { shard: owned } of log.ownedShards) reigns.set(owned, log.reigns(owned))
    }
    return { reigns, ends, position: Number.MAX_SAFE_INTEGER }
  }

  async #write(of: number, count: number): Promise<void> {
    const log = await this.#ownerOf(of)
    const written = await this.#add(log, of, count)
    await log.append(log.cut())
    await look(log)
    if (!log.owns(of)) return
    this.acknowledged.push(...written.map(({ id }) => id))
    if (this.#hasCauses) this.#last = written.at(-1)
  }

  async #add(log: Log, of: number, count: number): Promise<readonly { id: string; position: number }[]> {
    const stream = streamIn(log, of)
    let { newest: previous } = await log.tail(stream, () => false)
    const written: { id: string; position: number }[] = []
    for (let i = 0; i < count; i += 1) {
      const cause = this.#last
      if (cause !== undefined) log.positions.observe(cause.position)
      const { seq, undurable } = log.ownedShards.find(({ shard: owned }) => owned === of)!
      const position = log.positions.next()
      const id = String((this.#events += 1))
      const command = written[0]?.id ?? id
      previous = addEvent(log, stream, {
        id,
        command,
        cause: cause?.id ?? '',
        position,
        previous,
        version: seq + undurable + 1,
      })
      written.push({ id, position })
    }
    return written
  }

  async #claim({ log, pending }: Writer, of: number): Promise<void> {
    if (log.owns(of) || pending.some(({ claim }) => claim.shard === of)) return
    pending.push(...(await log.inherit([of])))
    expect([...log.refusedShards.values()]).toEqual([])
  }

  async #open({ log, pending }: Writer): Promise<void> {
    for (const inheritance of pending.splice(0)) {
      log.open(inheritance)
      await log.append(log.cut())
      await log.serve(inheritance)
    }
  }

  async #ownerOf(of: number): Promise<Log> {
    for (const writer of this.#writers) {
      if (writer === undefined) continue
      await look(writer.log)
      if (writer.log.owns(of)) return writer.log
    }
    const writer = await this.#writer(this.#random.below(WORKERS))
    // One that has claimed it before somebody else did has to claim it once more.
    const stale = writer.pending.findIndex(({ claim }) => claim.shard === of)
    if (stale >= 0) writer.pending.splice(stale, 1)
    await this.#claim(writer, of)
    await this.#open(writer)
    return writer.log
  }

  async #writer(number: number): Promise<Writer> {
    const known = this.#writers[number]
    if (known !== undefined) return known
    const clock = new SimulatedClock()
    clock.advance(this.#random.below(MINUTES) * 60_000)
    const fate: Writer['fate'] = { sync: 'none' }
    const storage = new SimulatedStorage(this.disk, ({ name }) => (name === 'sync' ? fate.sync : 'none'))
    const options = { clusterId: CLUSTER, shards: SHARDS, own: [], segmentBytes: 65_536, node: `worker ${number}` }
    const writer = { log: await Log.open({ ...options, storage, clock }), pending: [], fate }
    this.#writers[number] = writer
    return writer
  }
}

/** All events of a log that nobody writes to, in their order. */
export async function eventsOf(disk: SimulatedDisk, given?: Frontier): Promise<readonly SeenEvent[]> {
  const storage = new SimulatedStorage(disk)
  const clock = new SimulatedClock()
  let frontier = given
  if (frontier === undefined) {
    const own = Array.from({ length: SHARDS }, (_, of) => of)
    const log = await Log.open({
      storage,
      clock,
      clusterId: CLUSTER,
      shards: SHARDS,
      own,
      segmentBytes: 65_536,
      node: 'x',
    })
    const reigns = new Map(log.ownedShards.map(({ shard: owned }) => [owned, log.reigns(owned)]))
    frontier = { reigns, ends: new Map([[log.head.journal, log.head.end]]), position: Number.MAX_SAFE_INTEGER }
  }
  const catalog = new Catalog({ storage, clock, cluster: hash64(CLUSTER, 0), shards: SHARDS })
  const seen: SeenEvent[] = []
  for await (const events of new AllReader(catalog).advance(frontier)) seen.push(...events.map(seenOf))
  return seen
}

function seenOf({ eventId, commandId, data, position, stream, version, seq }: LogRecord): SeenEvent {
  const { cause } = data as { readonly cause: string }
  const command = String(Buffer.from(commandId.bytes).readUInt32BE(commandId.start + 12))
  return { id: String(Buffer.from(eventId).readUInt32BE(12)), command, cause, position, stream, version, seq }
}

async function look(log: Log): Promise<void> {
  await log.lostShards(log.look())
}

function streamIn(log: Log, of: number): ReturnType<Log['placement']['stream']> {
  const id = Array.from({ length: 100 }, (_, i) => i).find((i) => log.placement.shardOf(`a/${i}`) === of)
  return log.placement.stream(`a/${id}`)
}

interface NewEvent {
  readonly id: string
  readonly command: string
  readonly cause: string
  readonly position: number
  readonly previous: Address
  readonly version: number
}

function addEvent(log: Log, stream: ReturnType<typeof streamIn>, event: NewEvent): Address {
  const { id, command, cause, position, version, previous = NOWHERE } = event
  return log.add(stream, {
    kind: RecordKind.event,
    epoch: 0,
    seq: 0,
    version,
    payloadHash: 7,
    position,
    previous,
    time: 1,
    eventId: uuidOf(id),
    commandId: sliceOf(uuidOf(command)),
    typeVersion: 1,
    type: Buffer.from('Noted'),
    data: sliceOf(encode({ cause })),
    metadata: encode({ of: id }),
  })
}

/** A UUID that ends with a number. */
function uuidOf(id: string): Uint8Array {
  const bytes = Buffer.alloc(16)
  bytes[6] = 0x40
  bytes[8] = 0x80
  bytes.writeUInt32BE(Number(id), 12)
  return bytes
}
