/**
 * The timers of one shard, at the node that serves it. It puts timers into buckets (`place`), and takes buckets up when they
 * come near: what is in a coarse one goes into finer ones, and what is due within the next minute or two is held in memory
 * and fired (timer-fires.ts). A bucket is closed when nothing of it is left. The rules are in timer-records.ts, T1 to T3.
 *
 * If we crash anywhere, whoever is next finds every bucket that is not done with and does all of it again: what was fired
 * is fired again, which whoever set it knows by the token.
 */
import { assert } from '../aggregate/assert.ts'
import { isPenholdError, reasonOf } from '../aggregate/error.ts'
import type { Clock } from '../log/clock.ts'
import { deriveId } from '../log/identity.ts'
import { streamType } from '../log/stream.ts'
import { backOffMs } from '../read/back-off.ts'
import { Bell } from '../read/bell.ts'
import { DueBucket, type ReadPut } from './due-bucket.ts'
import { afterForNew, type Effects, type SentOutcome } from './effects.ts'
import { OpenBuckets, type Put } from './open-buckets.ts'
import type { Slots } from './slots.ts'
import { bucketOf, isNear, isOver, OWNERLESS, PUT_OFF, type Bucket } from './timer-buckets.ts'
import { TimerFires } from './timer-fires.ts'
import type { DueTimer } from './timer-records.ts'

export interface TimerWheelOptions {
  readonly shard: number
  readonly clock: Clock
  readonly effects: Effects
  /** A new UUID. */
  readonly newId: () => string
  /** So many timers are fired at once, of this shard and others. */
  readonly slots: Slots
  /** So many timers are held in memory; the others wait in the log. */
  readonly heldMax: number
  readonly onWarning: (message: string) => void
  /** Timers are due of somebody of a type that the config of this node does not have. */
  readonly onOwnerless: (type: string) => void
}

interface Work {
  readonly bucket: DueBucket
  readonly work: () => Promise<void>
}

const REST_MS = 1_000
const PUT_OFF_MS = 60_000
const BEGIN_AGAIN_MS = 1_000
/** A bucket that is over is put into for so long, so that not each timer that is overdue has one of its own. */
const KEPT_MS = 60_000
/** What is due so much later is not held in memory: by another clock, or by this one as it was, it may have been near. */
const FAR_MS = 5 * 60_000
const PUTS_AT_ONCE = 8
const PLACED_AT_ONCE = 1_000
/** So that one command keeps within any limit on its bytes. */
const OPENED_AT_ONCE = 16

export class TimerWheel {
  readonly #options: TimerWheelOptions
  readonly #fires: TimerFires
  readonly #record: string
  readonly #buckets = new OpenBuckets()
  /** By the type of who set them: timers that are due, and whose owner the config of this node does not have. */
  readonly #ownerless = new Map<string, number>()
  readonly #ending = new AbortController()
  readonly #news = new Bell()
  readonly #end = new Bell()
  #begun = Promise.withResolvers<void>()
  #isBegun = false
  #term = ''
  /** Of its beginning, behind which all that it has sent stands. */
  #position = 0
  #version = 0
  #opened = 0
  /** So many timers more are held once what is being read is. */
  #picking = 0
  /** So far the clock of the day was ahead of the monotonic one, at the last step. */
  #ahead = Number.NEGATIVE_INFINITY
  #trouble: string | undefined

