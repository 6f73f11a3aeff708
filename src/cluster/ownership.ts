/**
 * Ownership: one node's part in who owns what. A loop tells the lease store what the node's workers hold and want, and
 * does what follows from the answer: shards that the store grants are claimed, those that the ring gives to others are
 * handed over. Whoever is handed a shard claims it at once; the store hears of it a moment later.
 *
 * The store only says who tries; the log says who is (I1). So whatever the store does, owners go on serving: while it is
 * away nothing moves, and when it has forgotten all it is told again.
 */
import { PenholdError, reasonOf } from '../aggregate/error.ts'
import { pause, within } from '../log/clock.ts'
import { Beats } from './beats.ts'
import { Contest } from './contest.ts'
import type { HandedShard, ServedShard } from './control.ts'
import { Departures, type Departure, type Move } from './departures.ts'
import { Heirs } from './heirs.ts'
import type { Beat, Lease, Member, View } from './leases.ts'
import type { OwnershipCondition, OwnershipOptions, ShardWorker } from './ownership-ports.ts'
import type { Owner } from './owner-name.ts'
import { Presence } from './presence.ts'
import { UnableShards } from './unable-shards.ts'

const BEATS_PER_TTL = 3
const BEATS_UNTIL_KNOWN = 2
/** What a shard's messages that are under way when it leaves may take. */
const RELEASE_MS = 2_000
/** A shard that could not be taken over is tried again after so long, and after twice as long the next time. */
const RETRY_MS = 1_000
/** Without room on the disk nothing was written by a try, and the room may be there at any moment. */
const RETRY_MS_MAX = { full: 5_000, other: 60_000 } as const
/** A shard that could not be taken over so many times, though there was room, is left to others who can. */
const TRIES_MAX = 3
/** Who drains looks so often whether what hung a moment ago lets others leave. */
const LOOK_AGAIN_MS = 50

interface Arrival {
  readonly worker: number
  /** In vain: for want of room on the disk, and for another reason. */
  readonly tries: { full: number; other: number }
  /** On the monotonic clock; while it is on its way, never. */
  nextAt: number
}

interface Release {
  readonly shard: number
  readonly to: Owner
}

export class Ownership {
  readonly #options: OwnershipOptions
  readonly #workers = new Map<number, ShardWorker>()
  readonly #presence: Presence
  readonly #unable: UnableShards
  readonly #served = new Map<number, ServedShard>()
  readonly #arriving = new Map<number, Arrival>()
  readonly #departures: Departures
  readonly #heirs: Heirs
  readonly #contest: Contest
  readonly #beats: Beats
  /** Given up, and the store has not said yet that it knows. */
  #released: readonly Release[] = []
  #wanted: readonly HandedShard[] = []
  #view: View | undefined
  #state: Member['state'] = 'joining'
  /** When it wants to have handed everything over, on the monotonic clock; undefined where it does not leave. */
  #leaveBy: number | undefined
  #isNew: boolean
  #hasStarted = false
  /** Why the store did not answer the last beat; undefined where it did. */
  #away: unknown
  /** When the last beat that was answered was sent, on the monotonic clock. */
  #heardAt = 0
  /** Since when each shard is awaited, on the monotonic clock. */
  readonly #awaitedSince = new Map<number, number>()
  /** Shards that have turned out to be others' since the store was heard last, and have not come back. */
  readonly #lost = new Set<number>()
  /** Shards that are being taken over or given up. */
  readonly #pending = new Set<Promise<void>>()

  constructor(options: OwnershipOptions) {
    this.#options = options
    this.#isNew = options.isNew
    const { clock, cluster, member, ttlMs } = options
    const everyMs = ttlMs / BEATS_PER_TTL
    this.#presence = new Presence(clock, { workers: member.workers, graceMs: ttlMs })
    this.#unable = new UnableShards(clock)
    this.#departures = new Departures(clock)
    this.#contest = new Contest(clock, options.events.onWarning)
    this.#heirs = new Heirs({ clock, shards: cluster.shards, knownMs: BEATS_UNTIL_KNOWN * everyMs })
    this.#beats = new Beats({ clock, everyMs, beat: () => this.#beat() })
  }

  /** Tells the store of this member, who wants nothing yet. @throws PenholdError where the store refuses, or is away */
  async register(): Promise<void> {
    await this.#firstBeat()
  }

