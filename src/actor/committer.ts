/**
 * The committer: one loop that takes what has accumulated for all of a worker's shards, makes it durable with one sync,
 * looks at the fence, and then lets the replies go. While one group is written the next accumulates; there is no timer.
 *
 * It owns the replies from the moment they are decided to the moment they are sent, and so holds I2 and I3: a reply
 * waits for the newest group that its decision stood on, and for a look at the fence after that.
 */
import { PenholdError } from '../aggregate/error.ts'
import type { Clock } from '../log/clock.ts'
import { ownershipLost, storageFull } from '../log/error.ts'
import type { Log } from '../log/log.ts'
import type { Actor } from './actor.ts'
import { toFailure } from './error.ts'
import type { Reply, Sender } from './message.ts'

/** A reply that waits for durability and the look. */
export interface HeldReply {
  readonly actor: Actor
  readonly sender: Sender
  readonly request: number
  readonly reply: Reply
}

/** What one sync makes durable. */
export class Group {
  readonly replies: HeldReply[] = []
  readonly actors: Set<Actor> = new Set()
  state: 'open' | 'durable' | 'failed' = 'open'
  /** Called once the group is durable, or has failed. */
  readonly waiters: (() => void)[] = []
}

export interface CommitterOptions {
  readonly log: Log
  readonly clock: Clock
  /** A reply was sent or given up. */
  readonly onReplied: (actor: Actor) => void
  /** The actor's pending state is void, or its shard lost. */
  readonly onVoid: (actor: Actor) => void
  readonly onShardsLost: (shards: readonly number[]) => void
  /** There is room in the batch again. */
  readonly onRoom: () => void
  /** The log has ended; nothing that is held will ever be answered from here. */
  readonly onBroken: (error: unknown) => void
}

/** Shards that are looked at before others have their turn: about a millisecond's worth. */
const CHECKED_AT_ONCE = 32

export class Committer {
  readonly #options: CommitterOptions
  #accumulating = new Group()
  #writing: Group | undefined
  /** Replies that stand on durable state already and need the look alone. */
  #ready: HeldReply[] = []
  #state: 'idle' | 'scheduled' | 'running' | 'broken' = 'idle'
  /** What is under way at the log, or was last. */
  #running: Promise<void> = Promise.resolve()
  #idleWaiters: (() => void)[] = []
  #roomWaiters: (() => void)[] = []
  /** Who waits until more is durable. Where nothing is written, readers come and go by time alone. */
  readonly #durableWaiters = new Set<() => void>()
  /** Who waits for another look for room on the disk. */
  #seekers: (() => void)[] = []

  constructor(options: CommitterOptions) {
    this.#options = options
  }

  /** The batch under construction takes no more until it is cut. */
  get isFull(): boolean {
    return this.#options.log.isBatchFull
  }

  /** The actor has written into the batch under construction. */
  wrote(actor: Actor): void {
    const group = this.#accumulating
    if (actor.group === group) return
    actor.group = group
    group.actors.add(actor)
  }

