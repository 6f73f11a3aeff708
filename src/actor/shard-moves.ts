/**
 * Shards that come to a worker and leave it while it lives. Coming: claimed, read, opened in the worker's own journal, and
 * served once that is durable. Leaving: nothing new is taken up, what is under way is answered, hot aggregates get a
 * snapshot, and then the shard is nobody's. Whoever is told `elsewhere` meanwhile asks the next owner.
 */
import { definitionError } from '../aggregate/error.ts'
import type { Cancel, Clock } from '../log/clock.ts'
import type { Log } from '../log/log.ts'
import type { ActiveActors } from './active-actors.ts'
import type { Actor } from './actor.ts'
import type { Committer } from './committer.ts'
import { missingPaths, type Kind } from './kind.ts'
import type { Recorder } from './recorder.ts'

export interface ShardMovesOptions {
  readonly log: Log
  readonly clock: Clock
  readonly committer: Committer
  readonly recorder: Recorder
  readonly actors: ActiveActors
  readonly kinds: ReadonlyMap<string, Kind>
  /** Answers whoever still waits for an aggregate of these shards, and lets the actors go. */
  readonly dropShards: (shards: readonly number[]) => void
  /** Somebody else has claimed shards that whoever counts on them may take for owned here. */
  readonly onLost: (shards: readonly number[]) => void
}

/** Shards on their way out, and the messages to them that are not answered yet. */
interface Departure {
  readonly shards: ReadonlySet<number>
  underWay: number
  readonly onQuiet: () => void
}

/** An open segment that is larger is ended before shards leave: their next owners read what comes after it. */
const ROLL_OVER_BYTES = 256 * 1024
/** A worker that nobody asks learns after so long that it has lost shards. */
const LOOK_MS = 500
/** Aggregates that get a snapshot on leaving, the last used first, and the events that make one worth it. */
const SNAPSHOTS_MAX = 256
const EVENTS_WORTH_A_SNAPSHOT = 16

export class ShardMoves {
  readonly #options: ShardMovesOptions
  readonly #departures = new Set<Departure>()
  /** Arrivals come one after the other: nobody claims against themselves. */
  #arrivals: Promise<unknown> = Promise.resolve()
  /** What comes and goes now; all of it may still write. */
  readonly #underWay = new Set<Promise<unknown>>()
  #isClosed = false

  constructor(options: ShardMovesOptions) {
    this.#options = options
    this.#lookLater()
  }