  /**
   * Takes part. After `register`, and within a lease of it. Resolves when what the store granted at first is served: nothing
   * where it was told to drain before. May be called again where it failed.
   * @throws PenholdError where the store refuses, or is away
   */
  async start(): Promise<void> {
    if (this.#state === 'joining') this.#state = 'up'
    // The answer to the first says what is free, and to the second what of it is this node's.
    await this.#firstBeat()
    await this.#firstBeat()
    this.#hasStarted = true
    await Promise.all(this.#pending)
    this.#beats.start()
  }

  get view(): View | undefined {
    return this.#view
  }
  get served(): readonly ServedShard[] {
    return [...this.#served.values()]
  }

  get condition(): OwnershipCondition {
    const now = this.#options.clock.monotonic()
    return {
      isDraining: this.#state === 'draining',
      storeAwayMs: this.#away === undefined ? undefined : Math.round(now - this.#heardAt),
      awaited: this.#awaited().map(({ shard, worker }) => {
        return { shard, worker, ms: Math.round(now - (this.#awaitedSince.get(shard) ?? now)) }
      }),
      leaving: this.#departures.leaving,
    }
  }

  /** A worker serves, with nothing of its own yet; or, undefined, it has ended. */
  setWorker(worker: number, handle: ShardWorker | undefined): void {
    for (const { shard, worker: owner } of this.#served.values()) if (owner === worker) this.#served.delete(shard)
    for (const [shard, { worker: owner }] of this.#arriving) if (owner === worker) this.#arriving.delete(shard)
    this.#workers.delete(worker)
    if (handle === undefined) {
      this.#presence.went(worker)
    } else {
      this.#presence.came(worker)
      this.#workers.set(worker, handle)
      // A store that is away for this node alone may have granted to others what was lost.
      if (this.#view !== undefined) this.#arrive(this.#mine(this.#view).filter(({ shard }) => !this.#lost.has(shard)))
    }
    this.#noteAwaited()
  }

  /** A worker has learned that shards of it have a newer owner. */
  lost(worker: number, shards: readonly number[]): void {
    for (const shard of shards) {
      if (this.#served.get(shard)?.worker !== worker) continue
      this.#served.delete(shard)
      this.#lost.add(shard)
    }
    this.#noteAwaited()
  }

  /** Another node has given these up for workers of this one: they are claimed before the store has granted them. */
  handed(shards: readonly HandedShard[]): void {
    // Whoever gives a shard up has had it since: what this node has of it may be an old epoch that nobody asked for yet.
    for (const { shard } of shards) if (!this.#departures.isLeaving(shard)) this.#served.delete(shard)
    const known = shards.filter(({ shard }) => shard < this.#options.cluster.shards)
    const ring = this.#state === 'draining' && this.#view !== undefined ? this.#ring(this.#view) : undefined
    // Nobody serves them, and whoever gave them up did not know yet that this node is about to leave.
    if (ring === undefined) this.#arrive(known)
    else this.#handTo(known.map(({ shard }) => ({ shard, to: ring[shard]! })))
    this.#noteAwaited()
  }

  /** Somebody serves these: what was to wait for that may leave now. */
  arrived(shards: readonly number[]): void {
    if (this.#departures.arrived(shards)) this.#handOff()
  }

  /**
   * Hands everything over, where there is somebody to take it. Resolves when all is gone and the store has heard of it, or
   * after `ms`, however long the store takes. Before `start` it sees to it that there never is anything.
   */
  async drain(ms: number): Promise<void> {
    this.#state = 'draining'
    this.#wanted = []
    const { clock } = this.#options
    const until = clock.monotonic() + ms
    this.#leaveBy = until
    const leftMs = (): number => Math.max(0, until - clock.monotonic())
    const tellInTime = (): Promise<void> => within(clock, leftMs(), this.#beats.now())
    await tellInTime()
    // What another has handed to this node meanwhile arrives, and is handed on.
    while (this.#served.size + this.#pending.size > 0 && clock.monotonic() < until) {
      if (!this.#hasHeirs()) {
        if (this.#view?.isSettling !== true) break
        // The store has forgotten the others, who tell it again that they are there.
        this.#beats.soon()
      }
      this.#handOff()
      // What hangs is looked after from time to time: it may never say that it is done.
      if (this.#pending.size === 0) await pause(clock, LOOK_AGAIN_MS)
      else await within(clock, LOOK_AGAIN_MS, Promise.all(this.#pending))
    }
    if (this.#leaveBy === until) this.#leaveBy = undefined
    // Whoever leaves next takes with it what the store does not know.
    if (this.#released.length > 0) await tellInTime()
  }

  /** Leaves. After the workers have ended, so that nobody else is granted what is still served. */
  async close(): Promise<void> {
    await this.#beats.close()
    const { leases, member } = this.#options
    // What is not told runs out by itself.
    await leases.leave(member.id).catch(() => undefined)
    await leases.close()
  }

  async #firstBeat(): Promise<void> {
    await this.#beats.now()
    if (this.#away !== undefined) throw this.#away
  }

  async #beat(): Promise<void> {
    const { leases, events } = this.#options
    const beat = this.#compose()
    const sentAt = this.#options.clock.monotonic()
    const [told, lost] = [new Set(this.#released), new Set(this.#lost)]
    let view: View
    try {
      view = await leases.beat(beat)
    } catch (error) {
      // Whether it was taken is unknown; the next one says it again.
      if (this.#hasStarted && this.#away === undefined) events.onWarning(reasonOf(error))
      this.#away = error
      // What could not be claimed is tried again all the same: the log decides.
      this.#arrive([...this.#arriving].map(([shard, { worker }]) => ({ shard, worker })))
      return
    }
    if (this.#hasStarted && this.#away !== undefined) events.onWarning('the lease store answers again')
    this.#away = undefined
    this.#heardAt = sentAt
    this.#isNew = false
    this.#released = this.#released.filter((released) => !told.has(released))
    if (!view.isSettling) this.#contest.see(this.#mine(view), lost)
    this.#apply(view)
  }

  #compose(): Beat {
    const { cluster, ttlMs } = this.#options
    const release = this.#released.filter(({ shard }) => !this.#served.has(shard) && !this.#arriving.has(shard))
    const isReleased = new Set(release.map(({ shard }) => shard))
    const want = new Map<number, number>()
    for (const { shard, worker } of this.#wanted) if (this.#workers.has(worker)) want.set(shard, worker)
    for (const [shard, { worker }] of this.#arriving) want.set(shard, worker)
    return {
      cluster,
      member: this.#member(this.#view?.members ?? []),
      ttlMs,
      hold: [...this.#served.values()].map(({ shard, worker, epoch }) => ({ shard, worker, epoch })),
      want: [...want]
        .filter(([shard]) => !this.#served.has(shard) && !isReleased.has(shard))
        .map(([shard, worker]) => ({ shard, worker })),
      release,
      isNew: this.#isNew,
    }
  }

  #apply(view: View): void {
    this.#view = view
    this.#lost.clear()
    this.#heirs.see(view)
    this.#departures.see(view)
    this.#options.events.onView(view)
    for (const lease of view.leases) this.#yieldTo(lease)
    const self = this.#options.member.id
    const elsewhere = view.leases.filter(({ member, epoch }) => member !== self && epoch > 0)
    this.#departures.arrived(elsewhere.map(({ shard }) => shard))
    this.#forgetArrivals(view)
    const ring = this.#ring(view)
    if (ring !== undefined && !view.isSettling) this.#decline(view, ring)
    this.#arrive(this.#mine(view))
    this.#noteAwaited()
    if (ring === undefined) {
      this.#wanted = []
      return
    }
    const leased = new Set(view.leases.map(({ shard }) => shard))
    const before = this.#wanted.length
    this.#wanted = ring.flatMap(({ member, worker }, shard) => {
      return member === self && !leased.has(shard) && !this.#served.has(shard) ? [{ shard, worker }] : []
    })
    // What nobody has need not wait for the next beat.
    if (this.#wanted.length > 0 && before === 0 && !view.isSettling) this.#beats.soon()
    this.#handOff()
  }

  /** A lease of another's with a greater epoch than ours: the log has a newer owner than we have heard of. */
  #yieldTo({ shard, member, epoch }: Lease): void {
    const served = this.#served.get(shard)
    if (served !== undefined && member !== this.#options.member.id && epoch > served.epoch) this.#served.delete(shard)
  }

  /** Leaves what this node could not take over to those to whom the ring gives it for that, though it may not reach them. */
  #decline(view: View, ring: readonly Owner[]): void {
    const { events, member: self } = this.#options
    const declined = this.#mine(view).flatMap(({ shard, worker }) => {
      const to = ring[shard]!
      const isTried = this.#arriving.get(shard)?.nextAt === Number.POSITIVE_INFINITY
      const isOurs = this.#served.has(shard) || this.#departures.isLeaving(shard) || isTried || !this.#unable.has(shard)
      return isOurs || to.member === self.id || !this.#heirs.isKnown(to.member) ? [] : [{ shard, worker, to }]
    })
    if (declined.length === 0) return
    for (const { shard, worker } of declined) {
      this.#arriving.delete(shard)
      // Whoever asks for it here is sent on.
      void this.#workers
        .get(worker)
        ?.release([shard], 0)
        .catch(() => undefined)
    }
    for (const [to, group] of Map.groupBy(declined, (move) => move.to.member)) {
      const left = group.map(({ shard }) => shard).join(', ')
      events.onWarning(`shards ${left} are left to ${to}, as they cannot be served here`)
    }
    this.#handTo(declined)
  }

  /** What was not served in the end, and is not this node's to try again. */
  #forgetArrivals(view: View): void {
    const mine = new Set(this.#mine(view).map(({ shard }) => shard))
    for (const [shard, { nextAt }] of this.#arriving) {
      if (nextAt !== Number.POSITIVE_INFINITY && !mine.has(shard)) this.#arriving.delete(shard)
    }
  }

  /** What the store has leased to this node. Of what was given up since, it may not know yet. */
  #mine(view: View): HandedShard[] {
    const { id } = this.#options.member
    const released = new Set(this.#released.map(({ shard }) => shard))
    return view.leases
      .filter(({ member, shard }) => member === id && !released.has(shard))
      .map(({ shard, worker }) => ({ shard, worker }))
  }

  /** Claims shards that are this node's to claim. */
  #arrive(shards: readonly HandedShard[]): void {
    const now = this.#options.clock.monotonic()
    const due = shards.filter(({ shard, worker }) => {
      if (this.#served.has(shard) || this.#departures.isLeaving(shard) || !this.#workers.has(worker)) return false
      return (this.#arriving.get(shard)?.nextAt ?? 0) <= now
    })
    for (const [worker, group] of Map.groupBy(due, ({ worker: to }) => to)) {
      const numbers = group.map(({ shard }) => shard)
      for (const shard of numbers) {
        const tries = this.#arriving.get(shard)?.tries ?? { full: 0, other: 0 }
        this.#arriving.set(shard, { worker, tries, nextAt: Number.POSITIVE_INFINITY })
      }
      this.#track(this.#takeOver(worker, this.#workers.get(worker)!, numbers))
    }
  }

  async #takeOver(worker: number, handle: ShardWorker, shards: readonly number[]): Promise<void> {
    const { clock, events } = this.#options
    let why = 'other' as keyof Arrival['tries']
    const owned = await handle.takeOver(shards).catch((error: unknown) => {
      if (error instanceof PenholdError && error.code === 'StorageFull') why = 'full'
      events.onWarning(`worker ${worker} could not take over ${shards.length} shards: ${reasonOf(error)}`)
      return []
    })
    if (this.#workers.get(worker) !== handle) return
    const serving = (owned ?? []).map(({ shard, epoch }) => ({ shard, worker, epoch }))
    for (const one of serving) {
      this.#arriving.delete(one.shard)
      this.#unable.delete(one.shard)
      this.#lost.delete(one.shard)
      this.#served.set(one.shard, one)
    }
    for (const shard of shards) {
      const arrival = this.#arriving.get(shard)
      if (arrival === undefined) continue
      // Claimed by somebody else meanwhile, or kept closed: not at every beat, since each try is a claim.
      arrival.tries[why] += 1
      arrival.nextAt = clock.monotonic() + Math.min(RETRY_MS_MAX[why], RETRY_MS * 2 ** (arrival.tries[why] - 1))
    }
    this.#noteAwaited()
    if (serving.length > 0) events.onServing(serving)
    this.arrived(serving.map(({ shard }) => shard))
    if (serving.length < shards.length && why !== 'full') await this.#noteUnable(handle, shards)
  }

  /** Which of these were taken over in vain, and may not be so by another node. Damage and a full disk are everybody's. */
  async #noteUnable(handle: ShardWorker, shards: readonly number[]): Promise<void> {
    const status = await handle.status().catch(() => undefined)
    const refusals = new Map(status?.refused.map((refusal) => [refusal.shard, refusal]))
    const unable = shards.filter((shard) => {
      const arrival = this.#arriving.get(shard)
      if (arrival === undefined || this.#workers.get(arrival.worker) !== handle) return false
      const refusal = refusals.get(shard)
      if (refusal?.isDamaged === true) return false
      return refusal?.code === 'BadDefinition' || arrival.tries.other >= TRIES_MAX
    })
    for (const shard of unable) this.#unable.add(shard)
    if (unable.length > 0) this.#beats.soon()
  }

  /** What is leased to this node, for as long as that holds without another word, or on its way to it; and not served. */
  #awaited(): readonly HandedShard[] {
    const isOver = this.#options.clock.monotonic() - this.#heardAt >= this.#options.ttlMs
    const leased = this.#view === undefined || isOver ? [] : this.#mine(this.#view)
    const awaited = new Map(leased.map((lease) => [lease.shard, lease]))
    for (const [shard, { worker, nextAt }] of this.#arriving) {
      if (!isOver || nextAt === Number.POSITIVE_INFINITY) awaited.set(shard, { shard, worker })
    }
    return [...awaited.values()].filter(({ shard }) => !this.#served.has(shard) && !this.#departures.isLeaving(shard))
  }

  #noteAwaited(): void {
    const now = this.#options.clock.monotonic()
    const awaited = new Set(this.#awaited().map(({ shard }) => shard))
    for (const shard of this.#awaitedSince.keys()) if (!awaited.has(shard)) this.#awaitedSince.delete(shard)
    for (const shard of awaited) if (!this.#awaitedSince.has(shard)) this.#awaitedSince.set(shard, now)
  }

  /** This member as it is now. One whose workers are all away is out of the ring for everybody. */
  #member(members: readonly Member[]): Member {
    const { member } = this.#options
    const isAlone = !members.some(({ id, state }) => id !== member.id && state === 'up')
    const away = this.#presence.away({ isAlone })
    const isIdle = this.#state === 'up' && away.length === member.workers
    const unable = this.#unable.all
    const state = isIdle ? 'joining' : this.#state
    return { ...member, state, ...(away.length > 0 && { away }), ...(unable.length > 0 && { unable }) }
  }

  /** The owner that each shard should have; undefined where nobody wants any. */
  #ring(view: View): readonly Owner[] | undefined {
    return this.#heirs.ring(view, this.#member(view.members))
  }

  #hasHeirs(): boolean {
    return this.#view?.members.some(({ id, state }) => id !== this.#options.member.id && state === 'up') === true
  }

  /** Lets the next leave of what the ring gives to others. */
  #handOff(): void {
    const isLeaving = this.#leaveBy !== undefined
    // A store that settles knows too little; one that is away says no more, and who leaves trusts it: the log decides.
    if (this.#view === undefined || (this.#view.isSettling && !(isLeaving && this.#away !== undefined))) return
    const ring = this.#ring(this.#view)
    if (ring === undefined) return
    const moves = (): readonly Move[] => this.#moves(ring)
    const departure = this.#departures.begin(moves, this.#leaveBy)
    if (departure !== undefined) this.#track(this.#giveUp(departure))
  }

  /** What is to leave, and may. */
  #moves(ring: readonly Owner[]): readonly Move[] {
    const self = this.#options.member.id
    return [...this.#served.values()].flatMap(({ shard, worker }) => {
      const to = ring[shard]!
      const isReady = this.#heirs.isKnown(to.member) && this.#options.events.reaches(to.member)
      const isLeaving = to.member === self ? to.worker !== worker : isReady
      return isLeaving ? [{ shard, worker, to }] : []
    })
  }

  async #giveUp(departure: Departure): Promise<void> {
    const handle = this.#workers.get(departure.worker)
    const shards = departure.moves.map(({ shard }) => shard)
    const before = new Map(shards.map((shard) => [shard, this.#served.get(shard)]))
    try {
      // Without room on the disk the heir has more to read, and nothing else is different.
      await handle?.prepareRelease().catch(() => undefined)
      await handle?.release(shards, RELEASE_MS)
    } catch (error) {
      this.#options.events.onWarning(`shards ${shards.join(', ')} could not be handed over: ${reasonOf(error)}`)
    }
    // What was lost meanwhile is others', and what a worker had that has ended is claimed anew.
    const moves = departure.moves.filter(({ shard }) => this.#served.get(shard) === before.get(shard))
    for (const { shard } of moves) this.#served.delete(shard)
    this.#departures.left(departure, new Set(moves.map(({ shard }) => shard)))
    this.#handTo(moves)
    // There is room for others where nobody waits for this heir.
    this.#handOff()
  }

  /** Leaves shards that nobody serves to those who are to have them: they are told, and the store. */
  #handTo(moves: readonly Release[]): void {
    const { events, member } = this.#options
    this.#noteReleased(moves)
    for (const [to, group] of Map.groupBy(moves, (move) => move.to.member)) {
      const handed = group.map(({ shard, to: { worker } }) => ({ shard, worker }))
      if (to === member.id) this.#arrive(handed)
      else events.onHandedTo(to, handed)
    }
    this.#beats.soon()
  }

  #noteReleased(moves: readonly Release[]): void {
    const shards = new Set(moves.map(({ shard }) => shard))
    const released = this.#released.filter(({ shard }) => !shards.has(shard))
    this.#released = [...released, ...moves.map(({ shard, to }) => ({ shard, to }))]
  }

  #track(work: Promise<void>): void {
    this.#pending.add(work)
    void work.finally(() => this.#pending.delete(work))
  }
}
