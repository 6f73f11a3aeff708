/**
 * Writers on one simulated disk that take shards from each other, are stopped and go on as zombies, are closed or lose power,
 * with clocks that differ by minutes. Their events say nothing but of which type they are.
 */
import { expect } from 'vitest'
import { encodeIdentity } from '../../src/log/cluster-identity.ts'
import { JournalBroken } from '../../src/log/error.ts'
import { Log } from '../../src/log/log.ts'
import { isAccepted, readLosses } from '../../src/log/losses.ts'
import { CLUSTER_PATH, segmentPath } from '../../src/log/path.ts'
import type { Address } from '../../src/log/record.ts'
import { acceptLosses } from '../../src/log/repair.ts'
import { verify } from '../../src/log/verify/verify.ts'
import type { SeededRandom } from '../../src/testing/random.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { SimulatedDisk } from '../../src/testing/simulated-disk.ts'
import { ProcessDied, SimulatedStorage, type Fault, type Step } from '../../src/testing/simulated-storage.ts'
import { addEvent } from '../log/noted.ts'
import { putFile } from '../log/small-log.ts'

export type WriterStep =
  /** The owner of a shard writes so many events of it in one batch. */
  | { readonly do: 'write'; readonly shard: number; readonly events: number; readonly type: string }
  /** Another worker takes the shard over, in a segment of its own where that is wanted; the one before may not know. */
  | { readonly do: 'move'; readonly shard: number; readonly to: number; readonly isAlone?: boolean }
  /** Another worker writes that it takes the shard over, and dies before that is durable. */
  | { readonly do: 'die'; readonly shard: number; readonly to: number }
  /** The owner of a shard writes an event of it, which is not synced before it is needed for something else. */
  | { readonly do: 'stall'; readonly shard: number }
  /** One that has lost shards and has not looked writes to its journal all the same. */
  | { readonly do: 'haunt'; readonly worker: number }
  | { readonly do: 'roll' | 'close'; readonly worker: number }
  | { readonly do: 'power-loss' }

export interface WritersOptions {
  readonly shards: number
  readonly workers: number
  readonly random: SeededRandom
  /** Something more is durable, or somebody serves something else. */
  readonly onChange?: () => void
  /** A batch is durable, and nobody was told of it yet. */
  readonly onWritten?: (events: readonly Written[]) => void
  /** Somebody is about to read what others have written, to go on from there. */
  readonly beforeTakeOver?: () => void
}

export interface Written {
  readonly shard: number
  readonly seq: number
  readonly position: number
  readonly type: string
  readonly address: Address
}

export const CLUSTER = 'test'
const MINUTES = 3

export class Writers {
  readonly disk = new SimulatedDisk()
  readonly acknowledged: Written[] = []
  /** Of these: what was accepted as lost. Whoever had seen it has. */
  readonly lost: Set<Written> = new Set()
  /** By worker; made when it is first needed, and again after it has ended. */
  readonly logs: (Log | undefined)[] = []
  readonly #options: WritersOptions
  /** By worker: what it does that waits for the disk. */
  readonly #stalled = new Map<number, Stalled>()
  /** The worker whose next write is the last thing that it does. */
  #dying: number | undefined

  constructor(options: WritersOptions) {
    this.#options = options
  }

