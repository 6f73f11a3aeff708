/**
 * Puts a worker together: log, actors, and the link that its messages come by. The same on a thread of its own
 * (worker-thread.ts) and inline.
 */
import type { Message, Reply, Sender } from '../actor/message.ts'
import type { Quarantined } from '../actor/quarantine.ts'
import type { Progress } from '../actor/progress.ts'
import { Worker } from '../actor/worker.ts'
import { definitionError } from '../aggregate/error.ts'
import type { Link } from '../cluster/link.ts'
import { BadFrame } from '../cluster/frame.ts'
import type { RefusedShard } from '../cluster/ownership-ports.ts'
import { PROTOCOL_VERSION, readMessages } from '../cluster/wire.ts'
import type { Clock } from '../log/clock.ts'
import { isDamage, isOutOfRoom } from '../log/error.ts'
import { Log, type Lag, type ShardHead } from '../log/log.ts'
import type { Random } from '../log/random.ts'
import type { Storage } from '../log/storage.ts'
import type { KnownTail, Tail } from '../log/tail.ts'
import { INTERNAL_AGGREGATES } from '../react/consumer-record.ts'
import { SynchronousReactors } from '../react/synchronous-reactors.ts'
import { addressedBy, type ClusterConfig } from './config.ts'
import { HoldingSender } from './holding-sender.ts'
import { createLinkSender } from './link-sender.ts'
import type { ProgressWriter } from './progress.ts'

/** What a worker begins its life with. */
export interface Start {
  /** That it takes over before it serves. */
  readonly shards: readonly number[]
  /** Aggregates that it leaves alone at first. */
  readonly quarantined: readonly Quarantined[]
}

export interface WorkerHostOptions extends Start {
  readonly storage: Storage
  readonly clock: Clock
  readonly random: Random
  readonly config: ClusterConfig
  readonly clusterId: string
  readonly link: Link
  readonly progress: ProgressWriter
  readonly onWarning: (message: string) => void
  /** Somebody else has claimed shards that were served here. */
  readonly onLost: (shards: readonly number[]) => void
  readonly onBroken: (error: unknown) => void
}

export interface WorkerHost {
  /** The greatest position in what it took over. */
  readonly position: number
  /** Measured now: with the look, so that what somebody else has claimed does not count. */
  status(): Promise<WorkerStatus>
  /** Takes shards over; resolves to those that are served from now on. @throws PenholdError `StorageFull` */
  takeOver(shards: readonly number[]): Promise<readonly ShardHead[]>
  /** Makes ready for shards to leave. @throws PenholdError `StorageFull` */
  prepareRelease(): Promise<void>
  /** Gives shards up; what takes longer than `ms` to answer is answered with a doubt. */
  release(shards: readonly number[], ms: number): Promise<void>
  /** How far the worker's journal is: as soon as there is more than what is known, or after `ms`. */
  nextTail(known: KnownTail | undefined, ms: number): Promise<Tail>
  /** The same, once nothing can come at this position or below it any more. @throws PenholdError `StorageFull` */
  tailAbove(position: number): Promise<Tail>
  /** Takes messages from one more sender, on another node, by a link that speaks this version of the protocol. */
  connect(link: Link, protocol: number): void
  /** Answers what is under way, and ends the journal so that, if there is room, nothing of it is in doubt. */
  close(): Promise<void>
  /** Ends it at once; resolves when it has let go of its files. */
  abandon(): Promise<void>
}

export interface WorkerStatus {
  readonly journal: number
  readonly shards: readonly ShardHead[]
  /** What was decided and is not durable yet. */
  readonly lag: Lag
  /** There was no room on the disk for the last batch, and there is none now. */
  readonly isFull: boolean
  /** The journal's file is where others look for it; not so where its volume was taken away. */
  readonly isInPlace: boolean
  /** Shards that cannot be opened, with the reason: `LogCorrupt`, or `BadDefinition` for events that nothing here can read. */
  readonly refused: readonly (RefusedShard & { readonly reason: string })[]
  /** Segments of former owners that end in the middle of a batch, and indexes that had to be made again. */
  readonly tornTails: number
  readonly indexesRebuilt: number
  readonly activeActors: number
}

