/**
 * The inboxes of a node's config. Each runs at one node, which serves the shard of its record. Should two run it for a
 * moment, the record lets one of them go on, and what both send takes effect once.
 */
import { definitionError, reasonOf } from '../aggregate/error.ts'
import { suggestion } from '../aggregate/nearest.ts'
import { every, type Cancel, type Clock } from '../log/clock.ts'
import type { IdSource } from '../log/identity.ts'
import { streamName } from '../log/stream.ts'
import type { ShardEffects } from '../react/effects.ts'
import type { Inbox } from '../react/inbox.ts'
import { InboxOperations, type RetriedMessages } from '../react/inbox-operations.ts'
import { INBOX, type InboxOutline, type ParkedMessage } from '../react/inbox-record.ts'
import type { ShardsHere } from '../react/running-consumer.ts'
import { RunningInbox } from '../react/running-inbox.ts'

/** How an inbox is. */
export interface InboxStatus {
  readonly name: string
  /**
   * `running`: there are messages behind its place. `caught up`: it is done with all that its source has, but for what is parked. `waiting`:
   * something fails, and is tried again. `elsewhere`: another node runs it.
   */
  readonly state: 'running' | 'caught up' | 'waiting' | 'elsewhere'
  /** The id of the last message that it is done with; undefined where it was never begun. */
  readonly place: string | undefined
  readonly parked: number
  /** So many messages were removed before it had read them. */
  readonly lost: number
  /** So many were rejected, and passed. */
  readonly rejected: number
  readonly trouble: string | undefined
}

/** One that runs at this node, as far as it is known without asking the log or its source; so it is never `caught up`. */
export interface LocalInbox {
  readonly name: string
  /** `waiting`: something fails, and is tried again. */
  readonly state: 'running' | 'waiting'
  /** For so long it has waited; 0 where it does not. */
  readonly waitingMs: number
  readonly trouble: string | undefined
  /** The id of the last message that it is done with; undefined where that is not known yet. */
  readonly place: string | undefined
  readonly parked: number
  readonly lost: number
  readonly rejected: number
}

/** An inbox of the config, wherever it runs. */
export interface InboxRef {
  /** @throws PenholdError as `ask`, as these all */
  status(): Promise<InboxStatus>
  /** Messages that wait for somebody, in the order in which they came. */
  parked(): Promise<readonly ParkedMessage[]>
  /**
   * Has what is parked of a message's aggregate tried again, in order, until none is left or one fails again; resolves then. A
   * message of which it is not known whom it is for is tried alone.
   * @throws PenholdError `MessageNotParked`; `Timeout` where that takes more than a minute
   */
  retryParked(id: string): Promise<RetriedMessages>
  /** Gives up a parked message for good; what waits behind it is tried. @throws PenholdError `MessageNotParked` */
  skipParked(message: { readonly id: string; readonly reason: string }): Promise<void>
}

export interface InboxesOptions {
  readonly inboxes: readonly Inbox[]
  readonly effects: ShardEffects
  readonly ids: IdSource
  readonly clock: Clock
  readonly shardOf: (stream: string) => number
  readonly shardsHere: () => ShardsHere
  readonly onWarning: (message: string) => void
}

const LOOK_MS = 250

export class Inboxes {
  readonly #options: InboxesOptions
  /** Each in one epoch of its record's shard. */
  readonly #running = new Map<Inbox, { readonly inbox: RunningInbox; readonly epoch: number }>()
  /** Those that were let go of, and may have something under way. */
  readonly #ending = new Map<Inbox, Promise<void>>()
  #stopLooking: Cancel = () => undefined
  #isClosed = false

  constructor(options: InboxesOptions) {
    this.#options = options
  }

  start(): void {
    if (this.#options.inboxes.length === 0) return
    this.#look()
    this.#stopLooking = every(this.#options.clock, LOOK_MS, () => this.#look())
  }

  /** @throws PenholdError `BadDefinition` where it is none of the config's */
  ref({ name }: Pick<Inbox, 'name'>): InboxRef {
    const inbox = this.#named(name)
    const operations = this.operations(name)
    return {
      status: async () => await statusOf(name, await operations.outline(), this.#running.get(inbox)?.inbox),
      parked: () => operations.parked(),
      retryParked: (id) => operations.retry(id),
      skipParked: (message) => operations.skip(message),
    }
  }

  /** @throws PenholdError `BadDefinition` where the config has none of that name */
  operations(name: string): InboxOperations {
    return new InboxOperations(this.#named(name).name, this.#options)
  }

  #named(name: string): Inbox {
    const inbox = this.#options.inboxes.find((each) => each.name === name)
    if (inbox !== undefined) return inbox
    throw definitionError(`the config has no inbox '${name}', ${suggestion(name, this.names)}; add it to its inboxes`)
  }

  /** Of the config's. */
  get names(): readonly string[] {
    return this.#options.inboxes.map(({ name }) => name)
  }

  get conditions(): readonly LocalInbox[] {
    return [...this.#running].map(([{ name }, { inbox }]) => {
      const { trouble, waitingMs, outline } = inbox
      const state = trouble === undefined ? 'running' : 'waiting'
      const { place, parked = [], lost = 0, rejected = 0 } = outline ?? {}
      return { name, state, waitingMs, trouble, place: place?.id, parked: parked.length, lost, rejected }
    })
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#stopLooking()
    for (const [inbox, running] of this.#running) this.#end(inbox, running.inbox)
    await Promise.all(this.#ending.values())
  }

  #look(): void {
    if (this.#isClosed) return
    const { shardOf, shardsHere } = this.#options
    const shards = shardsHere()
    for (const inbox of this.#options.inboxes) {
      const running = this.#running.get(inbox)
      const shard = shardOf(streamName(INBOX, inbox.name))
      const epoch = shards.get(shard)
      if (running !== undefined && running.epoch !== epoch) this.#end(inbox, running.inbox)
      else if (running !== undefined) running.inbox.look()
      else if (epoch !== undefined && !this.#ending.has(inbox)) {
        const effects = this.#options.effects.from(shard, epoch)
        this.#running.set(inbox, { inbox: new RunningInbox({ ...this.#options, effects, inbox }), epoch })
      }
    }
  }

  #end(inbox: Inbox, running: RunningInbox): void {
    this.#running.delete(inbox)
    this.#ending.set(
      inbox,
      running
        .close()
        .catch((error: unknown) =>
          this.#options.onWarning(`inbox ${inbox.name} could not be let go of: ${reasonOf(error)}`),
        )
        .finally(() => this.#ending.delete(inbox)),
    )
  }
}

async function statusOf(
  name: string,
  { place, parked, lost, rejected }: InboxOutline,
  running: RunningInbox | undefined,
): Promise<InboxStatus> {
  const known = { name, place: place?.id, parked: parked.length, lost, rejected }
  if (running === undefined) return { ...known, state: 'elsewhere', trouble: undefined }
  try {
    const isLevel = running.trouble === undefined && place !== undefined && (await running.isLevel(place))
    const { trouble } = running
    return { ...known, state: trouble !== undefined ? 'waiting' : isLevel ? 'caught up' : 'running', trouble }
  } catch (error) {
    const trouble = running.trouble ?? `what its source has is not known: ${reasonOf(error)}`
    return { ...known, state: 'waiting', trouble }
  }
}
