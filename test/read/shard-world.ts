/**
 * Nodes that run a projection by shard over real logs on one disk and one store: writers take shards from each other, are
 * stopped and go on as zombies, are closed or lose power; records are harmed, and mended; lanes move along, handlers fail, the
 * store fails, and the model is rebuilt. Whatever happens, in each generation each shard's events have taken effect once, in order, up to its place.
 */
import { setImmediate } from 'node:timers/promises'
import { PenholdError } from '../../src/aggregate/error.ts'
import { Catalog } from '../../src/log/catalog.ts'
import type { Log } from '../../src/log/log.ts'
import { segmentPath } from '../../src/log/path.ts'
import { toRecordedEvent } from '../../src/log/recorded-event.ts'
import { isBefore } from '../../src/log/reign.ts'
import { hash64 } from '../../src/log/stream.ts'
import type { KnownTail, Tail, TailSource } from '../../src/log/tail.ts'
import type { AcceptedLoss } from '../../src/read/all.ts'
import { Bell } from '../../src/read/bell.ts'
import type { FeedEvent } from '../../src/read/event-feed.ts'
import { Frontiers } from '../../src/read/frontiers.ts'
import { KnownTails } from '../../src/read/known-tails.ts'
import { defineProjection } from '../../src/read/projection.ts'
import { LaneMoved } from '../../src/read/read-model.ts'
import { RunningProjection } from '../../src/read/running-projection.ts'
import { ShardFeeds } from '../../src/read/shard-feeds.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { SimulatedClock } from '../../src/testing/simulated-clock.ts'
import { SimulatedStorage } from '../../src/testing/simulated-storage.ts'
import { ConnectionLost, FaultyStore, type Fault } from './faulty-store.ts'
import { CLUSTER, look, Writers, type WriterStep, type Written } from './writers.ts'

export const SHARDS = 4
export const NODES = 2
/** Of each node. */
const WORKERS = 2
const ROUNDS_MAX = 4_000
const LOOK_MS = 250

export type Step =
  /** The owner of a shard writes so many events of it in one batch. The last may be harmed before anybody reads it. */
  | { readonly do: 'write'; readonly shard: number; readonly events: number; readonly harm?: Harm | undefined }
  | Exclude<WriterStep, { readonly do: 'write' }>
  /** The node's process ends by force: its lanes go on as zombies for a while. */
  | { readonly do: 'crash'; readonly node: number }
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'faults'; readonly faults: Fault[] }
  /** The handler of the shard's next event fails until it is mended. */
  | { readonly do: 'poison'; readonly shard: number }
  | { readonly do: 'mend' }
  /** One of the acknowledged events, counted from the first, is harmed. Take-overs have it mended. */
  | { readonly do: 'harm'; readonly event: number; readonly harm: Harm }
  | { readonly do: 'mend-log' }
  /** All nodes are stopped, one of the acknowledged events cannot be read any more, is accepted as lost, and all start again. */
  | { readonly do: 'lose'; readonly event: number }
  | { readonly do: 'rebuild' | 'abort-rebuild' | 'roll-back' | 'resume-rebuild'; readonly node: number }

/** A flipped bit, or more than one. */
export type Harm = 'bit' | 'bytes'

type Effect = Pick<Written, 'shard' | 'seq' | 'position'>

interface Effects {
  readonly effects: Effect[]
}

export class ShardWorld {
  readonly clock = new SimulatedClock()
  readonly store = new FaultyStore<Effects>(() => ({ effects: [] }))
  readonly warnings: string[] = []
  readonly #writers: Writers
  readonly #sources = new Map<Log, TailSource>()
  /** Something is durable, or somebody serves something else. */
  readonly #changed = new Bell()
  readonly #nodes: (RunningProjection<Effects> | undefined)[] = []
  readonly #zombies: RunningProjection<Effects>[] = []
  readonly #lanes = new Map<RunningProjection<Effects>, string>()
  readonly #problems: string[] = []
  #lookedAt = 0
  readonly #poisoned = new Set<string>()
  /** What befalls the last event of what is written. */
  #harmNext: Harm | undefined
  /** What is to be put back. */
  #harmed: { readonly path: string; readonly at: number; readonly bytes: Uint8Array }[] = []
  readonly #keptBytes: number
  #power = 0