  /** Whether an event is not known to be durable: whoever tells of it tells too early. */
  isInDoubt({ shard, seq }: Pick<Written, 'shard' | 'seq'>): boolean {
    return [...this.#stalled.values()].some(({ written }) => written.shard === shard && written.seq === seq)
  }

  async take(step: WriterStep): Promise<void> {
    switch (step.do) {
      case 'write':
        return await this.#write(await this.ownerOf(step.shard), step)
      case 'move':
        return await this.#move(step)
      case 'die':
        return await this.#dieAt(step)
      case 'stall':
        return await this.#stall(step.shard)
      case 'haunt': {
        const log = await this.#log(step.worker)
        // It does not look: whatever it believes to own it writes, and acknowledges nothing.
        for (const { shard } of log.ownedShards) addNext(log, shard, 'Noted')
        if (!log.isBatchEmpty) await log.append(log.cut())
        return
      }
      case 'roll': {
        await roll(await this.#log(step.worker))
        return
      }
      case 'close':
        await this.#settle(step.worker)
        await this.logs[step.worker]?.close()
        this.logs[step.worker] = undefined
        return
      case 'power-loss':
        this.stop()
        this.disk.losePower(this.#options.random)
        return
    }
  }

  /** All processes end by force. */
  stop(): void {
    this.#stalled.clear()
    this.logs.length = 0
  }

  /** What was acknowledged and is there. */
  get kept(): readonly Written[] {
    return this.acknowledged.filter((written) => !this.lost.has(written))
  }

  /** All processes end, one of the acknowledged events, counted from the first, cannot be read any more, and is accepted as lost. */
  async lose(event: number): Promise<void> {
    this.stop()
    // What its journal has behind it says up to which position there was something.
    const isBehind = (a: Written, b: Written): boolean =>
      a.address.journal === b.address.journal && a.position < b.position
    const { kept } = this
    const known = kept.filter((each) => kept.some((other) => isBehind(each, other)))
    for (let i = 0; i < known.length; i += 1) {
      const written = known[(event + i) % known.length]!
      if (!(await this.#acceptLoss(written.address))) continue
      this.lost.add(written)
      return
    }
  }

  /** Whether the event stands, or stood, in a stretch that was accepted as lost. */
  async isWithinLoss({ address: { journal, segment, offset } }: Written): Promise<boolean> {
    const losses = await readLosses(new SimulatedStorage(this.disk), journal)
    return isAccepted(losses, { segment, from: offset, to: offset })
  }

  /** False where nobody would know that something is missing: what stands in a journal's last batch may never have been there. */
  async #acceptLoss({ journal, segment, offset }: Address): Promise<boolean> {
    const path = segmentPath(journal, segment)
    const file = this.disk.files.get(path)!
    const smash = (): void => {
      for (let at = offset + 40; at < offset + 80; at += 1) for (const bit of [0, 2, 5]) file.flip(at, bit)
    }
    const identity = encodeIdentity({ format: 1, clusterId: CLUSTER, name: 'test', shards: this.#options.shards })
    putFile(this.disk, CLUSTER_PATH, identity)
    smash()
    const ports = { storage: new SimulatedStorage(this.disk), clock: new SimulatedClock() }
    const repairs = await acceptLosses({ ...ports, ...(await verify(ports)) }, path)
    // The same bits once more.
    if (repairs.length === 0) smash()
    return repairs.length > 0
  }

  /** Who serves the shard; where that is nobody, some worker takes it over. It has written what it was about to, where that is awaited. */
  async ownerOf(shard: number, isSettled = true): Promise<Log> {
    for (const [worker, log] of this.logs.entries()) {
      if (log === undefined) continue
      await look(log)
      if (isSettled && log.owns(shard)) await this.#settle(worker)
      if (log.owns(shard)) return log
    }
    const { random, workers } = this.#options
    const log = await this.#log(random.below(workers))
    await this.#takeOver(log, shard)
    return log
  }

  async #write(log: Log, { shard, events, type }: WriterStep & { readonly do: 'write' }): Promise<void> {
    const written = Array.from({ length: events }, () => addNext(log, shard, type))
    await log.append(log.cut())
    await look(log)
    if (log.owns(shard)) this.acknowledged.push(...written)
    this.#options.onWritten?.(written)
    this.#options.onChange?.()
  }

  async #move({ shard, to, isAlone = false }: WriterStep & { readonly do: 'move' }): Promise<void> {
    const log = await this.#log(to)
    if (log.owns(shard)) return
    if (isAlone) await roll(log)
    await this.#takeOver(log, shard)
    if (isAlone) await roll(log)
  }

  async #stall(shard: number): Promise<void> {
    const log = await this.ownerOf(shard)
    const worker = this.logs.indexOf(log)
    const [reached, synced] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const written = addNext(log, shard, 'Noted')
    this.#stalled.set(worker, { written, reached, synced, appended: log.append(log.cut()) })
    await reached.promise
  }

  /** The disk has done what a worker waits for. */
  async #settle(worker: number): Promise<void> {
    const stalled = this.#stalled.get(worker)
    if (stalled === undefined) return
    stalled.synced.resolve()
    await stalled.appended
    this.#stalled.delete(worker)
    const log = this.logs[worker]
    // Its process may have ended meanwhile: whoever takes over finds what it has written.
    if (log === undefined) return
    await look(log)
    if (log.owns(stalled.written.shard)) this.acknowledged.push(stalled.written)
    this.#options.onChange?.()
  }

  async #dieAt({ shard, to }: WriterStep & { readonly do: 'die' }): Promise<void> {
    const log = await this.#log(to)
    if (log.owns(shard)) return
    this.#options.beforeTakeOver?.()
    try {
      for (const inheritance of await log.inherit([shard])) log.open(inheritance)
      this.#dying = to
      await log.append(log.cut())
    } catch (error) {
      if (!(error instanceof JournalBroken && error.cause instanceof ProcessDied)) throw error
    }
    this.#dying = undefined
    this.logs[to] = undefined
    this.#options.onChange?.()
  }

  async #takeOver(log: Log, shard: number): Promise<void> {
    this.#options.beforeTakeOver?.()
    for (const inheritance of await log.inherit([shard])) {
      log.open(inheritance)
      await log.append(log.cut())
      // What was in doubt it has carried over.
      for (const [worker, { written }] of this.#stalled) if (written.shard === shard) await this.#settle(worker)
      await log.serve(inheritance)
    }
    expect([...log.refusedShards.values()]).toEqual([])
    this.#options.onChange?.()
  }

  async #log(worker: number): Promise<Log> {
    await this.#settle(worker)
    const known = this.logs[worker]
    if (known !== undefined) return known
    const { shards, random, beforeTakeOver } = this.#options
    beforeTakeOver?.()
    const clock = new SimulatedClock()
    // Some are alike, so that positions are.
    clock.advance(random.below(MINUTES) * 60_000)
    const storage = new SimulatedStorage(this.disk, (step) => this.#faultAt(worker, step))
    const options = { clusterId: CLUSTER, shards, own: [], segmentBytes: 65_536, node: `worker ${worker}` }
    const log = await Log.open({ ...options, storage, clock })
    this.logs[worker] = log
    return log
  }

  #faultAt(worker: number, { name, path }: Step): Fault | Promise<Fault> {
    if (name === 'write' && this.#dying === worker) return 'die-after'
    const stalled = name === 'sync' && path.endsWith('.log') ? this.#stalled.get(worker) : undefined
    if (stalled === undefined) return 'none'
    stalled.reached.resolve()
    return stalled.synced.promise.then(() => 'none')
  }
}

interface Stalled {
  readonly written: Written
  readonly reached: PromiseWithResolvers<void>
  readonly synced: PromiseWithResolvers<void>
  readonly appended: Promise<void>
}

async function roll(log: Log): Promise<void> {
  log.rollOver()
  await log.append(log.cut())
}

/** A worker looks whether it still owns what it believes to own. */
export async function look(log: Log): Promise<void> {
  await log.lostShards(log.look())
}

function addNext(log: Log, shard: number, type: string): Written {
  const position = log.positions.next()
  const address = addEvent(log, shard, position, { type })
  const { seq, undurable } = log.ownedShards.find((owned) => owned.shard === shard)!
  return { shard, seq: seq + undurable, position, type, address }
}