  /** The shard's messages are no longer taken up here. */
  isLeaving(shard: number): boolean {
    for (const { shards } of this.#departures) if (shards.has(shard)) return true
    return false
  }

  /**
   * Takes shards over. Resolves to those that are served now; others were claimed by somebody else in the meantime, or
   * are refused.
   * @throws PenholdError `StorageFull`; those that were opened before it are served
   */
  takeOver(shards: readonly number[]): Promise<readonly number[]> {
    const arrival = this.#arrivals.then(() => (this.#isClosed ? [] : this.#takeOver(shards)))
    this.#arrivals = arrival.catch(() => undefined)
    return this.#during(arrival)
  }

  /** Nothing comes or goes from here on. Resolves when nothing that moves writes any more. */
  async close(): Promise<void> {
    this.#isClosed = true
    while (this.#underWay.size > 0) await Promise.allSettled(this.#underWay)
  }

  async #takeOver(shards: readonly number[]): Promise<readonly number[]> {
    const { log, committer, kinds, dropShards, onLost } = this.#options
    // What somebody else has claimed unnoticed is not owned any more. The others are looked for when the fence is seen.
    const lost = await log.lostShards(shards)
    dropShards(lost)
    if (lost.length > 0) onLost(lost)
    const wanted = shards.filter((shard) => log.epochOf(shard) === 0)
    const opened = (await log.inherit(wanted)).map(async (inheritance) => {
      await committer.write(() => log.open(inheritance))
      return log.serve(inheritance)
    })
    const results = await Promise.allSettled(opened)
    for (const shard of wanted.filter((one) => log.owns(one))) {
      const problems = missingPaths(kinds, await log.eventTypes([shard]))
      if (problems.length > 0) log.refuse(shard, definitionError(problems.join('; ')))
    }
    const failed = results.find((result) => result.status === 'rejected')
    if (failed !== undefined) throw failed.reason
    // Those, too, that an earlier try has taken over before it failed.
    return shards.filter((shard) => log.owns(shard))
  }

  /**
   * Makes shards ready to leave, while they are served: their next owner should have little to read.
   * @throws PenholdError `StorageFull`
   */
  async prepareRelease(): Promise<void> {
    if (!this.#isClosed) await this.#during(this.#rollOver())
  }

  async #rollOver(): Promise<void> {
    const { log, committer } = this.#options
    if (log.openSegmentBytes <= ROLL_OVER_BYTES) return
    await committer.write(() => log.rollOver())
    await log.indexed()
  }

  /** Gives shards up. Resolves when they are nobody's; what takes longer than `ms` to answer is answered with a doubt. */
  async release(shards: readonly number[], ms: number): Promise<void> {
    if (!this.#isClosed) await this.#during(this.#release(shards, ms))
  }

  async #release(shards: readonly number[], ms: number): Promise<void> {
    const { log, dropShards } = this.#options
    log.release(shards.filter((shard) => log.refusedShards.has(shard)))
    const leaving = new Set(shards.filter((shard) => log.owns(shard)))
    if (leaving.size === 0) return
    const written = new Map<Actor, number>()
    // Without room on the disk there are none, and the heir reads more events.
    await this.#writeSnapshots(leaving, written).catch(() => undefined)
    const departure = await this.#quiet(leaving, ms)
    await this.#writeSnapshots(leaving, written).catch(() => undefined)
    dropShards([...leaving])
    log.release([...leaving])
    this.#departures.delete(departure)
  }

  /** One of the actor's messages was answered. */
  answered(actor: Actor): void {
    for (const departure of this.#departures) {
      if (!departure.shards.has(actor.stream.shard)) continue
      departure.underWay -= 1
      if (departure.underWay === 0) departure.onQuiet()
    }
  }

  #during<Result>(work: Promise<Result>): Promise<Result> {
    this.#underWay.add(work)
    const done = (): void => void this.#underWay.delete(work)
    work.then(done, done)
    return work
  }

  #lookLater(): void {
    const { clock, committer } = this.#options
    clock.after(LOOK_MS, () => {
      if (!this.#isClosed && committer.look()) this.#lookLater()
    })
  }

  /** Takes up nothing new of these shards; resolves when what is under way is answered, or after `ms`. */
  async #quiet(shards: ReadonlySet<number>, ms: number): Promise<Departure> {
    const { actors, clock, committer } = this.#options
    let cancel: Cancel = () => undefined
    let onQuiet = (): void => undefined
    const isQuiet = new Promise<void>((resolve) => {
      onQuiet = resolve
      cancel = clock.afterAlive(ms, resolve)
    })
    let underWay = 0
    for (const actor of actors.all()) if (shards.has(actor.stream.shard)) underWay += actor.underWay
    const departure: Departure = { shards, underWay, onQuiet }
    this.#departures.add(departure)
    committer.kick()
    if (underWay > 0) await isQuiet
    cancel()
    return departure
  }

  /**
   * Once while they are served, so that callers wait for no sync but that of the few that were busy: those are written when
   * nobody is answered any more. `written` has the version that each was written at.
   */
  async #writeSnapshots(shards: ReadonlySet<number>, written: Map<Actor, number>): Promise<void> {
    const { actors, committer, recorder, log, clock } = this.#options
    const hot: Actor[] = []
    for (const actor of actors.byUse()) {
      if (hot.length === SNAPSHOTS_MAX) break
      if (shards.has(actor.stream.shard) && actor.isQuiet && isWorthSnapshot(actor, written.get(actor))) hot.push(actor)
    }
    if (hot.length === 0) return
    await committer.write(() => {
      for (const actor of hot) {
        if (log.isBatchFull || !actor.isQuiet) continue
        written.set(actor, actor.version)
        // Its next event is chained to the snapshot: where that is not written after all, it goes back to what the log has.
        if (recorder.snapshot(actor, clock.now())) committer.wrote(actor)
      }
    })
  }
}

function isWorthSnapshot({ kind, state, version, phase }: Actor, written: number | undefined): boolean {
  if (phase !== 'running') return false
  const snapshotEvery = kind.snapshotEvery(state)
  if (snapshotEvery === false) return false
  return version - (written ?? version - (version % snapshotEvery)) >= EVENTS_WORTH_A_SNAPSHOT
}