  constructor(seed: number, keptBytes: number) {
    this.#writers = new Writers({
      shards: SHARDS,
      workers: NODES * WORKERS,
      random: new SeededRandom(seed),
      onChange: () => this.#changed.ring(),
      onWritten: (events) => {
        if (this.#harmNext !== undefined) this.#harm(events.at(-1), this.#harmNext)
      },
      beforeTakeOver: () => this.#mendLog(),
    })
    this.#keptBytes = keptBytes
  }

  async start(): Promise<void> {
    for (let node = 0; node < NODES; node += 1) await this.#open(node)
  }

  async take(step: Step): Promise<void> {
    await this.#whileTimePasses(this.#take(step))
    this.#look()
    await this.#turns(5)
    this.#check()
  }

  /** Everything works again: then all that was acknowledged must have taken effect, and a query that waits for it sees it. */
  async end(): Promise<void> {
    this.store.faults = []
    this.#poisoned.clear()
    this.#mendLog()
    for (const zombie of this.#zombies) await this.#whileTimePasses(zombie.close())
    for (let shard = 0; shard < SHARDS; shard += 1) await this.#writers.ownerOf(shard)
    for (const node of this.#nodes) await this.#whileTimePasses(node!.resume())
    const last = Math.max(0, ...this.#writers.kept.map(({ position }) => position))
    const seen = this.#nodes.map(async (node) => {
      return await node!.query(({ effects }) => effects, { after: last, timeoutMs: 60_000 })
    })
    for (const effects of await this.#whileTimePasses(Promise.all(seen))) {
      const had = new Set(effects.map(keyOf))
      const missing = this.#writers.kept.filter((written) => !had.has(keyOf(written)))
      if (missing.length > 0) throw new Error(`not seen: ${JSON.stringify(missing)}`)
    }
    // What is being rebuilt is swapped in, though nobody says anything more.
    await this.#until(async () => {
      const states = await Promise.all(this.#nodes.map((node) => node!.status()))
      return states.every((one) => one.rebuild === undefined && one.generation === this.store.live)
    })
    this.#check()
    for (const node of this.#nodes) await this.#whileTimePasses(node!.close())
  }

  async #take(step: Step): Promise<void> {
    switch (step.do) {
      case 'write':
        this.#harmNext = step.harm
        return await this.#writers.take({ ...step, type: 'Noted' })
      case 'move':
      case 'die':
      case 'stall':
      case 'haunt':
      case 'roll':
      case 'close':
        return await this.#writers.take(step)
      case 'power-loss':
        await this.#writers.take(step)
        return await this.#startAgain()
      case 'lose':
        return await this.#lose(step.event)
      case 'crash':
        return await this.#crash(step.node)
      case 'wait':
        return await this.#pass(step.ms)
      case 'faults':
        this.store.faults.push(...step.faults)
        return
      case 'poison': {
        const seqs = this.#writers.acknowledged.filter(({ shard }) => shard === step.shard).map(({ seq }) => seq)
        this.#poisoned.add(`${step.shard} ${Math.max(0, ...seqs) + 1}`)
        return
      }
      case 'mend':
        this.#poisoned.clear()
        for (const node of this.#nodes) await this.#byHand('resume', node!)
        return
      case 'harm': {
        const { acknowledged } = this.#writers
        const written = acknowledged[step.event % acknowledged.length]
        // What was accepted as lost there, and what is missing since, nobody can tell apart.
        if (written !== undefined && !(await this.#writers.isWithinLoss(written))) this.#harm(written, step.harm)
        return
      }
      case 'mend-log':
        return this.#mendLog()
      case 'rebuild':
      case 'abort-rebuild':
      case 'roll-back':
      case 'resume-rebuild':
        return await this.#byHand(step.do, this.#nodes[step.node]!)
    }
  }

  #harm(written: Written | undefined, harm: Harm): void {
    if (written === undefined) return
    const { address } = written
    const path = segmentPath(address.journal, address.segment)
    const at = address.offset + 40
    const { live } = this.#writers.disk.files.get(path)!
    const bytes = live.slice(at, at + (harm === 'bit' ? 1 : 40))
    this.#harmed.push({ path, at, bytes })
    if (harm === 'bit') live[at]! ^= 4
    else live.fill(0xaa, at, at + bytes.length)
  }

  #mendLog(): void {
    for (const { path, at, bytes } of this.#harmed.toReversed()) this.#writers.disk.files.get(path)!.live.set(bytes, at)
    this.#harmed = []
  }

  async #byHand(
    what: 'resume' | 'rebuild' | 'abort-rebuild' | 'roll-back' | 'resume-rebuild',
    node: RunningProjection<Effects>,
  ): Promise<void> {
    try {
      if (what === 'resume') await node.resume()
      else if (what === 'rebuild') await node.rebuild()
      else if (what === 'abort-rebuild') await node.abortRebuild()
      else if (what === 'roll-back') await node.rollBack()
      else await node.resumeRebuild()
    } catch (error) {
      const isRefusal = error instanceof PenholdError && error.code === 'ProjectionState'
      const isGone = error instanceof PenholdError && error.code === 'NoSuchGeneration'
      if (!isRefusal && !isGone && !(error instanceof ConnectionLost) && !(error instanceof LaneMoved)) throw error
    }
  }

  async #startAgain(): Promise<void> {
    this.#power += 1
    for (let node = 0; node < NODES; node += 1) await this.#crash(node)
  }

  async #lose(event: number): Promise<void> {
    this.#mendLog()
    await this.#writers.lose(event)
    await this.#startAgain()
  }

  async #crash(node: number): Promise<void> {
    for (const worker of workersOf(node)) this.#writers.logs[worker] = undefined
    this.#zombies.push(this.#nodes[node]!)
    if (this.#zombies.length > 1) await this.#zombies.shift()!.close()
    await this.#open(node)
  }

  async #open(node: number): Promise<void> {
    const { faults } = this.store
    this.store.faults = []
    this.#nodes[node] = await RunningProjection.open({
      projection: defineProjection({
        name: 'effects',
        from: 'all',
        order: 'shard',
        batchMax: 3,
        retries: 1,
        store: this.store,
        on: { Noted: (event, { effects }) => this.#handle(event as unknown as FeedEvent, effects) },
      }),
      feeds: this.#feeds(node),
      clock: this.clock,
      onWarning: (message) => this.warnings.push(message),
    })
    this.store.faults = faults
  }

  #handle({ shard, seq, position }: FeedEvent, effects: Effects['effects']): void {
    effects.push({ shard, seq, position })
    if (this.#writers.isInDoubt({ shard, seq })) this.#problems.push(`shard ${shard}, seq ${seq} is not durable`)
    if (this.#poisoned.has(`${shard} ${seq}`)) throw new Error(`shard ${shard}, seq ${seq} is poison`)
  }

  #feeds(node: number): ShardFeeds {
    const power = this.#power
    const storage = new SimulatedStorage(this.#writers.disk)
    const { clock } = this
    const catalog = new Catalog({ storage, clock, cluster: hash64(CLUSTER, 0), shards: SHARDS })
    const onWarning = (message: string): void => void this.warnings.push(message)
    const workers = (of: readonly number[]): readonly TailSource[] => {
      // Whoever has no power sees nothing.
      if (power !== this.#power) return []
      return of.flatMap((worker) =>
        this.#writers.logs[worker] === undefined ? [] : this.#source(this.#writers.logs[worker]),
      )
    }
    const all = Array.from({ length: NODES }, (_, each) => workersOf(each)).flat()
    return new ShardFeeds({
      catalog,
      clock,
      shards: SHARDS,
      frontiers: new Frontiers({ catalog, clock, shards: SHARDS, workers: () => workers(all), onWarning }),
      tails: new KnownTails({ catalog, clock, workers: () => workers(workersOf(node)) }),
      decode: (record) => toRecordedEvent(record, record.type, record.data),
      onLoss: (loss) => this.#noteLoss(loss),
      keptBytes: this.#keptBytes,
      load: () => {
        throw new Error('nothing is parked here')
      },
    })
  }

  /** Whoever goes past a loss tells which events it has not seen. */
  #noteLoss(loss: AcceptedLoss): void {
    const { shard, firstSeq, lastSeq } = loss
    const lost = [...this.#writers.lost].filter((each) => each.shard === shard).map(({ seq }) => seq)
    const told = Array.from({ length: lastSeq - firstSeq + 1 }, (_, i) => firstSeq + i)
    if (told.length > 0 && told.every((seq) => lost.includes(seq))) return
    this.#problems.push(`lost are ${lost.join()}, and yet ${JSON.stringify(loss)}`)
  }

  #source(log: Log): TailSource {
    const known = this.#sources.get(log)
    if (known !== undefined) return known
    const source: TailSource = {
      nextTail: async (before, ms) => {
        const until = this.clock.monotonic() + ms
        for (;;) {
          const tail = await tailOf(log)
          if (!this.#writers.logs.includes(log)) return undefined
          const leftMs = until - this.clock.monotonic()
          if (isNews(tail, before) || leftMs <= 0) return tail
          await this.#changed.rungWithin(this.clock, leftMs)
        }
      },
      tailAbove: () => Promise.reject(new Error('nobody who reads by shard waits for marks')),
    }
    this.#sources.set(log, source)
    return source
  }

  /** The lanes run where their shards are believed to be served: now and then a node looks. */
  #look(): void {
    for (const [node, running] of this.#nodes.entries()) {
      const own = workersOf(node).flatMap((worker) => this.#writers.logs[worker]?.ownedShards ?? [])
      const lanes = [...new Set(own.map(({ shard }) => String(shard)))].toSorted()
      if (lanes.join() === this.#lanes.get(running!)) continue
      this.#lanes.set(running!, lanes.join())
      running!.run(lanes).catch((error: unknown) => this.#problems.push(String(error)))
    }
  }

  #advance(ms: number): void {
    this.clock.advance(ms)
    if (this.clock.monotonic() - this.#lookedAt < LOOK_MS) return
    this.#lookedAt = this.clock.monotonic()
    this.#look()
  }

  /** Of each shard the events up to some seq have taken effect once, in order, and its place says the same. */
  #check(): void {
    if (this.#problems.length > 0) throw new Error(this.#problems.join('\n'))
    const { kept } = this.#writers
    for (const [number, { model, places }] of this.store.generations) {
      const placeOf = (shard: number): number => places.get(String(shard))?.position ?? 0
      const last = new Map<number, Effect>()
      for (const effect of model.effects) {
        const { shard, seq, position } = effect
        const before = last.get(shard) ?? { shard, seq: 0, position: 0 }
        if (seq !== before.seq + 1 && !this.#isLossBetween(before, effect))
          throw new Error(`generation ${number}: shard ${shard} goes from seq ${before.seq} to ${seq}`)
        last.set(shard, effect)
        if (position > placeOf(shard))
          throw new Error(`generation ${number}: shard ${shard} stands before its seq ${seq}`)
      }
      const had = new Set(model.effects.map(keyOf))
      for (const written of kept) {
        const { shard, seq, position } = written
        if (position > placeOf(shard) || had.has(keyOf(written))) continue
        throw new Error(`generation ${number}: shard ${shard} has gone past its seq ${seq}`)
      }
    }
  }

  /** Heirs count on from the last event that there is: one that was lost behind that may have taken effect. */
  #isLossBetween(before: Effect, after: Effect): boolean {
    return [...this.#writers.lost].some(({ shard, position }) => {
      return shard === after.shard && before.position <= position && position < after.position
    })
  }

  async #whileTimePasses<T>(work: Promise<T>): Promise<T> {
    let isDone = false
    void work.catch(() => undefined).finally(() => (isDone = true))
    await this.#until(() => Promise.resolve(isDone))
    return await work
  }

  async #until(isSo: () => Promise<boolean>): Promise<void> {
    for (let round = 0; round < ROUNDS_MAX; round += 1) {
      await this.#turns(1)
      if (await isSo()) return
      this.#advance(20)
    }
    const states = await Promise.all(this.#nodes.map((node) => node!.status()))
    throw new Error(`never came to be: ${JSON.stringify(states)}\n${this.warnings.slice(-10).join('\n')}`)
  }

  async #pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 50) {
      await this.#turns(2)
      this.#advance(50)
      this.#check()
    }
  }

  async #turns(times: number): Promise<void> {
    for (let turn = 0; turn < times; turn += 1) await setImmediate()
  }
}

/** The same where an heir has carried it elsewhere. */
function keyOf({ shard, seq, position }: Effect): string {
  return `${shard} ${seq} ${position}`
}

function workersOf(node: number): readonly number[] {
  return Array.from({ length: WORKERS }, (_, worker) => node * WORKERS + worker)
}

/** As its worker tells it: the look comes behind the end. */
async function tailOf(log: Log): Promise<Tail> {
  for (;;) {
    const { head, ownership, openedShards: shards } = log
    await look(log)
    if (log.ownership === ownership) return { ...head, ownership, shards }
  }
}

function isNews(tail: Tail, known: KnownTail | undefined): boolean {
  return known?.journal !== tail.journal || known.ownership !== tail.ownership || isBefore(known.end, tail.end)
}