/** @throws PenholdError `BadDefinition` where the log has events that the definitions have no path for */
export async function hostWorker(options: WorkerHostOptions): Promise<WorkerHost> {
  const { storage, clock, random, config, clusterId, shards, link, onWarning, onLost, onBroken } = options
  const log = await Log.open({
    storage,
    clock,
    clusterId,
    shards: config.shards,
    own: shards,
    segmentBytes: config.segmentBytes,
    node: `${config.name}/${process.pid}`,
  })
  const { limits } = config
  const aggregates = [...addressedBy(config), ...INTERNAL_AGGREGATES]
  let own: Sender | undefined
  const progress: Progress = {
    enter: (sender, message) => options.progress.enter(message, sender === own),
    leave: () => options.progress.leave(),
  }
  const { quarantined } = options
  const parts = { log, clock, random, aggregates, limits, progress, quarantined }
  const worker = new Worker({ ...parts, onWarning, onLost, onBroken })
  await checkDefinitions(worker)
  warnOfRefused(log, onWarning)
  warnOfTornTails(log, onWarning)
  const supersession = new Supersession(log, shards, onWarning)
  supersession.look()
  const reactors = SynchronousReactors.of({ reactors: config.reactors, aggregates })
  const connect = (to: Link, protocol: number, take: (messages: readonly Message[]) => readonly Message[]): Sender => {
    const others = createLinkSender(to, (reply) => supersession.observe(reply))
    const holding = reactors && new HoldingSender({ link: to, others, reactors, clock })
    const sender = holding ?? others
    const onMessages = (messages: readonly Message[]): void => {
      holding?.take(messages)
      worker.receive(sender, take(messages))
    }
    listen(to, { clock, protocol, onWarning, onMessages })
    return sender
  }
  own = connect(link, PROTOCOL_VERSION, (messages) => messages)
  return {
    position: log.positions.last,
    connect: (to, protocol) => void connect(to, protocol, (messages) => messages.map(doubted)),
    async takeOver(wanted) {
      const served = await worker.moves.takeOver(wanted)
      warnOfRefused(log, onWarning)
      return log.ownedShards.filter(({ shard }) => served.includes(shard))
    },
    prepareRelease: () => worker.moves.prepareRelease(),
    nextTail: (known, ms) => worker.tails.next(known, ms),
    tailAbove: (position) => worker.tails.above(position),
    release: (leaving, ms) => worker.moves.release(leaving, ms),
    async status() {
      await worker.examine()
      return statusOf(log, worker)
    },
    close: () => close(worker),
    abandon: () => worker.abandon(),
  }
}

function statusOf(log: Log, { activeActors }: Worker): WorkerStatus {
  return {
    journal: log.journal,
    shards: log.ownedShards,
    lag: log.lag,
    isFull: log.isFull,
    isInPlace: log.isInPlace,
    refused: [...log.refusedShards].map(([shard, error]) => {
      return { shard, code: error.code, reason: error.message, isDamaged: isDamage(error) }
    }),
    tornTails: log.found.tornTails.size,
    indexesRebuilt: log.found.indexesRebuilt,
    activeActors,
  }
}

interface Listener {
  readonly clock: Clock
  readonly protocol: number
  readonly onWarning: (message: string) => void
  readonly onMessages: (messages: readonly Message[]) => void
}

/** Takes messages from a link for as long as they are messages. */
function listen(link: Link, { clock, protocol, onWarning, onMessages }: Listener): void {
  link.onFrame((frame) => {
    let messages: Message[]
    try {
      messages = readMessages(frame, { now: clock.monotonic(), protocol })
    } catch (error) {
      if (!(error instanceof BadFrame)) throw error
      // Whoever sends such a thing is not worth an answer, and costs nobody else anything (I8).
      onWarning(`somebody sent a worker what no node sends (${error.message}), and is not listened to any more`)
      link.close()
      return
    }
    onMessages(messages)
  })
}

/** One warning for each reason: a damaged journal is every shard's that was in it. */
function warnOfRefused(log: Log, onWarning: (message: string) => void): void {
  for (const [reason, refused] of Map.groupBy(log.refusedShards, ([, { message }]) => message)) {
    const shards = refused.map(([shard]) => shard)
    onWarning(`${shards.length === 1 ? 'shard' : 'shards'} ${shards.join(', ')} cannot be served: ${reason}`)
  }
}

function warnOfTornTails(log: Log, onWarning: (message: string) => void): void {
  for (const [path, offset] of log.found.tornTails) {
    onWarning(
      `${path} ends at byte ${offset} in the middle of a batch, as a crash leaves it. What stands there was never acknowledged; nothing is lost, and there is nothing to do.`,
    )
  }
}

async function checkDefinitions(worker: Worker): Promise<void> {
  let problems: string[]
  try {
    problems = await worker.missingPaths()
  } catch (error) {
    await worker.abandon()
    throw error
  }
  if (problems.length === 0) return
  await close(worker)
  throw definitionError(problems.join('; '))
}

/** Where there is no room for the record that ends the journal its last batch stays in doubt: its heirs carry it over. */
async function close(worker: Worker): Promise<void> {
  try {
    await worker.close()
  } catch (error) {
    if (!isOutOfRoom(error)) throw error
  }
}

/**
 * What comes over a network may come late: when its sender has given the connection up, sent it again over another, or
 * to another owner, and been answered. What names its epoch cannot, as it is taken up in that one alone; all else is
 * never taken for new.
 */
function doubted(message: Message): Message {
  return message.kind === 'command' && message.epoch === 0 ? { ...message, isFresh: false, isAgain: true } : message
}

/** Tells an operator, once, that another process has taken shards over: their callers see errors, and nobody else would. */
class Supersession {
  readonly #log: Log
  readonly #shards: readonly number[]
  readonly #onWarning: (message: string) => void
  #isTold = false

  constructor(log: Log, shards: readonly number[], onWarning: (message: string) => void) {
    this.#log = log
    this.#shards = shards
    this.#onWarning = onWarning
  }

  /** A shard that was lost shows in the replies to those who ask for it. */
  observe(reply: Reply): void {
    if (reply.kind === 'elsewhere' || (reply.kind === 'failed' && reply.failure.code === 'OwnershipLost')) this.look()
  }

  look(): void {
    if (this.#isTold) return
    const lost = this.#shards.filter((shard) => !this.#log.owns(shard) && !this.#log.refusedShards.has(shard))
    if (lost.length === 0) return
    this.#isTold = true
    this.#onWarning(
      `another process has taken over ${lost.length} of the ${this.#shards.length} shards of a worker here, which serves them no more. One process at a time can work in a data directory: stop the one that is not wanted.`,
    )
  }
}