  /** Sends the reply once everything that its actor has written is durable and the fence was looked at. */
  hold(held: HeldReply): void {
    const { group } = held.actor
    if (group?.state === 'open') {
      group.replies.push(held)
      return
    }
    this.#ready.push(held)
    // What stands on durable state does not wait for a sync of others that is under way.
    if (this.#state === 'running' && this.#ready.length === 1) {
      this.#options.clock.defer(() => {
        if (this.#state === 'running') this.#release(this.#ready.splice(0)).catch((error) => this.break(error))
      })
    }
  }

  /** Sees to it that what has accumulated is committed. */
  kick(): void {
    if (this.#state !== 'idle') return
    this.#state = 'scheduled'
    this.#options.clock.defer(() => {
      if (this.#state === 'scheduled') this.#running = this.#run()
    })
  }

  /** The look for its own sake. Returns whether another one makes sense: the log has not ended. */
  look(): boolean {
    if (this.#state === 'broken') return false
    void this.looked()
    return true
  }

  /**
   * Resolves when the look was taken, for all shards: a few at a time, as nobody's reply waits for it. To false where nobody
   * can tell, which ends the worker.
   */
  async looked(): Promise<boolean> {
    const { log, clock } = this.#options
    try {
      const unchecked = log.look()
      for (let done = 0; done < unchecked.length; done += CHECKED_AT_ONCE) {
        if (done > 0) await clock.yield()
        await this.#check(unchecked.slice(done, done + CHECKED_AT_ONCE))
      }
      return true
    } catch (error) {
      this.break(error)
      return false
    }
  }

  /** Resolves when something more is durable and its replies are sent, or nothing will be; after `ms` at the latest. */
  async moreDurable(ms: number): Promise<void> {
    if (this.#state === 'broken') return
    const { promise, resolve } = Promise.withResolvers<void>()
    const cancel = this.#options.clock.after(ms, resolve)
    this.#durableWaiters.add(resolve)
    await promise
    this.#durableWaiters.delete(resolve)
    cancel()
  }

  /**
   * The look, and where the last batch found no room on the disk, one for room: nothing else may come that would try.
   * Resolves when what the log says of itself is so now.
   */
  async examine(): Promise<void> {
    if (this.#state === 'broken') return
    await this.looked()
    // Whoever commits at this moment finds out by itself.
    if (!this.#options.log.isFull || (this.#state !== 'idle' && this.#state !== 'scheduled')) return
    const isSought = new Promise<void>((resolve) => this.#seekers.push(resolve))
    this.kick()
    await isSought
  }

  /**
   * Resolves once all that the actor has written is durable.
   * @throws PenholdError `StorageFull` where it was not written after all
   */
  async written(actor: Actor): Promise<void> {
    const { group } = actor
    if (group?.state === 'open' && this.#state !== 'broken') {
      this.kick()
      await new Promise<void>((resolve) => group.waiters.push(resolve))
    }
    if (actor.group?.state === 'failed') throw rolledBack()
  }

  /**
   * Adds something to the batch under construction, once there is room, and resolves when that is durable.
   * @throws PenholdError `StorageFull` where it was not written after all
   */
  async write(add: () => void): Promise<void> {
    while (this.isFull) await new Promise<void>((resolve) => this.#roomWaiters.push(resolve))
    const group = this.#accumulating
    add()
    // It may have added nothing: of an empty batch nobody would ever say that it is durable.
    if (this.#options.log.isBatchEmpty) return
    this.kick()
    await new Promise<void>((resolve) => group.waiters.push(resolve))
    if (group.state === 'failed') throw rolledBack()
  }

  /** Resolves when nothing is left to commit or to reply. */
  async settled(): Promise<void> {
    this.kick()
    while (this.#state === 'scheduled' || this.#state === 'running') {
      await new Promise<void>((resolve) => this.#idleWaiters.push(resolve))
    }
  }

  async #run(): Promise<void> {
    this.#state = 'running'
    try {
      if (this.#seekers.length > 0) await this.#findRoom()
      while (this.#state === 'running' && (this.#ready.length > 0 || !this.#options.log.isBatchEmpty)) {
        // Those that need no sync go first: it may hold up the thread.
        if (this.#ready.length > 0) await this.#release(this.#ready.splice(0))
        if (!this.#options.log.isBatchEmpty) await this.#commit()
      }
      if (this.#state === 'running') this.#state = 'idle'
    } catch (error) {
      this.break(error)
    }
    for (const resolve of this.#idleWaiters.splice(0)) resolve()
  }

  /** Ends the worker: a rule of the code does not hold, or its log is at its end. */
  break(error: unknown): void {
    if (this.#state === 'broken') return
    this.#halt()
    this.#options.onBroken(error)
  }

  /** Commits nothing more. Resolves when nothing is under way at the log. */
  async stop(): Promise<void> {
    this.#halt()
    await this.#running
  }

  #halt(): void {
    this.#state = 'broken'
    const waiters = [this.#seekers, this.#idleWaiters].flatMap((each) => each.splice(0))
    for (const resolve of [...waiters, ...this.#durableWaiters]) resolve()
  }

  async #findRoom(): Promise<void> {
    await this.#options.log.findRoom()
    for (const resolve of this.#seekers.splice(0)) resolve()
  }

  async #commit(): Promise<void> {
    const group = this.#accumulating
    this.#writing = group
    this.#accumulating = new Group()
    const { log, clock, onRoom } = this.#options
    const cut = log.cut()
    for (const resolve of this.#roomWaiters.splice(0)) resolve()
    const appending = log.append(cut)
    // Where the sync leaves the thread free, the next group is decided meanwhile.
    clock.defer(onRoom)
    try {
      await appending
    } catch (error) {
      if (!(error instanceof PenholdError && error.code === 'StorageFull')) throw error
      await this.#fail(error)
      return
    }
    group.state = 'durable'
    this.#writing = undefined
    await this.#release(group.replies)
    for (const resolve of group.waiters) resolve()
    for (const resolve of this.#durableWaiters) resolve()
  }

  /** The look, and after it the replies. */
  async #release(replies: readonly HeldReply[]): Promise<void> {
    const { log, onReplied } = this.#options
    const unchecked = log.look(shardsOf(replies))
    if (unchecked.length > 0) await this.#check(unchecked)
    const senders = new Set<Sender>()
    for (const { actor, sender, request, reply } of replies) {
      const { shard } = actor.stream
      const isLost = log.epochOf(shard) !== actor.epoch
      sender.reply(request, isLost ? { kind: 'failed', failure: toFailure(ownershipLost(shard)) } : reply)
      senders.add(sender)
      onReplied(actor)
    }
    for (const sender of senders) sender.flush()
  }

  async #check(shards: readonly number[]): Promise<void> {
    const { log, onShardsLost } = this.#options
    const lost = await log.lostShards(shards)
    if (lost.length === 0) return
    onShardsLost(lost)
    // Whoever has taken one has taken others too, more often than not: their callers need not wait to hear of it.
    await this.#check(log.look())
  }

  /**
   * Nothing of the group was written. What accumulated since was decided on it, so it fails as well, and the actors of
   * both go back to what the log has of them.
   */
  async #fail(error: PenholdError): Promise<void> {
    const { log, onVoid, onReplied } = this.#options
    const groups = [this.#writing, this.#accumulating].filter((group) => group !== undefined)
    this.#writing = undefined
    this.#accumulating = new Group()
    log.rollBack()
    const failure = toFailure(error)
    const senders = new Set<Sender>()
    for (const group of groups) {
      group.state = 'failed'
      for (const actor of group.actors) onVoid(actor)
      for (const { actor, sender, request } of group.replies) {
        sender.reply(request, { kind: 'failed', failure })
        senders.add(sender)
        onReplied(actor)
      }
      for (const resolve of group.waiters) resolve()
    }
    for (const sender of senders) sender.flush()
    // What filled the batch under construction is gone.
    for (const resolve of this.#roomWaiters.splice(0)) resolve()
    this.#options.clock.defer(this.#options.onRoom)
  }
}

/** One by one, as they are hardly ever asked for. */
function* shardsOf(replies: readonly HeldReply[]): Generator<number> {
  for (const { actor } of replies) yield actor.stream.shard
}

function rolledBack(): PenholdError {
  return storageFull(new Error('the batch was rolled back'))
}