  constructor(options: TimerWheelOptions) {
    const { effects, shard } = options
    this.#options = options
    this.#record = effects.inShard(shard, '$timers', 'all')
    this.#fires = new TimerFires({
      ...options,
      signal: this.#ending.signal,
      putOff: (timer) => this.#place([timer], () => PUT_OFF),
      isKnown: (timer) => this.#isKnown(timer),
      keep: (timer) => this.#place([timer]),
      onDone: () => this.#news.ring(),
    })
    void this.#run()
  }

  /** Why it stands still, or a bucket of it; undefined where none does. */
  get trouble(): string | undefined {
    return this.#trouble ?? this.#buckets.trouble
  }

  /** So many timers are held in memory. */
  get held(): number {
    return this.#fires.size
  }

  /** By the type of who set them: so many timers are due, and wait until the config of a node that serves the shard has it. */
  get ownerless(): ReadonlyMap<string, number> {
    return this.#ownerless
  }

  /** Resolves once each of these is in a bucket, so that its fact is handled (T1). */
  async place(timers: readonly DueTimer[], signal: AbortSignal): Promise<void> {
    const { promise: aborted, reject } = Promise.withResolvers<never>()
    const abort = (): void => reject(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    try {
      signal.throwIfAborted()
      await Promise.race([this.#begun.promise, aborted])
      await Promise.race([this.#place(timers), aborted])
    } finally {
      signal.removeEventListener('abort', abort)
    }
  }

  /** The shard is served elsewhere from now on. Nothing is lost by what is under way. */
  close(): void {
    const closed = new Error(`the timers of shard ${this.#options.shard} are not run here any more`)
    this.#begun.promise.catch(() => undefined)
    this.#begun.reject(closed)
    this.#ending.abort(closed)
    this.#news.ring()
    this.#end.ring()
  }

  async #run(): Promise<void> {
    const { clock } = this.#options
    const { signal } = this.#ending
    for (let failures = 0; !signal.aborted;) {
      try {
        if (!this.#isBegun) await this.#begin()
        const isMore = await this.#step()
        failures = 0
        this.#trouble = undefined
        if (!isMore && !signal.aborted) await this.#news.rungWithin(clock, REST_MS)
      } catch (error) {
        if (signal.aborted) return
        failures += 1
        this.#trouble = reasonOf(error)
        await this.#end.rungWithin(clock, backOffMs(failures))
      }
    }
  }

  /** From here on nobody else opens buckets, and all that are open are known (T3). */
  async #begin(): Promise<void> {
    const { effects, newId, clock } = this.#options
    // Whoever has begun elsewhere gets something done, should both serve the shard for a while.
    if (this.#term !== '') await this.#end.rungWithin(clock, BEGIN_AGAIN_MS)
    const term = newId()
    const after = afterForNew(clock)
    const { version, position } = accepted(await this.#ask(this.#record, 'begin', { term }, { commandId: term, after }))
    const open = await effects.query({ stream: this.#record, name: 'open', signal: this.#ending.signal })
    for (const [name, bucket] of Object.entries(open as Readonly<Record<string, Bucket>>)) {
      if (!this.#buckets.has(name)) this.#know(name, bucket)
    }
    this.#term = term
    this.#version = version
    this.#position = position
    this.#fires.after = position
    this.#isBegun = true
    this.#begun.resolve()
  }

  #know(name: string, bucket: Bucket): DueBucket {
    const { effects, shard, clock } = this.#options
    const since = clock.monotonic()
    const known = new DueBucket(name, effects.inShard(shard, '$due', name), { ...bucket, since })
    this.#buckets.add(known)
    return known
  }

  /** Does what is to be done first, if there is anything. Returns whether there was. A bucket with which it fails rests, and no other. */
  async #step(): Promise<boolean> {
    const next = this.#next()
    if (next === undefined) return false
    const { bucket, work } = next
    try {
      await work()
      bucket.succeeded()
    } catch (error) {
      bucket.failed(error, this.#options.clock.monotonic())
    }
    return true
  }

  #next(): Work | undefined {
    const { clock } = this.#options
    const now = clock.now()
    const monotonic = clock.monotonic()
    this.#heedClock(now, now - monotonic)
    const hasRoom = this.#room() >= this.#options.heldMax / 4
    for (const bucket of this.#buckets.inOrder()) {
      if (bucket.restsUntil > monotonic) continue
      if (bucket.start === OWNERLESS.start) {
        if (bucket.isTaken) continue
        return { bucket, work: () => this.#sift(bucket) }
      }
      const isDone = isOver(bucket, now) && monotonic - bucket.since >= KEPT_MS
      if (isDone) this.#buckets.passOver(bucket)
      if (!bucket.isTaken) {
        if (!isNear(bucket, now, this.#leadMs(bucket))) continue
        if (bucket.level > 0 && !isOver(bucket, now)) return { bucket, work: () => this.#split(bucket) }
        bucket.isTaken = true
        // What fails again goes into another: put here once more it would be known already, and closed with the rest.
        if (bucket.start === PUT_OFF.start) this.#buckets.passOver(bucket)
      }
      if (bucket.held > 0) continue
      if (bucket.left !== undefined) {
        if (hasRoom) return { bucket, work: () => this.#take(bucket) }
      } else if (isDone) return { bucket, work: () => this.#close(bucket, bucket.puts) }
    }
    return undefined
  }

  /** Where the clock was set back, what is far off now would take the room of what comes before it. */
  #heedClock(now: number, ahead: number): void {
    const isSetBack = ahead < this.#ahead - FAR_MS
    this.#ahead = ahead
    if (!isSetBack) return
    const cut = this.#fires.letGo(now + FAR_MS)
    for (const bucket of this.#buckets.inOrder()) {
      const isFar = bucket.isTaken && bucket.start > now + FAR_MS
      if (isFar || cut.has(bucket)) bucket.letGo()
    }
  }

  /** Not all shards read at the same moment. */
  #leadMs({ level }: Bucket): number | undefined {
    return level > 0 ? undefined : 5_000 + (this.#options.shard % 64) * 500
  }

  /** Reads a bucket into memory, as far as there is room; what was overdue by another clock, and is far off, is put anew. */
  async #take(bucket: DueBucket): Promise<void> {
    const far = await this.#hold(bucket)
    if (far.length === 0) return
    // Should the clock be set back just now, they would be put where they are.
    this.#buckets.passOver(bucket)
    try {
      await this.#place(far)
    } catch (error) {
      bucket.readAgain()
      throw error
    }
  }

  /** Returns what is far off, and not held. */
  async #hold(bucket: DueBucket): Promise<readonly DueTimer[]> {
    const { clock } = this.#options
    const read = (from: number): AsyncGenerator<ReadPut> => this.#puts(bucket, from)
    this.#picking = this.#room()
    try {
      const timers = await bucket.pick(read, { most: this.#picking, now: clock.now() })
      const due = clock.now() + FAR_MS
      const far = timers.filter(({ at }) => at > due)
      this.#fires.add(bucket, far.length === 0 ? timers : timers.filter(({ at }) => at <= due))
      return far
    } finally {
      this.#picking = 0
    }
  }

  /** Half is for what is read; the other half for what is set while it is due soon. */
  #room(): number {
    return Math.floor(this.#options.heldMax / 2) - this.#fires.size
  }

  /** Puts what is in a coarse bucket into finer ones. */
  async #split(bucket: DueBucket): Promise<void> {
    // Else what is in it would be put there again, should the clock be set back now, and closed with it.
    this.#buckets.passOver(bucket)
    let puts = 0
    let timers: DueTimer[] = []
    for await (const put of this.#puts(bucket, 1)) {
      puts = put.version
      timers.push(...put.timers)
      if (timers.length < PLACED_AT_ONCE) continue
      await this.#place(timers)
      timers = []
    }
    await this.#place(timers)
    await this.#close(bucket, puts)
  }

  /**
   * Looks into what waits for its owner since another life of the wheel, which may have been at a node with another config.
   * Where nobody knows any of them still, they stay where they are; else all are put anew.
   */
  async #sift(bucket: DueBucket): Promise<void> {
    const counts = new Map<string, number>()
    for await (const { timers } of this.#puts(bucket, 1)) {
      for (const timer of timers) {
        if (this.#isKnown(timer)) return await this.#split(bucket)
        count(counts, streamType(timer.stream))
      }
    }
    if (counts.size === 0) return await this.#split(bucket)
    bucket.takeEmpty()
    for (const [type, found] of counts) this.#tellOwnerless(type, found)
  }

  #isKnown({ stream }: DueTimer): boolean {
    return this.#options.effects.knows(streamType(stream))
  }

  #tellOwnerless(type: string, found: number): void {
    if (!this.#ownerless.has(type)) this.#options.onOwnerless(type)
    count(this.#ownerless, type, found)
  }

  async *#puts({ stream }: DueBucket, from: number): AsyncGenerator<ReadPut> {
    const { signal } = this.#ending
    for await (const { type, version, data } of this.#options.effects.load(stream, { from, signal })) {
      if (type === 'Put') yield { version, timers: (data as { readonly timers: readonly DueTimer[] }).timers }
    }
  }

  /** Closes a bucket of which nothing is left (T2). Where more was put into it meanwhile, that is done first. */
  async #close(bucket: DueBucket, puts: number): Promise<void> {
    const closed = await this.#ask(
      bucket.stream,
      'close',
      { puts },
      { commandId: deriveId(bucket.stream, 'close', puts) },
    )
    if (closed.kind === 'rejected') bucket.readOn()
    else await this.#forget(bucket)
  }

  async #forget(bucket: DueBucket): Promise<void> {
    await this.#ask(this.#record, 'forget', { name: bucket.name }, { commandId: deriveId(bucket.stream, 'forget') })
    this.#buckets.remove(bucket)
  }

  async #place(timers: readonly DueTimer[], bucketFor = this.#bucketFor): Promise<void> {
    for (let left = timers; left.length > 0;) {
      this.#ending.signal.throwIfAborted()
      const puts = await this.#bucketsFor(left, bucketFor)
      left = []
      for (let i = 0; i < puts.length; i += PUTS_AT_ONCE) {
        const refused = await Promise.all(puts.slice(i, i + PUTS_AT_ONCE).map((put) => this.#put(put)))
        left = [...left, ...refused.flat()]
      }
    }
    this.#news.ring()
  }

  readonly #bucketFor = (timer: DueTimer): Bucket => {
    const now = this.#options.clock.now()
    return timer.at <= now && !this.#isKnown(timer) ? OWNERLESS : bucketOf(timer.at, now)
  }

  /** Where each of these goes. Opens what is not open (T3). */
  async #bucketsFor(timers: readonly DueTimer[], bucketFor: (timer: DueTimer) => Bucket): Promise<readonly Put[]> {
    for (;;) {
      const { puts, missing } = this.#buckets.putsOf(timers, bucketFor)
      if (missing.length === 0) return puts
      // Another may be closed meanwhile.
      await this.#open(missing.slice(0, OPENED_AT_ONCE))
    }
  }

  async #open(missing: readonly Bucket[]): Promise<void> {
    const buckets = Object.fromEntries(missing.map((bucket) => [`${this.#version}-${(this.#opened += 1)}`, bucket]))
    const commandId = deriveId(this.#record, 'open', ...Object.keys(buckets))
    const opened = await this.#ask(this.#record, 'open', { term: this.#term, buckets }, { commandId })
    if (opened.kind === 'rejected') {
      this.#beginAgain()
      throw new Error(`the timers of shard ${this.#options.shard} were begun elsewhere`)
    }
    const now = this.#options.clock.now()
    for (const [name, bucket] of Object.entries(buckets)) {
      const known = this.#know(name, bucket)
      known.isNew = true
      if (bucket.start === PUT_OFF.start) known.restsUntil = known.since + PUT_OFF_MS
      else if (bucket.level === 0 && isNear(bucket, now, this.#leadMs(bucket))) known.takeEmpty()
    }
  }

  /** Returns what could not be put there, as the bucket is closed or damaged. What is too much for one command is halved. */
  async #put({ bucket, timers }: Put): Promise<readonly DueTimer[]> {
    try {
      return await this.#putTogether({ bucket, timers })
    } catch (error) {
      // Where one that is new fares no better, neither would the next.
      if (isPenholdError(error, 'LogCorrupt') && !bucket.isNew) {
        this.#buckets.passOver(bucket)
        return timers
      }
      if (!isPenholdError(error, 'TooLarge') || timers.length === 1) throw error
      const half = timers.length >> 1
      const refused = await this.#put({ bucket, timers: timers.slice(0, half) })
      return [...refused, ...(await this.#put({ bucket, timers: timers.slice(half) }))]
    }
  }

  async #putTogether({ bucket, timers }: Put): Promise<readonly DueTimer[]> {
    // Processes count their tokens themselves, each from 1 on.
    const timed = timers.flatMap(({ stream, token, at }) => [stream, token, at])
    const commandId = deriveId(bucket.stream, 'put', ...timed)
    const after = Math.max(...timers.map(({ position }) => position))
    const put = await this.#ask(bucket.stream, 'put', { timers }, { commandId, after })
    bucket.isNew = false
    if (put.kind === 'rejected') {
      // By whoever was here before or comes next. It is done with here as well, when it is near.
      this.#buckets.passOver(bucket)
      return timers
    }
    if (bucket.start === OWNERLESS.start) {
      // Else it is counted with what is found there.
      if (bucket.isTaken) for (const { stream } of timers) this.#tellOwnerless(streamType(stream), 1)
      return []
    }
    if (!bucket.wasPut(put.version, timers)) return []
    const added = timers.filter((timer) => !bucket.isLeft(timer))
    const held = this.#fires.size + this.#picking
    if (held + added.length <= this.#options.heldMax) this.#fires.add(bucket, added)
    else bucket.leave(added, this.#options.clock.now())
    return []
  }

  #beginAgain(): void {
    if (!this.#isBegun) return
    this.#isBegun = false
    this.#begun = Promise.withResolvers()
    this.#begun.promise.catch(() => undefined)
    this.#news.ring()
  }

  #ask(
    stream: string,
    name: string,
    payload: unknown,
    { commandId, after = 0 }: { readonly commandId: string; readonly after?: number },
  ): Promise<SentOutcome> {
    const cause = { correlationId: commandId, causationId: commandId, after: Math.max(after, this.#position) }
    return this.#options.effects.ask({ stream, name, payload, commandId, ...cause, signal: this.#ending.signal })
  }
}

function count(counts: Map<string, number>, type: string, more = 1): void {
  counts.set(type, (counts.get(type) ?? 0) + more)
}

function accepted(outcome: SentOutcome): SentOutcome & { readonly kind: 'accepted' } {
  assert(outcome.kind === 'accepted', 'a beginning is not rejected')
  return outcome
}
