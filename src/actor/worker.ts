/**
 * A worker: the actors of the shards it owns, and what they share. Takes messages in, finds or recovers the actor,
 * decides, and hands the reply to the committer. Knows no thread, socket or file: messages come from `Sender`s, bytes go
 * through the log.
 *
 * Invariants held here: I3 together with the committer; I5 through the dedupe window; I8, as every message that fails
 * is answered by itself.
 */
import type { Aggregate } from '../aggregate/aggregate.ts'
import { BrokenInvariant } from '../aggregate/assert.ts'
import { PenholdError } from '../aggregate/error.ts'
import type { Clock } from '../log/clock.ts'
import { ownershipLost } from '../log/error.ts'
import { formatId, IdSource } from '../log/identity.ts'
import type { Log } from '../log/log.ts'
import type { Random } from '../log/random.ts'
import { NO_BYTES } from '../log/slice.ts'
import { isInternal, streamProblem, streamType } from '../log/stream.ts'
import { ActiveActors } from './active-actors.ts'
import { Actor, type Envelope } from './actor.ts'
import { Committer } from './committer.ts'
import { isRead, isStoreMessage } from './append.ts'
import { needsWindow, type Remembered } from './dedupe-window.ts'
import * as errors from './error.ts'
import { createKind, missingPaths, type Kind, type Verdict } from './kind.ts'
import type { ActorLimits } from './limits.ts'
import { LogReplies } from './log-replies.ts'
import type { CommandMessage, Message, Reply, Sender } from './message.ts'
import { Passivation } from './passivation.ts'
import type { Progress } from './progress.ts'
import { Quarantine, type Quarantined } from './quarantine.ts'
import { Queue } from './queue.ts'
import { Recorder } from './recorder.ts'
import { Recovering } from './recovering.ts'
import { Senders } from './senders.ts'
import { ShardMoves } from './shard-moves.ts'
import { STREAM_KIND } from './stream-kind.ts'
import { Tails } from './tails.ts'

export interface WorkerOptions {
  readonly log: Log
  readonly clock: Clock
  readonly random: Random
  readonly aggregates: readonly Aggregate[]
  readonly limits: ActorLimits
  /** Told before and after users' code runs, so that a watchdog can say what a stuck thread is at. */
  readonly progress: Progress
  /** Aggregates that are left alone, because handlers of theirs held the thread of a worker before. */
  readonly quarantined: readonly Quarantined[]
  /** Something an operator should know and nobody else is told. */
  readonly onWarning: (message: string) => void
  /** Shards were claimed by somebody else. */
  readonly onLost: (shards: readonly number[]) => void
  /** The log has ended: the worker answers nothing any more and must be replaced. */
  readonly onBroken: (error: unknown) => void
}

/** Messages that are taken up before the event loop has its turn: about half a millisecond of work. */
const SLICE = 64

export class Worker {
  readonly #options: WorkerOptions
  readonly #log: Log
  readonly #recorder: Recorder
  readonly #kinds = new Map<string, Kind>()
  readonly #actors = new ActiveActors()
  readonly #committer: Committer
  readonly #passivation: Passivation
  readonly #quarantine: Quarantine
  readonly #recovering: Recovering
  readonly #logReplies: LogReplies
  readonly #senders: Senders
  /** Shards that come and leave while the worker lives. */
  readonly moves: ShardMoves
  /** How far its journal is. */
  readonly tails: Tails
  /** Messages that were taken in and not yet up, in order. Bounded by the senders' windows. */
  readonly #waiting = new Queue<Envelope>()
  /** Messages taken in and not yet answered, and who waits until there are none. */
  #underWay = 0
  #onSettled: (() => void)[] = []
  /** Actors that were stopped in the middle of their mailbox because the batch was full. */
  #paused: Actor[] = []
  /** The monotonic time, read once for a slice. */
  #now = 0
  readonly #ended = Promise.withResolvers<void>()
  #closing: Promise<void> | undefined
  /** The next slice is scheduled. */
  #isPumping = false
  #isEnded = false

  constructor(options: WorkerOptions) {
    this.#options = options
    this.#log = options.log
    this.#senders = new Senders(options.log)
    this.#quarantine = new Quarantine(options.clock, options.quarantined)
    const { log, onWarning } = options
    const ids = new IdSource(options.clock, options.random)
    this.#recorder = new Recorder({ log, ids, commandBytesMax: options.limits.commandBytesMax, onWarning })
    for (const aggregate of options.aggregates) this.#kinds.set(aggregate.type, createKind(aggregate, ids))
    this.#committer = new Committer({
      log: options.log,
      clock: options.clock,
      onReplied: (actor) => {
        this.#answeredBy(actor)
        this.#answered(1)
      },
      onVoid: (actor) => this.#dropVoid(actor),
      onShardsLost: (shards) => {
        this.#dropShards(shards)
        options.onLost(shards)
      },
      onRoom: () => this.#resume(),
      onBroken: (error) => {
        this.#end()
        options.onBroken(error)
      },
    })
    this.moves = new ShardMoves({
      log,
      clock: options.clock,
      committer: this.#committer,
      recorder: this.#recorder,
      actors: this.#actors,
      kinds: this.#kinds,
      dropShards: (shards) => this.#dropShards(shards),
      onLost: options.onLost,
    })
    this.tails = new Tails({ log, clock: options.clock, committer: this.#committer })
    this.#passivation = new Passivation(options.clock, this.#actors, options.limits)
    const { progress, limits } = options
    const parts = { log, committer: this.#committer, progress }
    this.#recovering = new Recovering({
      ...parts,
      limits,
      onAlive: (actor) => this.#run(actor),
      onRefused: (actor, error) => this.#refuse(actor, error),
    })
    this.#logReplies = new LogReplies({ ...parts, isEnded: () => this.#isEnded })
  }

  /** The event types in the log that today's definitions have no path for, each with the reason. */
  async missingPaths(): Promise<string[]> {
    return missingPaths(this.#kinds, await this.#log.eventTypes())
  }

  get activeActors(): number {
    return this.#actors.size
  }

  /** Takes in messages, in order. Each is answered through its sender, unless the worker breaks first. */
  receive(sender: Sender, messages: readonly Message[]): void {
    if (this.#isEnded) return
    this.#senders.forget()
    this.#underWay += messages.length
    for (const message of messages) this.#waiting.push({ sender, message })
    this.#pump()
  }

  /** Resolves when everything taken in has been answered, or the worker has ended. */
  async settle(): Promise<void> {
    if (this.#underWay > 0 && !this.#isEnded) await new Promise<void>((resolve) => this.#onSettled.push(resolve))
    await this.#committer.settled()
  }

  /** Resolves when what the log says of its shards and its room was measured now. */
  examine(): Promise<void> {
    return this.#committer.examine()
  }

  /** Ends the worker on purpose, or lets go of the files of one that has ended. No message may come after this. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  /** Ends the worker at once: what is under way is not answered. Resolves when it has let go of its files. */
  async abandon(): Promise<void> {
    this.#end()
    await this.#committer.stop()
    // Whoever has closed it hears of what failed then.
    await this.close().catch(() => undefined)
  }

  async #close(): Promise<void> {
    // The journal's last record is the last that anybody writes. What a broken log keeps waiting never ends.
    this.tails.close()
    await Promise.race([this.moves.close(), this.#ended.promise])
    if (!this.#isEnded) await this.settle()
    if (this.#isEnded) {
      await this.#committer.stop()
      await this.#log.abandon()
      return
    }
    this.#end()
    await this.#log.close()
  }

  #end(): void {
    this.#isEnded = true
    this.tails.close()
    this.#passivation.stop()
    this.#ended.resolve()
    for (const resolve of this.#onSettled.splice(0)) resolve()
  }

  #answeredBy(actor: Actor): void {
    actor.underWay -= 1
    this.moves.answered(actor)
  }

  #answered(messages: number): void {
    this.#underWay -= messages
    if (this.#underWay === 0) for (const resolve of this.#onSettled.splice(0)) resolve()
  }

  /**
   * Takes up what waits, some at a time: between two slices the disk is told to begin, or to go on with what has
   * accumulated, and callers get their replies while the rest is decided.
   */
  #pump(): void {
    if (this.#isPumping) return
    this.#now = this.#options.clock.monotonic()
    for (let room = SLICE; room > 0 && this.#canTake; room -= 1) this.#take(this.#waiting.shift())
    this.#committer.kick()
    if (!this.#canTake) return
    this.#isPumping = true
    this.#options.clock.defer(() => {
      this.#isPumping = false
      this.#pump()
    })
  }

  get #canTake(): boolean {
    return !this.#waiting.isEmpty && !this.#isEnded && !this.#committer.isFull
  }

  #take({ sender, message }: Envelope): void {
    const actor = this.#actors.get(message.stream) ?? this.#activate(message)
    if (!(actor instanceof Actor)) {
      this.#answerAtOnce(sender, message, actor)
      return
    }
    if (this.moves.isLeaving(actor.stream.shard) || !isFor(actor.epoch, message)) {
      this.#answerAtOnce(sender, message, { kind: 'elsewhere', shard: actor.stream.shard })
      return
    }
    const { mailboxMax } = this.#options.limits
    if (actor.underWay >= mailboxMax) {
      this.#answerAtOnce(sender, message, errors.failed(errors.mailboxFull(actor.stream.name, mailboxMax)))
      return
    }
    actor.underWay += 1
    this.#actors.touch(actor, this.#now)
    if (actor.phase === 'recovering') actor.mailbox.push({ sender, message })
    else this.#handle(actor, message, sender)
  }

  /** Answers a message that reached no actor. It stands on nothing, and so waits for nothing. */
  #answerAtOnce(sender: Sender, message: Message, reply: Reply): void {
    sender.reply(message.request, reply)
    sender.flush()
    this.#answered(1)
  }

  #handle(actor: Actor, message: Message, sender: Sender): void {
    const { shard } = actor.stream
    if (this.#log.epochOf(shard) !== actor.epoch) {
      // Its shard was lost this very moment; whoever looked that up will let the actor go.
      this.#answeredBy(actor)
      this.#answerAtOnce(sender, message, { kind: 'elsewhere', shard })
      return
    }
    if (message.kind === 'state') return this.#logReplies.state(actor, message, sender)
    if (message.kind === 'query' && isRead(message)) return this.#logReplies.read(actor, message, sender)
    if (message.kind === 'command' && needsWindow(actor.window, message)) {
      actor.mailbox.push({ sender, message })
      this.#recovering.recoverWindow(actor)
      return
    }
    this.#options.progress.enter(sender, message)
    let reply: Reply | undefined
    try {
      reply =
        message.kind === 'query'
          ? { kind: 'answered', value: actor.kind.answer(message, actor) }
          : this.#command(actor, message, sender)
    } catch (error) {
      if (error instanceof BrokenInvariant) {
        this.#options.progress.leave()
        this.#committer.break(error)
        return
      }
      reply = errors.failed(error)
      if (error instanceof PenholdError && error.code === 'HandlerFailed') this.#recovering.reload(actor)
    }
    this.#options.progress.leave()
    if (reply !== undefined) this.#committer.hold({ actor, sender, request: message.request, reply })
  }

  /** The reply to a command; undefined where it comes later. */
  #command(actor: Actor, message: CommandMessage, sender: Sender): Reply | undefined {
    const { name: stream } = actor.stream
    // One whose id was made for it, too: its caller may have sent it again by then, through another node.
    const remembered = actor.window?.find(message.commandId)
    if (remembered !== undefined && !isDecidedAnew(message, remembered))
      return this.#answerAgain(actor, message, { sender, remembered })
    if (message.sentIn !== undefined) this.#senders.check(message.sentIn)
    this.#log.positions.observe(message.after)
    if (message.deadline < this.#now) throw errors.timedOutBefore(stream, message.name)
    if (message.expectedVersion >= 0 && message.expectedVersion !== actor.version) {
      throw errors.expectedVersion(stream, message.expectedVersion, actor.version)
    }
    const { state, version: versionBefore } = actor
    const now = this.#options.clock.now()
    const { limits } = this.#options
    const verdict = actor.kind.decide(message, { state, version: versionBefore, now, limits })
    const reply = this.#conclude(actor, message, { now, verdict })
    actor.window?.add(message.commandId, {
      payloadHash: message.payloadHash,
      reply: actor.version === versionBefore ? reply : undefined,
      firstVersion: versionBefore + 1,
      lastVersion: actor.version,
      position: reply.kind === 'accepted' ? reply.position : 0,
      last: actor.newest,
    })
    return reply
  }

  #conclude(actor: Actor, message: CommandMessage, outcome: { now: number; verdict: Verdict }): Reply {
    const { now, verdict } = outcome
    if (verdict.kind === 'rejected') {
      const { code, details } = verdict.rejection
      return { kind: 'rejected', code, details }
    }
    if (verdict.events.length === 0 && verdict.creation === undefined) {
      return { kind: 'accepted', version: actor.version, position: 0, records: NO_BYTES }
    }
    const reply = this.#recorder.record(actor, { message, now, verdict })
    this.#committer.wrote(actor)
    return reply
  }

  /** A command id that is known: the first outcome again, from memory or from the log once it is durable there. */
  #answerAgain(
    actor: Actor,
    message: CommandMessage,
    { sender, remembered }: { readonly sender: Sender; readonly remembered: Remembered },
  ): Reply | undefined {
    if (remembered.payloadHash !== message.payloadHash) {
      const hasTakenEffect = remembered.reply === undefined
      throw errors.commandIdReused(actor.stream.name, formatId(message.commandId), hasTakenEffect)
    }
    if (remembered.reply !== undefined) return remembered.reply
    this.#logReplies.outcome(actor, { sender, message }, remembered)
    return undefined
  }

  // Recovery

  #activate(message: Message): Actor | Reply {
    const { stream: name } = message
    // Whoever addresses it has looked at the name; who else sends messages may not have.
    const problem = streamProblem(isInternal(name) ? name.slice(1) : name)
    if (problem !== undefined) return errors.failed(errors.badAddress(problem))
    const stream = this.#log.placement.stream(name)
    const { shard } = stream
    const refusal = this.#log.refusedShards.get(shard)
    if (refusal !== undefined) return errors.failed(refusal)
    const epoch = this.#log.epochOf(shard)
    if (epoch === 0 || this.moves.isLeaving(shard)) return { kind: 'elsewhere', shard }
    const type = streamType(name)
    const kind = this.#kinds.get(type) ?? (isStoreMessage(message) ? STREAM_KIND : undefined)
    if (kind === undefined) {
      // Whoever serves it in another epoch may know it.
      return isFor(epoch, message) ? errors.failed(errors.unknownAggregate(type)) : { kind: 'elsewhere', shard }
    }
    const aloneMs = this.#quarantine.remainingMs(name)
    if (aloneMs > 0) return errors.failed(errors.quarantined(name, aloneMs))
    if (!this.#actors.makeRoomFor(stream)) {
      return errors.failed(errors.shardUnavailable(shard, 'a stream with the same hash is busy'))
    }
    const actor = new Actor(stream, kind, epoch)
    this.#actors.add(actor)
    this.#recovering.recover(actor)
    return actor
  }

  /** The actor is alive: takes up its mailbox. Where the batch is full it goes on once there is room. */
  #run(actor: Actor): void {
    if (this.#isEnded) return
    const mailbox = actor.mailbox
    actor.mailbox = []
    for (const [i, envelope] of mailbox.entries()) {
      if (this.#committer.isFull) {
        actor.mailbox = mailbox.slice(i)
        // What comes before there is room, and before anybody is told that there is, waits behind these.
        actor.phase = 'recovering'
        this.#paused.push(actor)
        this.#committer.kick()
        return
      }
      actor.phase = 'running'
      this.#handle(actor, envelope.message, envelope.sender)
      // It may have sent the actor back to recover; what is left of the mailbox waits behind it.
      if ((actor.phase as Actor['phase']) === 'recovering') {
        actor.mailbox.push(...mailbox.slice(i + 1))
        return
      }
    }
    actor.phase = 'running'
    this.#passivation.overflow()
    this.#committer.kick()
  }

  #resume(): void {
    const paused = this.#paused
    this.#paused = []
    for (const actor of paused) this.#run(actor)
    this.#pump()
  }

  /** The actor cannot be brought to life: whoever waits for it is told why, and the next message tries anew. */
  #refuse(actor: Actor, error: unknown): void {
    this.#actors.remove(actor)
    for (const { sender, message } of actor.mailbox) {
      sender.reply(message.request, errors.failed(error))
      sender.flush()
      this.#answeredBy(actor)
    }
    this.#answered(actor.mailbox.length)
    actor.mailbox = []
  }

  // What leaves memory

  #dropVoid(actor: Actor): void {
    this.#refuse(actor, errors.shardUnavailable(actor.stream.shard, 'its pending state was rolled back'))
  }

  #dropShards(shards: readonly number[]): void {
    for (const actor of this.#actors.all()) {
      const { shard } = actor.stream
      // Those that run have their replies in the committer, which knows what became of them.
      if (shards.includes(shard)) this.#refuse(actor, ownershipLost(shard))
    }
  }
}

/** Whether a message may be taken up in this epoch of its shard: in another, its sender may have been answered already. */
function isFor(epoch: number, message: Message): boolean {
  return message.epoch === epoch || message.epoch === 0
}

/**
 * Whether a known command gets another decision. What was rejected, or came to nothing, left nothing behind: a consumer that sends
 * it again has not gone by the rejection, and may say something else by now. What a router sends again, for anybody else, was
 * rejected when it was.
 */
function isDecidedAnew({ sentIn, payloadHash }: CommandMessage, { reply, ...remembered }: Remembered): boolean {
  if (sentIn === undefined || reply === undefined) return false
  return reply.kind === 'rejected' || remembered.payloadHash !== payloadHash
}
